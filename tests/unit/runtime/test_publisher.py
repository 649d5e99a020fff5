from __future__ import annotations

from typing import Any

import pytest

from faststream_sqs import PublishFailed
from switchyard.protocol.errors import InvalidEvent
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.messaging.outbox import Outbox
from switchyard.runtime.messaging.publisher import BusPublisher

EVENTS = [{"event_id": name, "node_from": "router", "type": "CloseCase"} for name in ("good", "bad")]


class Bus:
    """Accepts every event but the one called bad."""

    def __init__(self, failure: PublishFailed) -> None:
        self.failure = failure
        self.sent: list[str] = []

    async def publish(self, detail: str, **_: Any) -> str:
        """Accept or refuse."""
        if '"bad"' in detail:
            raise self.failure
        self.sent.append(detail)
        return "1"


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", "EventTooLong", "RedactionFailure"])
async def test_event_never_accepted_is_refused_and_the_others_are_sent(code: str) -> None:
    bus = Bus(PublishFailed(code, "no", permanent=True))
    with pytest.raises(InvalidEvent, match=code):
        await BusPublisher(bus).publish(EVENTS)  # type: ignore[arg-type]
    assert len(bus.sent) == 1


@pytest.mark.parametrize(
    ("code", "permanent"),
    [("ThrottlingException", False), ("NotAuthorizedForSourceException", True), ("InternalFailure", False)],
)
async def test_publisher_that_is_refused_for_another_reason_tries_again(code: str, permanent: bool) -> None:
    with pytest.raises(Unavailable):
        await BusPublisher(Bus(PublishFailed(code, "no", permanent=permanent))).publish(EVENTS)  # type: ignore[arg-type]


async def test_outbox_leaves_an_event_that_is_never_accepted_to_its_relay() -> None:
    outbox = Outbox(None, BusPublisher(Bus(PublishFailed("MalformedDetail", "no", permanent=True))))  # type: ignore[arg-type]
    await outbox.publish(EVENTS)
    assert outbox._published == set()
