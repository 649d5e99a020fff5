"""How long a message is left alone when something is away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from switchyard.runtime.core.errors import InboxLeaseLost, Unavailable
from switchyard.runtime.database.circuit_breaker import DEFERRED_RECEIVES_ALARM, LONGEST_DELAY_S, nack_when_unavailable


@dataclass
class Message:
    """Remembers its delays."""

    receive_count: int = 1
    delays: list[float] = field(default_factory=list)

    async def nack(self, delay: float) -> None:
        """As SQS's."""
        self.delays.append(delay)


async def left_alone(error: Exception, receives: int = 1) -> float:
    message = Message(receives)
    async with nack_when_unavailable(cast("Any", message), None):
        raise error
    [delay] = message.delays
    return delay


@pytest.mark.parametrize(("after_s", "delay"), [(0.0, 0.0), (7.5, 7.5), (1e6, LONGEST_DELAY_S)])
async def test_unavailable_with_a_delay_is_retried_after_it(after_s: float, delay: float) -> None:
    assert await left_alone(Unavailable("away", "away", after_s=after_s), receives=9) == delay


async def test_unavailable_without_a_delay_is_retried_by_its_receives() -> None:
    assert 1.0 <= await left_alone(Unavailable("away", "away"), receives=1) <= 2.0
    assert 60.0 <= await left_alone(Unavailable("away", "away"), receives=12) <= 120.0


async def test_lost_lease_is_retried_at_once() -> None:
    assert await left_alone(InboxLeaseLost("lease_lost", "taken over")) == 0


@pytest.mark.parametrize(
    ("error", "receives", "alarms"),
    [
        (Unavailable("publish_failed", "the bus refused an event"), DEFERRED_RECEIVES_ALARM, ["deferred"]),
        (Unavailable("publish_failed", "the bus refused an event"), DEFERRED_RECEIVES_ALARM - 1, []),
        (Unavailable("database_unreachable", "away"), 50, []),
        (Unavailable("halted", "waits", after_s=60.0), 50, []),
    ],
)
async def test_message_that_stays_deferred_raises_an_alarm(
    error: Unavailable, receives: int, alarms: list[str]
) -> None:
    with capture_logs() as lines:
        await left_alone(error, receives)
    assert [line["alarm"] for line in lines if "alarm" in line] == alarms
