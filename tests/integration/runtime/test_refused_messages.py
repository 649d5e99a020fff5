"""What is not an authentic event is kept for a person, alarms, ends no case, and stops nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts.fields import Json
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import MARKER, NODE, bus_body, command, fresh_id, rewritten
from tests.integration.runtime.conftest import QUEUE, Counting, StartWorker

pytestmark = pytest.mark.integration

LogLines = Callable[[], list[dict[str, Any]]]


def with_state(event: Json) -> Json:
    """The event with another state under the digest of the old one."""
    return event | {"state": {"step": "drafter", "note": MARKER}}


@pytest.mark.parametrize(
    ("body", "refusal", "field"),
    [
        pytest.param(lambda _: f"not JSON: {MARKER}", "malformed", None, id="no JSON"),
        pytest.param(lambda event: json.dumps(event), "malformed", "source", id="not from the bus"),
        pytest.param(lambda event: bus_body({**event, "seq": -1}), "malformed", "seq", id="no envelope"),
        pytest.param(lambda event: bus_body({**event, "seq": 0.5}), "malformed", None, id="a float"),
        pytest.param(
            lambda event: bus_body(event, source="switchyard.drafter"), "forged", "node_from", id="wrong source"
        ),
        pytest.param(
            lambda event: bus_body(event, source="upstream.portal"), "forged", "node_from", id="upstream's source"
        ),
        pytest.param(lambda event: bus_body(event, detail_type="DraftAnswer"), "forged", "type", id="wrong type"),
        pytest.param(lambda event: bus_body(with_state(event)), "forged", "digest", id="altered state"),
        pytest.param(
            lambda event: bus_body(rewritten(event, node_from="drafter")), "forged", "node_from", id="no right to it"
        ),
        pytest.param(
            lambda event: bus_body(rewritten(event, node_to="drafter")), "forged", "node_to", id="for another node"
        ),
    ],
)
async def test_a_message_that_is_no_authentic_event_is_quarantined_with_the_reason_and_the_consumer_goes_on(
    start_worker: StartWorker,
    cloud: Cloud,
    tap: Tap,
    log_lines: LogLines,
    case_id: str,
    body: Callable[[Json], str],
    refusal: str,
    field: str | None,
) -> None:
    handler = Counting()
    await start_worker(handler)
    raw = body(command(case_id))
    await cloud.send(QUEUE, raw)
    record = await cloud.quarantine_of(NODE, raw)
    assert (record["consumer"], record["refusal"], record["field"]) == (NODE, refusal, field)
    assert MARKER not in record["message"]
    after = fresh_id()
    await cloud.put(command(after))
    await tap.next(NODE, after)
    await cloud.settled(QUEUE)
    assert [task.envelope.case_id for task in handler.tasks] == [after]
    assert await tap.seen(NODE, case_id) == []
    [alarm] = [line for line in log_lines() if line["event"] == "message.quarantined"]
    assert alarm["alarm"] == ("integrity" if refusal == "forged" else "quarantine")


async def test_another_event_under_a_used_id_is_quarantined_and_the_first_outcome_stands(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    raw = bus_body(rewritten(command(case_id), state={"note": "forged"}))
    await cloud.send(QUEUE, raw)
    record = await cloud.quarantine_of(NODE, raw)
    assert (record["refusal"], record["field"]) == ("forged", "event_id")
    await cloud.settled(QUEUE)
    assert len(await tap.seen(NODE, case_id)) == 1
    assert len(handler.tasks) == 1


async def test_the_same_refused_bytes_are_kept_once(start_worker: StartWorker, cloud: Cloud) -> None:
    await start_worker(Counting())
    raw = f"not JSON {fresh_id()}"
    await cloud.send(QUEUE, raw)
    await cloud.send(QUEUE, raw)
    await cloud.settled(QUEUE)
    assert len([record for record in await cloud.quarantined(NODE) if record["raw"] == raw]) == 1
