"""Work has one outcome: what the inbox grants, and to whom."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Access, Json
from switchyard.runtime.core.errors import InboxLeaseLost
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.messaging.inbox import (
    MAX_MODEL_ATTEMPTS_KEPT,
    ClaimBusy,
    ClaimCompleted,
    ClaimConflict,
    ClaimGranted,
    Inbox,
)
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, command, envelope_of, fresh_id
from tests.integration.infrastructure import Infrastructure, Owner

pytestmark = pytest.mark.integration

LEASE_S = 30.0
FOUND, FAILED = "FindingsReady", "TaskFailed"


def outcome(type_: str, command_id: str) -> list[Json]:
    """The one event that a command came to, with the fields that the outbox keeps as columns."""
    event_id = str(uuid.uuid5(uuid.UUID(command_id), type_))
    ids = {"event_id": event_id, "case_id": command_id, "digest": "d" * 64, "opened_on": "2026-07-01"}
    return [ids | {"type": type_, "node_to": "router", "payload": {"text": 'naïve "quoted" \\u0041'}}]


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    return await pool_for(NODE)


@pytest.fixture
async def inbox(pool: Pool) -> AsyncIterator[Inbox]:
    inbox = Inbox(pool, lease_s=LEASE_S)
    yield inbox
    await inbox.close()


@pytest.fixture
async def another(pool_for: PoolFor) -> AsyncIterator[Inbox]:
    """The inbox of a second worker of the same consumer."""
    inbox = Inbox(await pool_for(NODE), lease_s=LEASE_S)
    yield inbox
    await inbox.close()


@pytest.fixture
def task() -> Envelope:
    return envelope_of(command())


async def granted(inbox: Inbox, task: Envelope) -> ClaimGranted:
    claim = await inbox.claim(task)
    assert isinstance(claim, ClaimGranted), claim
    return claim


async def expire(owner: Owner, task: Envelope) -> None:
    """Let the lease end, as if its worker had been killed long ago."""
    await owner.execute(
        "update text_to_sql.inbox set lease_until = clock_timestamp() - interval '1 s' where event_id = $1",
        task.event_id,
    )


async def test_first_claim_is_granted_with_the_first_token(inbox: Inbox, task: Envelope) -> None:
    assert await inbox.claim(task) == ClaimGranted(task.event_id, token=1, claims=1, failures=0, last_error=None)


async def test_second_claim_during_lease_returns_remaining_seconds(
    inbox: Inbox, another: Inbox, task: Envelope
) -> None:
    await granted(inbox, task)
    claim = await another.claim(task)
    assert isinstance(claim, ClaimBusy)
    assert LEASE_S - 5 < claim.seconds <= LEASE_S


async def test_claim_after_completion_returns_the_stored_outcome(inbox: Inbox, another: Inbox, task: Envelope) -> None:
    found = outcome(FOUND, task.event_id)
    assert await inbox.complete(await granted(inbox, task), found) == found
    assert await another.claim(task) == ClaimCompleted(found)


async def test_claim_long_after_the_lease_returns_the_stored_outcome(
    inbox: Inbox, another: Inbox, task: Envelope, owner: Owner
) -> None:
    await inbox.complete(await granted(inbox, task), outcome(FOUND, task.event_id))
    await expire(owner, task)
    assert await another.claim(task) == ClaimCompleted(outcome(FOUND, task.event_id))


async def test_expired_lease_is_granted_again_with_a_higher_token(
    inbox: Inbox, another: Inbox, task: Envelope, owner: Owner
) -> None:
    first = await granted(inbox, task)
    await expire(owner, task)
    second = await granted(another, task)
    assert second.token > first.token
    assert second.claims == 2
    assert second.failures == 0


async def test_late_completion_changes_nothing_and_returns_the_winners_outcome(
    inbox: Inbox, another: Inbox, task: Envelope, owner: Owner
) -> None:
    late = await granted(inbox, task)
    await expire(owner, task)
    await another.complete(await granted(another, task), outcome(FOUND, task.event_id))
    assert await inbox.complete(late, outcome(FAILED, task.event_id)) == outcome(FOUND, task.event_id)
    assert await another.claim(task) == ClaimCompleted(outcome(FOUND, task.event_id))


async def test_late_completion_before_the_winner_finished_is_refused(
    inbox: Inbox, another: Inbox, task: Envelope, owner: Owner
) -> None:
    late = await granted(inbox, task)
    await expire(owner, task)
    winner = await granted(another, task)
    with pytest.raises(InboxLeaseLost):
        await inbox.complete(late, outcome(FAILED, task.event_id))
    assert await another.complete(winner, outcome(FOUND, task.event_id)) == outcome(FOUND, task.event_id)


async def test_second_completion_keeps_the_first_outcome(inbox: Inbox, task: Envelope) -> None:
    claim = await granted(inbox, task)
    await inbox.complete(claim, outcome(FOUND, task.event_id))
    assert await inbox.complete(claim, outcome(FAILED, task.event_id)) == outcome(FOUND, task.event_id)


async def test_same_id_with_another_digest_is_a_conflict(inbox: Inbox, task: Envelope) -> None:
    await granted(inbox, task)
    forged = task.model_copy(update={"digest": "0" * 64})
    assert await inbox.claim(forged) == ClaimConflict(task.digest)


async def test_other_digest_is_a_conflict_after_completion_and_after_expiry(
    inbox: Inbox, task: Envelope, owner: Owner
) -> None:
    forged = task.model_copy(update={"digest": "0" * 64})
    claim = await granted(inbox, task)
    await expire(owner, task)
    assert isinstance(await inbox.claim(forged), ClaimConflict)
    await inbox.complete(claim, outcome(FOUND, task.event_id))
    assert isinstance(await inbox.claim(forged), ClaimConflict)


async def test_two_copies_in_one_batch_give_one_claim(inbox: Inbox, task: Envelope) -> None:
    claims = await asyncio.gather(inbox.claim(task), inbox.claim(task))
    assert sorted(type(claim).__name__ for claim in claims) == ["ClaimBusy", "ClaimGranted"]


async def test_two_events_with_one_id_in_a_batch_give_at_most_one_claim(inbox: Inbox, task: Envelope) -> None:
    forged = task.model_copy(update={"digest": "0" * 64})
    first, second = await asyncio.gather(inbox.claim(task), inbox.claim(forged))
    assert isinstance(first, ClaimGranted)
    assert isinstance(second, ClaimBusy)
    assert isinstance(await inbox.claim(forged), ClaimConflict)


async def test_renewal_prolongs_the_lease(inbox: Inbox, another: Inbox, task: Envelope, owner: Owner) -> None:
    claim = await granted(inbox, task)
    await owner.execute(
        "update text_to_sql.inbox set lease_until = clock_timestamp() + interval '1 s' where event_id = $1",
        task.event_id,
    )
    await inbox.renew(claim)
    busy = await another.claim(task)
    assert isinstance(busy, ClaimBusy)
    assert busy.seconds > LEASE_S - 5


async def test_lost_lease_cannot_be_renewed(inbox: Inbox, another: Inbox, task: Envelope, owner: Owner) -> None:
    lost = await granted(inbox, task)
    await expire(owner, task)
    await granted(another, task)
    with pytest.raises(InboxLeaseLost):
        await inbox.renew(lost)


async def test_completed_task_cannot_be_renewed(inbox: Inbox, task: Envelope) -> None:
    claim = await granted(inbox, task)
    await inbox.complete(claim, outcome(FOUND, task.event_id))
    with pytest.raises(InboxLeaseLost):
        await inbox.renew(claim)


async def test_failure_is_counted_and_frees_the_task_at_once(inbox: Inbox, another: Inbox, task: Envelope) -> None:
    assert await inbox.fail(await granted(inbox, task), "throttled: too many requests") == 1
    again = await granted(another, task)
    assert (again.failures, again.last_error) == (1, "throttled: too many requests")
    assert await another.fail(again, "throttled: still") == 2


async def test_failed_attempts_model_calls_reach_next_claim(inbox: Inbox, another: Inbox, task: Envelope) -> None:
    first: Json = {"role": "primary", "outcome": "throttled"}
    await inbox.fail(await granted(inbox, task), "models_failed: both", model_attempts=[first])
    again = await granted(another, task)
    assert again.model_attempts == (first,)
    await another.fail(again, "bad_draft: no citation", model_attempts=[{"number": n} for n in range(9)])
    kept = (await granted(inbox, task)).model_attempts
    assert [attempt["number"] for attempt in kept] == list(range(9 - MAX_MODEL_ATTEMPTS_KEPT, 9)), "the latest"


async def test_credentials_of_attempts_without_an_outcome_reach_the_next_claim(
    inbox: Inbox, another: Inbox, task: Envelope
) -> None:
    used = [
        Access(
            subject=fresh_id(), agent="text_to_sql", grant=fresh_id(), jti=jti, audience="https://a", scopes=("read",)
        )
        for jti in ("tok-1", "tok-2")
    ]
    claim = await granted(inbox, task)
    claim.accesses.append(used[0])
    await inbox.fail(claim, "throttled: too many requests")
    again = await granted(another, task)
    again.accesses.append(used[1])
    await another.release(again)
    assert (await granted(inbox, task)).accesses == used


async def test_late_worker_cannot_count_a_failure(inbox: Inbox, another: Inbox, task: Envelope, owner: Owner) -> None:
    late = await granted(inbox, task)
    await expire(owner, task)
    await granted(another, task)
    with pytest.raises(InboxLeaseLost):
        await inbox.fail(late, "timeout: late")
    progress = await another.progress_of(task.event_id)
    assert progress is not None
    assert progress.failures == 0


async def test_progress_is_none_before_and_described_after_the_first_claim(inbox: Inbox, task: Envelope) -> None:
    assert await inbox.progress_of(task.event_id) is None
    await granted(inbox, task)
    progress = await inbox.progress_of(task.event_id)
    assert progress is not None
    assert (progress.outputs, progress.claims, progress.failures) == (None, 1, 0)
    assert progress.leased_for > 0


async def test_inbox_500_claims_of_200_tasks_grant_each_once(inbox: Inbox, another: Inbox) -> None:
    tasks = [envelope_of(command(fresh_id())) for _ in range(200)]
    order = [tasks[index * 37 % 200] for index in range(500)]
    claims = await asyncio.gather(*((inbox, another)[index % 2].claim(task) for index, task in enumerate(order)))
    grants = Counter(claim.event_id for claim in claims if isinstance(claim, ClaimGranted))
    assert grants == {task.event_id: 1 for task in tasks}
    assert {type(claim) for claim in claims} == {ClaimGranted, ClaimBusy}


async def test_overlapping_batches_of_two_workers_never_deadlock(inbox: Inbox, another: Inbox, owner: Owner) -> None:
    async def complete_late(claim: ClaimGranted) -> None:
        await inbox.complete(claim, outcome(FAILED, claim.event_id))

    for late in (inbox.renew, complete_late) * 8:
        tasks = [envelope_of(command(fresh_id())) for _ in range(50)]
        stale = await asyncio.gather(*(granted(inbox, task) for task in tasks))
        await owner.execute("update text_to_sql.inbox set lease_until = clock_timestamp() where outputs is null")
        opposite = sorted(stale, key=lambda claim: claim.event_id, reverse=True)
        ends = await asyncio.gather(
            *(late(claim) for claim in opposite),
            *(another.claim(task) for task in tasks),
            return_exceptions=True,
        )
        assert not [end for end in ends if isinstance(end, Exception) and not isinstance(end, InboxLeaseLost)]


async def test_late_worker_and_its_successor_agree_on_the_outcome(inbox: Inbox, another: Inbox, owner: Owner) -> None:
    tasks = [envelope_of(command(fresh_id())) for _ in range(100)]
    stale = await asyncio.gather(*(granted(inbox, task) for task in tasks))
    await owner.execute("update text_to_sql.inbox set lease_until = clock_timestamp() where outputs is null")

    async def finish_late(claim: ClaimGranted) -> list[Json] | None:
        try:
            return await inbox.complete(claim, outcome(FAILED, claim.event_id))
        except InboxLeaseLost:
            return None

    async def take_over(task: Envelope) -> list[Json] | None:
        match await another.claim(task):
            case ClaimGranted() as claim:
                return await another.complete(claim, outcome(FOUND, task.event_id))
            case ClaimCompleted(outputs):
                return outputs
            case _:
                return None

    late = await asyncio.gather(
        *(finish_late(claim) for claim in stale[::2]), *(take_over(task) for task in reversed(tasks))
    )
    stored = [await inbox.progress_of(task.event_id) for task in tasks]
    outcomes = {task.event_id: progress and progress.outputs for task, progress in zip(tasks, stored, strict=True)}
    assert all(kept in (outcome(FOUND, task), outcome(FAILED, task)) for task, kept in outcomes.items())
    published = zip([*tasks[::2], *reversed(tasks)], late, strict=True)
    assert all(mine is None or mine == outcomes[task.event_id] for task, mine in published)


async def test_concurrent_claims_completions_and_renewals_share_statements(
    infrastructure: Infrastructure,
) -> None:
    statements: list[str] = []

    async def listen(connection: Owner) -> None:
        connection.add_query_logger(lambda query: statements.append(query.query))

    pool = await asyncpg.create_pool(
        infrastructure.role_url(NODE), min_size=1, max_size=4, init=listen, server_settings={"search_path": NODE}
    )
    inbox = Inbox(pool, lease_s=LEASE_S)
    tasks = [envelope_of(command(fresh_id())) for _ in range(100)]
    claims = await asyncio.gather(*(granted(inbox, task) for task in tasks))
    await asyncio.gather(*(inbox.renew(claim) for claim in claims))
    await asyncio.gather(*(inbox.complete(claim, outcome(FOUND, claim.event_id)) for claim in claims))
    await inbox.close()
    await pool.close()
    ours = [statement for statement in statements if "inbox" in statement]
    assert len(ours) == 6, "two full batches of fifty for each of the three"
