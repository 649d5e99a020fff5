"""What is not an authentic event is kept for a person, alarms, ends no case, and stops no consumer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from tests.integration.cloud import Cloud, Tap
from tests.integration.conftest import LogLines
from tests.integration.events import MARKER, NODE, bus_body, command, fresh_id, rewritten
from tests.integration.runtime.conftest import QUEUE, Counting, StartWorker

pytestmark = pytest.mark.integration


ASKED = command(fresh_id())
# Each body with the kind of refusal and the field that its record must name.
REFUSED: dict[str, tuple[str, str, str | None]] = {
    "no JSON": (f"not JSON: {MARKER}", "malformed", None),
    "not from the bus": (json.dumps(ASKED), "malformed", "source"),
    "no envelope": (bus_body({**ASKED, "seq": -1}), "malformed", "seq"),
    "nested arrays": ('{"detail-type":"x","detail":' + "[" * 5_000, "malformed", None),
    "nested objects": ('{"detail":' * 5_000, "malformed", None),
    "a huge integer": (bus_body(ASKED).replace('"seq": 1', '"seq": ' + "9" * 5_000), "malformed", None),
    "NaN": (bus_body(ASKED).replace('"seq": 1', '"seq": NaN'), "malformed", None),
    "a float": (bus_body({**ASKED, "seq": 0.5}), "malformed", None),
    "wrong source": (bus_body(ASKED, source="switchyard.drafter"), "forged", "node_from"),
    "upstream's source": (bus_body(ASKED, source="upstream.portal"), "forged", "node_from"),
    "wrong type": (bus_body(ASKED, detail_type="DraftAnswer"), "forged", "type"),
    "altered state": (bus_body({**ASKED, "state": {"step": "drafter", "note": MARKER}}), "forged", "digest"),
    "no right to it": (bus_body(rewritten(ASKED, node_from="drafter")), "forged", "node_from"),
    "for another node": (bus_body(rewritten(ASKED, node_to="drafter")), "forged", "node_to"),
}


async def test_unauthentic_bytes_are_quarantined_and_the_consumer_continues(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, log_lines: LogLines, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    for raw, _, _ in REFUSED.values():
        await cloud.send(QUEUE, raw)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    await cloud.settled(QUEUE)
    assert [task.envelope.case_id for task in handler.tasks] == [case_id]
    assert await tap.seen(NODE, ASKED["case_id"]) == [], "a refused message is no failure of its case"
    records = {record["sha256"]: record for record in await cloud.quarantined(NODE)}
    kept = {name: records[hashlib.sha256(raw.encode()).hexdigest()] for name, (raw, _, _) in REFUSED.items()}
    for name, (raw, _, _) in REFUSED.items():
        from_outside = '"source": "upstream.' in raw  # may hold personal data in the clear
        assert kept[name]["raw"] == (None if from_outside else raw), name
    reasons = {name: (record["reason"], record["field"]) for name, record in kept.items()}
    assert reasons == {name: (rejection, field) for name, (_, rejection, field) in REFUSED.items()}
    assert all(record["consumer"] == NODE and MARKER not in record["message"] for record in kept.values())
    alarms = Counter(line["alarm"] for line in log_lines() if line["event"] == "message.quarantined")
    assert alarms == {"quarantine": 8, "integrity": 6}


async def test_reused_event_id_is_quarantined_and_first_outcome_stands(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    raw = bus_body(rewritten(command(case_id), state={"note": "forged"}))
    await cloud.send(QUEUE, raw)
    record = await cloud.quarantine_of(NODE, raw)
    assert (record["reason"], record["field"]) == ("forged", "event_id")
    await cloud.settled(QUEUE)
    assert len(await tap.seen(NODE, case_id)) == 1
    assert len(handler.tasks) == 1


async def test_refused_bytes_repeated_are_quarantined_once(start_worker: StartWorker, cloud: Cloud) -> None:
    await start_worker(Counting())
    raw = f"not JSON {fresh_id()}"
    await cloud.send(QUEUE, raw)
    await cloud.send(QUEUE, raw)
    await cloud.settled(QUEUE)
    assert len([record for record in await cloud.quarantined(NODE) if record["raw"] == raw]) == 1
