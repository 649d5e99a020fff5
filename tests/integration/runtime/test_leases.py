"""A worker that lost its lease changes nothing, however late it comes."""

from __future__ import annotations

import pytest

from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.messaging.inbox import ClaimGranted, Inbox
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, command, envelope_of
from tests.integration.infrastructure import Owner
from tests.integration.runtime.conftest import QUEUE, Blocking, Counting, StartWorker
from tests.reference import build_task_failed

pytestmark = pytest.mark.integration


async def take_over(pool_for: PoolFor, owner: Owner, asked: Json) -> tuple[Inbox, ClaimGranted]:
    """Claim the command as another worker, as if the lease of the one that has it had run out."""
    await owner.execute(
        "update text_to_sql.inbox set lease_until = clock_timestamp() - interval '1 s' where event_id = $1",
        asked["event_id"],
    )
    inbox = Inbox(await pool_for(NODE), lease_s=30)
    claim = await inbox.claim(envelope_of(asked))
    assert isinstance(claim, ClaimGranted)
    return inbox, claim


def other_outcome(asked: Json) -> Json:
    """An outcome that the toy handler would never have."""
    failed = build_task_failed(envelope_of(asked), NODE, PermanentTaskError("winner", "the other worker says so"), 1)
    return failed | {"occurred_at": "2026-07-01T12:00:00Z", "trace": {}}


async def test_late_worker_publishes_the_winners_stored_outcome(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, pool_for: PoolFor, owner: Owner, case_id: str
) -> None:
    asked, handler = command(case_id), Blocking()
    await start_worker(handler, visibility_s=30.0)
    await cloud.put(asked)
    await handler.started.wait()
    inbox, claim = await take_over(pool_for, owner, asked)
    await inbox.complete(claim, [other_outcome(asked)])
    handler.release.set()
    assert await tap.next(NODE, case_id) == [other_outcome(asked)]
    await cloud.settled(QUEUE)
    assert len(handler.tasks) == 1
    assert await tap.seen(NODE, case_id) == [other_outcome(asked)]


async def test_worker_with_a_lost_lease_is_stopped_at_its_next_heartbeat(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, pool_for: PoolFor, owner: Owner, case_id: str
) -> None:
    asked, handler = command(case_id), Blocking()
    await start_worker(handler, visibility_s=1.0)
    await cloud.put(asked)
    await handler.started.wait()
    inbox, claim = await take_over(pool_for, owner, asked)
    await handler.cancelled.wait()
    assert await tap.seen(NODE, case_id) == []
    await inbox.complete(claim, [other_outcome(asked)])
    assert await tap.next(NODE, case_id) == [other_outcome(asked)]
    assert handler.tasks == []


async def test_late_failure_is_not_counted_against_the_new_worker(
    start_worker: StartWorker, cloud: Cloud, pool_for: PoolFor, owner: Owner, case_id: str
) -> None:
    asked, handler = command(case_id), Blocking()
    handler.fail_with(ValueError("late"))
    await start_worker(handler, visibility_s=30.0)
    await cloud.put(asked)
    await handler.started.wait()
    inbox, claim = await take_over(pool_for, owner, asked)
    handler.release.set()

    async def handled() -> bool:
        return handler.tasks != []

    await until(handled, "the late worker fails")
    await inbox.renew(claim)
    progress = await inbox.progress_of(asked["event_id"])
    assert progress is not None
    assert (progress.failures, progress.last_error, progress.claims) == (0, None, 2)


async def test_task_longer_than_its_lease_keeps_it(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, owner: Owner, case_id: str
) -> None:
    asked, handler, impatient = command(case_id), Blocking(), Counting()
    # The second worker starts on the loop of the first, which cannot renew meanwhile: a lease has to outlast that.
    await start_worker(handler, visibility_s=3.0)
    await cloud.put(asked)
    await handler.started.wait()
    await start_worker(impatient, visibility_s=3.0)
    first = await owner.fetchval("select lease_until from text_to_sql.inbox where event_id = $1", asked["event_id"])

    async def outlived() -> bool:
        passed: bool = await owner.fetchval("select clock_timestamp() > $1::timestamptz + interval '3 s'", first)
        return passed

    await until(outlived, "twice the lease")
    handler.release.set()
    await tap.next(NODE, case_id)
    row = await owner.fetchrow("select claims, token from text_to_sql.inbox where event_id = $1", asked["event_id"])
    assert row is not None
    assert tuple(row) == (1, 1)
    assert impatient.tasks == []


async def test_command_that_kills_all_its_workers_fails_as_worker_lost(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, pool_for: PoolFor, owner: Owner, case_id: str
) -> None:
    asked = command(case_id)
    claim = await Inbox(await pool_for(NODE), lease_s=0).claim(envelope_of(asked))
    assert isinstance(claim, ClaimGranted)
    await owner.execute("update text_to_sql.inbox set claims = 20 where event_id = $1", asked["event_id"])
    handler = Counting()
    await start_worker(handler)
    await cloud.put(asked)
    [event] = await tap.next(NODE, case_id)
    assert TaskFailed.model_validate(event["payload"], strict=False).code == "worker_lost"
    assert handler.tasks == []
