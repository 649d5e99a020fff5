"""An unreachable database is no attempt: the consumer waits, says so, and goes on when it is back."""

from __future__ import annotations

import pytest

from switchyard.runtime.process import process
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.conftest import LogLines
from tests.integration.events import NODE, command, fresh_id
from tests.integration.infrastructure import Infrastructure
from tests.integration.runtime.conftest import QUEUE, Blocking, Counting, StartWorker

pytestmark = pytest.mark.integration


async def test_polling_pauses_during_postgres_outage_without_attempts(
    infrastructure: Infrastructure,
    start_worker: StartWorker,
    cloud: Cloud,
    tap: Tap,
    log_lines: LogLines,
    case_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The consumer is to notice the outage: the relay of the outbox, which may notice it first, rests.
    monkeypatch.setattr(process, "RELAY_INTERVAL_S", 3_600.0)
    handler = Counting()
    worker = await start_worker(handler)
    before, waiting = fresh_id(), fresh_id()
    first, second = command(case_id, attempts=1), command(waiting, attempts=1)
    await cloud.put(command(before))
    await tap.next(NODE, before)
    await infrastructure.stop("postgres")
    try:
        await cloud.put(first)
        await worker.is_failing("database")

        async def back() -> bool:
            return (await cloud.counts(QUEUE))[0] == 1

        await until(back, "the command is visible on its queue again")
        await cloud.put(second)
        await tap.silent(NODE, waiting, seconds=1)
        assert await cloud.counts(QUEUE) == (2, 0, 0), "somebody polls"
        assert await worker.failing() == ["database"]
    finally:
        await infrastructure.start("postgres")
    await tap.next(NODE, case_id)
    await tap.next(NODE, waiting)
    await worker.is_failing()
    await cloud.settled(QUEUE)
    assert sorted(task.envelope.case_id for task in handler.tasks) == sorted([before, case_id, waiting])
    assert {task.attempt for task in handler.tasks} == {1}
    assert len([line for line in log_lines() if line["event"] == "message.deferred"]) == 1


async def test_outcome_during_a_postgres_outage_is_kept_until_it_returns(
    infrastructure: Infrastructure, start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Blocking()
    worker = await start_worker(handler)
    await cloud.put(command(case_id))
    await handler.started.wait()
    await infrastructure.stop("postgres")
    try:
        handler.release.set()
        await worker.is_failing("database")
        assert await tap.seen(NODE, case_id) == []
    finally:
        await infrastructure.start("postgres")
    [event] = await tap.next(NODE, case_id)
    assert event["type"] == "FindingsReady"
    await cloud.settled(QUEUE)
    assert len(handler.tasks) == 1
