"""Each consumer drains its own dead-letter queue: every dead letter is a decision."""

from __future__ import annotations

import pytest

from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES
from switchyard.runtime.messaging.inbox import ClaimGranted, Inbox
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.conftest import LogLines, PoolFor
from tests.integration.events import NODE, bus_body, command, envelope_of, rewritten
from tests.integration.infrastructure import Owner
from tests.integration.runtime.conftest import DEAD_LETTERS, QUEUE, Blocking, Counting, StartWorker

pytestmark = pytest.mark.integration


async def test_dead_letter_never_started_is_redriven_and_completed(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put_dead_letter(NODE, bus_body(command(case_id)))
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    await cloud.settled(QUEUE, DEAD_LETTERS)
    assert len(handler.tasks) == 1


async def test_dead_letter_redriven_too_often_fails_its_task(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put_dead_letter(NODE, bus_body(command(case_id)), switchyard_redrives=str(MAX_REDRIVES))
    [event] = await tap.next(NODE, case_id)
    assert (event["type"], event["payload"]["code"]) == ("TaskFailed", "dead_letter")
    assert handler.tasks == []


async def test_dead_letter_with_a_stored_outcome_is_published_again(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    await cloud.put_dead_letter(NODE, bus_body(command(case_id)))
    first, second = await tap.next(NODE, case_id, 2)
    assert first == second
    await cloud.settled(DEAD_LETTERS)
    assert len(handler.tasks) == 1


async def test_dead_letter_leased_by_a_worker_waits_for_its_outcome(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, log_lines: LogLines, case_id: str
) -> None:
    handler = Blocking()
    await start_worker(handler, visibility_s=1.0)
    await cloud.put(command(case_id))
    await handler.started.wait()
    await cloud.put_dead_letter(NODE, bus_body(command(case_id)))

    decided: list[str] = []

    async def postponed() -> bool:
        decided.extend(line["decision"] for line in log_lines() if line["event"] == "dead_letter.decided")
        return decided != [] and (await cloud.counts(DEAD_LETTERS))[1] == 1

    await until(postponed, "the dead letter waits")
    assert decided == ["awaitlease"]
    assert await tap.seen(NODE, case_id) == []
    handler.release.set()
    first, second = await tap.next(NODE, case_id, 2)
    assert first == second
    assert first["type"] == "FindingsReady"
    await cloud.settled(DEAD_LETTERS)
    assert len(handler.tasks) == 1


async def test_dead_letter_after_last_attempt_fails_task_with_last_error(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, pool_for: PoolFor, case_id: str
) -> None:
    asked = command(case_id)
    inbox = Inbox(await pool_for(NODE), lease_s=30)
    claim = await inbox.claim(envelope_of(asked))
    assert isinstance(claim, ClaimGranted)
    await inbox.fail(claim, "throttled: too many requests")
    handler = Counting()
    await start_worker(handler)
    await cloud.put_dead_letter(NODE, bus_body(asked))
    [event] = await tap.next(NODE, case_id)
    assert (event["type"], event["payload"]["code"]) == ("TaskFailed", "dead_letter")
    assert (event["payload"]["attempts"], event["payload"]["causes"]) == (1, ["throttled: too many requests"])
    await cloud.deliver(NODE, asked)
    first, second = await tap.next(NODE, case_id, 2)
    assert first == second, "the failure is the command's one outcome"
    assert handler.tasks == []


async def test_dead_letter_without_an_event_is_quarantined(
    start_worker: StartWorker, cloud: Cloud, case_id: str
) -> None:
    await start_worker(Counting())
    raw = f"not JSON {case_id}"
    await cloud.put_dead_letter(NODE, raw)
    assert (await cloud.quarantine_of(NODE, raw))["reason"] == "malformed"
    await cloud.settled(DEAD_LETTERS)


async def test_dead_letter_with_foreign_event_id_is_quarantined(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, owner: Owner, case_id: str
) -> None:
    await start_worker(Counting())
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    raw = bus_body(rewritten(command(case_id), state={"note": "forged"}))
    await cloud.put_dead_letter(NODE, raw)
    record = await cloud.quarantine_of(NODE, raw)
    assert (record["reason"], record["field"]) == ("forged", "event_id")
    await cloud.settled(DEAD_LETTERS)
    assert len(await tap.seen(NODE, case_id)) == 1
