"""A noisy upstream stops no other: cases are opened in fair turns, and what is not a submission waits behind none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.case_manager.arrivals import ArrivalQueue, ArrivalTable, BacklogLimits
from switchyard.case_manager.intake import UpstreamPolicy
from switchyard.case_manager.rejections import RejectionReports
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import case_id_for
from switchyard.runtime.database.connections import Database
from tests.integration.case_manager.conftest import MAC_KEY, USER, CaseManager, submission
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration
NOISY, QUIET = "upstream.noisy", "upstream.quiet"
KEY = bytes.fromhex(MAC_KEY)


class Queue:
    """An arrival queue over the real tables, whose publisher keeps what is published."""

    def __init__(self, queue: ArrivalQueue) -> None:
        self.published: list[Json] = []
        self.queue = replace(queue, publisher=self)

    async def publish(self, events: Any) -> None:
        """Keep it."""
        self.published += events

    async def receive(self, *details: Json, source: str = NOISY) -> list[Json]:
        """Receive submissions at once; the rejections that follow."""
        answers = await asyncio.gather(*(self.queue.receive(source, "CaseSubmitted", detail) for detail in details))
        return [event for answer in answers for event in answer]

    async def turns(self, count: int) -> list[str]:
        """The sources whose turn it is, in claims of one."""
        claimed = [arrival for _ in range(count) for arrival in await self.queue.table.claim(1)]
        return [arrival.source for arrival in claimed]


@pytest.fixture
async def arrivals(case_manager: CaseManager) -> Queue:
    """The queue of most tests."""
    return Queue(case_manager.arrivals)


async def queue_of(case_manager: CaseManager, pool_for: PoolFor, **options: Any) -> Queue:
    """A queue with limits or upstreams of its own."""
    database = Database(await pool_for("case_manager"), "the work database")
    intake = replace(case_manager.intake, upstreams=options.get("upstreams"))
    return Queue(ArrivalQueue(ArrivalTable(database, KEY, **options), intake, case_manager.outbox))


async def test_source_behind_anothers_flood_has_the_next_turn(arrivals: Queue) -> None:
    await arrivals.receive(*(submission() for _ in range(300)))
    await arrivals.receive(submission(), source=QUIET)
    assert QUIET in {arrival.source for arrival in await arrivals.queue.table.claim(2)}


async def test_tenant_behind_anothers_flood_has_the_next_turn_of_its_source(arrivals: Queue, owner: Owner) -> None:
    await arrivals.receive(*(submission(tenant="noisy") for _ in range(300)))
    await arrivals.receive(submission(tenant="quiet"))
    details = [arrival.detail for arrival in await arrivals.queue.table.claim(2)]
    assert {detail["tenant"] for detail in details if detail} == {"noisy", "quiet"}


async def test_tenants_outside_a_sources_policy_give_it_no_turns(case_manager: CaseManager, pool_for: PoolFor) -> None:
    upstreams = {NOISY: UpstreamPolicy(tenants=("acme",)), QUIET: UpstreamPolicy(tenants=("*",))}
    queue = await queue_of(case_manager, pool_for, upstreams=upstreams)
    await queue.receive(*(submission(tenant=f"invented-{n}") for n in range(50)))
    await queue.receive(submission(tenant="acme"))
    tenants = [detail["tenant"] for a in await queue.queue.table.claim(2) if (detail := a.detail)]
    assert "acme" in tenants


async def test_source_with_a_share_of_three_has_three_turns_of_four(
    case_manager: CaseManager, pool_for: PoolFor
) -> None:
    upstreams = {NOISY: UpstreamPolicy(tenants=("*",)), QUIET: UpstreamPolicy(tenants=("*",), share=3)}
    queue = await queue_of(case_manager, pool_for, upstreams=upstreams)
    for source in (NOISY, QUIET):
        await queue.receive(*(submission() for _ in range(20)), source=source)
    sources = [arrival.source for arrival in await queue.queue.table.claim(8)]
    assert (sources.count(QUIET), sources.count(NOISY)) == (6, 2)


async def test_concurrent_workers_claim_different_submissions(arrivals: Queue) -> None:
    await arrivals.receive(*(submission() for _ in range(40)))
    claims = await asyncio.gather(*(arrivals.queue.table.claim(10) for _ in range(4)))
    taken = [arrival.arrival_id for claim in claims for arrival in claim]
    assert len(taken) == len(set(taken)) == 40
    assert await arrivals.queue.table.claim() == []


async def test_arrival_claimed_by_a_dead_worker_is_opened_by_another(arrivals: Queue, owner: Owner) -> None:
    detail = submission()
    await arrivals.receive(detail)
    assert len(await arrivals.queue.table.claim()) == 1
    assert await arrivals.queue.tick() == 0
    await owner.execute("update case_manager.arrival set due_at = now()")
    assert await arrivals.queue.tick() == 1
    [event] = arrivals.published
    assert event["case_id"] == case_id_for("acme", NOISY, USER, detail["idempotency_key"])
    assert await owner.fetchval("select count(*) from case_manager.arrival") == 0


async def test_waiting_submission_is_sealed_and_an_altered_one_opens_no_case(arrivals: Queue, owner: Owner) -> None:
    word = fresh_id()
    await arrivals.receive(submission(question=word))
    row = await owner.fetchrow("select arrival::text as text, sealed from case_manager.arrival")
    assert row is not None
    assert word not in row["text"]
    assert word.encode() not in row["sealed"]
    await owner.execute("update case_manager.arrival set source = 'upstream.other'")
    await arrivals.queue.tick()
    assert arrivals.published == []


async def test_submission_repeated_is_queued_once(arrivals: Queue, owner: Owner) -> None:
    detail = submission()
    await arrivals.receive(*[detail] * 20)
    await arrivals.receive(detail)
    assert await owner.fetchval("select count(*) from case_manager.arrival") == 1


async def test_tenant_over_its_limit_is_rejected_once_per_hour_and_others_are_not(
    case_manager: CaseManager, pool_for: PoolFor, owner: Owner
) -> None:
    queue = await queue_of(case_manager, pool_for, limits=BacklogLimits(tenant=10, source=100))
    first = [submission(tenant="noisy") for _ in range(10)]
    assert await queue.receive(*first) == []
    assert await queue.receive(*first) == [], "what waits already is not over the limit"
    [rejected] = await queue.receive(*(submission(tenant="noisy") for _ in range(30)))
    assert rejected["payload"]["code"] == "over_limit"
    assert rejected["payload"]["remedy"]
    assert await queue.receive(submission(tenant="quiet")) == []
    row = await owner.fetchrow("select count, events from case_manager.rejection")
    assert row is not None
    assert tuple(row) == (30, 1)
    await queue.queue.tick()
    assert await queue.receive(submission(tenant="noisy")) == [], "there is room again"


async def test_source_over_its_limit_is_rejected_and_others_are_not(
    case_manager: CaseManager, pool_for: PoolFor
) -> None:
    queue = await queue_of(case_manager, pool_for, limits=BacklogLimits(tenant=10, source=15))
    for tenant in ("a", "b"):
        rejected = await queue.receive(*(submission(tenant=tenant) for _ in range(10)))
    assert [event["payload"]["code"] for event in rejected] == ["over_limit"]
    assert await queue.receive(submission(), source=QUIET) == []


async def test_arrival_of_a_source_outside_the_upstreams_is_refused_as_forged(arrivals: Queue) -> None:
    with pytest.raises(InvalidEvent, match="forged"):
        await arrivals.receive(submission(), source="switchyard.router")


async def test_submission_that_always_fails_is_rejected_and_others_continue(
    arrivals: Queue, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = submission(question="bad"), submission()
    opens = arrivals.queue.intake.open_case

    async def failing(source: str, detail: Json, type_: str) -> list[Json]:
        if detail["question"] == "bad":
            raise ZeroDivisionError
        return await opens(source, detail, type_)

    monkeypatch.setattr(type(arrivals.queue.intake), "open_case", lambda _, *arguments: failing(*arguments))
    await arrivals.receive(bad, good)
    for _ in range(6):
        await arrivals.queue.tick()
        await owner.execute("update case_manager.arrival set due_at = now()")
    assert [event["type"] for event in arrivals.published] == ["CaseOpened", "SubmissionRejected"]
    assert arrivals.published[1]["payload"]["code"] == "not_handled"
    assert await owner.fetchval("select count(*) from case_manager.arrival") == 0


async def test_invalid_submissions_leave_a_few_events_and_one_count(
    arrivals: Queue, case_manager: CaseManager, clock: ManualClock, owner: Owner
) -> None:
    await arrivals.receive(*(submission(question="") for _ in range(200)))
    await arrivals.queue.tick()
    assert [event["type"] for event in arrivals.published] == ["SubmissionRejected"] * 5
    assert await owner.fetchval("select count(*) from case_manager.outbox") == 5
    reports = RejectionReports(case_manager.store, CATALOGUE, clock, arrivals, timedelta(days=30))
    assert await reports.tick() == 0, "the hour is not over"
    clock.advance(3_700)
    assert await reports.tick() == 1
    assert await reports.tick() == 0
    counted = arrivals.published[-1]
    payload = counted["payload"]
    assert (counted["type"], counted["tenant"], payload["code"]) == ("RejectionsCounted", "acme", "invalid_submission")
    assert (payload["count"], payload["events"], payload["submitted_by"]) == (200, 5, NOISY)
    clock.advance(31 * 86_400)
    await reports.tick()
    assert await owner.fetchval("select count(*) from case_manager.rejection") == 0


async def test_invented_tenants_and_reasons_leave_a_bounded_number_of_rows(arrivals: Queue, owner: Owner) -> None:
    await arrivals.receive(*(submission(tenant=f"tenant-{n}", question="") for n in range(300)))
    await arrivals.queue.tick()
    assert await owner.fetchval("select count(*) from case_manager.rejection") <= 21
    assert await owner.fetchval("select sum(count) from case_manager.rejection") == 300
    assert await owner.fetchval("select count(*) from case_manager.outbox") <= 25


async def test_rejections_of_a_source_hold_up_each_other_and_no_other_source(
    case_manager: CaseManager, owner: Owner
) -> None:
    async def reject(source: str) -> list[Json]:
        return await case_manager.intake.open_case(source, submission(question=""), "CaseSubmitted")

    async with case_manager.store._database.transaction() as database:
        await database.execute("lock_rejections", NOISY)
        held_up = asyncio.create_task(reject(NOISY))
        assert [event["type"] for event in await asyncio.wait_for(reject(QUIET), 10)] == ["SubmissionRejected"]
        counted = await owner.fetchval("select array_agg(source) from case_manager.rejection")
        assert (counted, held_up.done()) == ([QUIET], False)
    assert [event["type"] for event in await held_up] == ["SubmissionRejected"]
