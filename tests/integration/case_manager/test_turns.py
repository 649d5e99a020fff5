"""Turns of a session are open one at a time, in order; each has one ending, and none is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from switchyard.case_manager import retry
from switchyard.case_manager.arrivals import ArrivalQueue, ArrivalTable, BacklogLimits
from switchyard.case_manager.sessions import TurnRules
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import case_id_for
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text
from tests.integration.case_manager.conftest import (
    MAC_KEY,
    SOURCE,
    USER,
    CaseManager,
    StartCaseManager,
    close_case,
    halt,
    make_overdue,
    operate,
    resume,
    submission,
)
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration


async def submit(case_manager: CaseManager, session: str = "s", **changes: str | int) -> list[Json]:
    """What follows from a turn."""
    return await case_manager.intake.open_case(SOURCE, submission(session_id=session, **changes), "CaseSubmitted")


async def end(case_manager: CaseManager, opened: Json, outcome: str = "answered") -> list[Json]:
    """The openings that follow when a case ends."""
    _, *openings = await case_manager.closing.close_case(close_case(opened, outcome))
    return openings


async def reopen(pool_for: PoolFor, opened: Json) -> None:
    """Open a case again, as a retry does."""
    database = Database(await pool_for("case_manager"), "the work database", load_queries(retry.__file__))
    event = opened | {"event_id": fresh_id()}
    await database.execute(
        "reopen", opened["case_id"], "retry-1", fresh_id(), "ada", event["event_id"], event_text(event)
    )


def questions(openings: list[Json]) -> list[int]:
    """Which turns these are."""
    return [event["payload"]["turn"] for event in openings]


async def session_row(owner: Owner) -> tuple[bool, int]:
    """Whether a turn has the place, and how many wait."""
    row = await owner.fetchrow("select open_case is not null as taken, queued from case_manager.session")
    assert row is not None
    return row["taken"], row["queued"]


@pytest.mark.parametrize("outcome", ["answered", "failed", "no_agent"])
async def test_turn_behind_an_open_one_opens_when_that_has_ended(
    case_manager: CaseManager, owner: Owner, outcome: str
) -> None:
    [first] = await submit(case_manager)
    assert await submit(case_manager) == await submit(case_manager) == []
    [second] = await end(case_manager, first, outcome)
    assert (second["payload"]["turn"], second["payload"]["previous_case"]) == (2, first["case_id"])
    [third] = await end(case_manager, second, outcome)
    assert third["payload"]["turn"] == 3
    assert await end(case_manager, third, outcome) == []
    assert await session_row(owner) == (False, 0)
    assert questions(await submit(case_manager)) == [4]


async def test_ending_delivered_again_opens_no_further_turn(case_manager: CaseManager) -> None:
    [first] = await submit(case_manager)
    await submit(case_manager)
    await submit(case_manager)
    answers = await asyncio.gather(*(end(case_manager, first) for _ in range(5)))
    assert {each["payload"]["turn"] for openings in answers for each in openings} == {2}
    assert await end(case_manager, first, "failed") == []


async def test_turn_whose_opener_was_killed_before_it_published_is_published_by_the_relay(
    case_manager: CaseManager, owner: Owner
) -> None:
    [first] = await submit(case_manager)
    await submit(case_manager)
    waiting = await owner.fetchval("select count(*) from case_manager.outbox where publish_after = 'infinity'")
    assert waiting == 1
    await end(case_manager, first)  # and dies here
    await make_overdue(owner)
    await case_manager.outbox.tick()
    unpublished = "select count(*) from case_manager.outbox where published_at is null"
    assert await owner.fetchval(unpublished) == 0


async def test_turn_submitted_again_while_it_waits_is_not_published_and_afterwards_is(
    case_manager: CaseManager,
) -> None:
    [first] = await submit(case_manager)
    detail = submission(session_id="s")
    for _ in range(3):
        assert await case_manager.intake.open_case(SOURCE, detail, "CaseSubmitted") == []
    [second] = await end(case_manager, first)
    assert await case_manager.intake.open_case(SOURCE, detail, "CaseSubmitted") == [second]


async def test_sessions_do_not_wait_for_each_other(case_manager: CaseManager) -> None:
    await submit(case_manager, "s")
    assert questions(await submit(case_manager, "t")) == [1]
    assert questions(await submit(case_manager, "s", user_id="b.okoro")) == [1], "another person's session"


async def test_turn_that_is_never_reached_ends_at_its_deadline_and_says_so(
    case_manager: CaseManager, clock: ManualClock, owner: Owner
) -> None:
    [first] = await submit(case_manager, deadline_ms=600_000)
    await submit(case_manager, deadline_ms=60_000)
    await submit(case_manager, deadline_ms=600_000)
    clock.advance(61)
    closed, opened = await case_manager.closing.close_expired()
    assert (opened["type"], opened["payload"]["turn"], opened["case_id"]) == ("CaseOpened", 2, closed["case_id"])
    assert closed["parents"] == [opened["digest"]]
    assert (closed["payload"]["outcome"], closed["payload"]["code"]) == ("expired", "turn_not_reached")
    assert closed["payload"]["remedy"]
    assert await session_row(owner) == (True, 1)
    assert questions(await end(case_manager, first)) == [3]


async def test_open_turn_at_its_deadline_makes_way_for_the_next(case_manager: CaseManager, clock: ManualClock) -> None:
    await submit(case_manager, deadline_ms=60_000)
    await submit(case_manager, deadline_ms=600_000)
    clock.advance(61)
    closed, opened = await case_manager.closing.close_expired()
    assert (closed["payload"]["code"], opened["payload"]["turn"]) == ("case_deadline", 2)


async def test_turns_that_expire_together_with_the_open_one_all_end_and_free_the_session(
    case_manager: CaseManager, clock: ManualClock, owner: Owner
) -> None:
    for _ in range(4):
        await submit(case_manager, deadline_ms=60_000)
    clock.advance(61)
    events = await case_manager.closing.close_expired()
    endings = [event["case_id"] for event in events if event["type"] == "CaseClosed"]
    assert len(endings) == len(set(endings)) == 4
    assert {event["case_id"] for event in events} == set(endings)
    assert await session_row(owner) == (False, 0)
    assert questions(await submit(case_manager)) == [5]


async def test_cancelled_turn_frees_its_place_in_the_queue(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    [first] = await submit(case_manager)
    await submit(case_manager)
    await submit(case_manager)
    second = await owner.fetchval("select case_id::text from case_manager.submission where turn = 2")
    assert await operate(case_manager, owner, clock, "cancel", second) == "cancelled"
    assert await case_manager.closing.close_cancelled() == [], "the tick has ended it"
    assert await session_row(owner) == (True, 1)
    assert questions(await end(case_manager, first)) == [3]


async def test_cancelled_open_turn_makes_way_for_the_next(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    [first] = await submit(case_manager)
    await submit(case_manager)
    assert await operate(case_manager, owner, clock, "cancel", first["case_id"]) == "cancelled"
    row = "select turn from case_manager.session n join case_manager.submission s on s.case_id = n.open_case"
    assert await owner.fetchval(row) == 2


async def test_turn_that_is_due_while_its_playbook_is_halted_is_parked_and_keeps_its_place(
    case_manager: CaseManager, owner: Owner
) -> None:
    [first] = await submit(case_manager)
    await submit(case_manager)
    await submit(case_manager)
    await halt(owner)
    assert await end(case_manager, first) == []
    assert await submit(case_manager) == []
    assert await case_manager.timers.commands.release_parked() == []
    await resume(owner)
    [second] = await case_manager.timers.commands.release_parked()
    assert second["payload"]["turn"] == 2
    assert questions(await end(case_manager, second)) == [3]


async def test_retried_turn_has_the_place_if_no_later_turn_has_it(case_manager: CaseManager, pool_for: PoolFor) -> None:
    [first] = await submit(case_manager)
    await end(case_manager, first, "failed")
    await reopen(pool_for, first)
    assert await submit(case_manager) == []
    later = await case_manager.closing.close_case(close_case(first | {"attempt": "retry-1"}))
    assert questions(later[1:]) == [2]


async def test_retried_turn_does_not_wait_for_a_later_turn(case_manager: CaseManager, pool_for: PoolFor) -> None:
    [first] = await submit(case_manager)
    assert await submit(case_manager) == []
    [second] = await end(case_manager, first, "failed")
    await reopen(pool_for, first)
    assert await submit(case_manager) == []
    retried = await case_manager.closing.close_case(close_case(first | {"attempt": "retry-1"}))
    assert retried[1:] == [], "it had no place to free"
    assert questions(await end(case_manager, second)) == [3]


async def test_submission_is_rejected_by_name_where_the_playbook_rejects_turns(case_manager: CaseManager) -> None:
    intake = replace(case_manager.intake, turns=TurnRules({"assist": "reject"}))
    strict = replace(case_manager, intake=intake)
    [first] = await submit(strict)
    detail = submission(session_id="s")
    [refused] = await intake.open_case(SOURCE, detail, "CaseSubmitted")
    assert (refused["type"], refused["payload"]["code"]) == ("SubmissionRejected", "turn_open")
    assert refused["payload"]["field"] == "session_id"
    assert refused["payload"]["remedy"]
    assert await end(strict, first) == []
    assert await intake.open_case(SOURCE, detail, "CaseSubmitted") == [refused], "a late copy is refused, too"
    assert questions(await submit(strict)) == [2]


async def test_turn_over_the_limit_of_its_session_is_rejected_by_name(case_manager: CaseManager, owner: Owner) -> None:
    limited = replace(case_manager, intake=replace(case_manager.intake, turns=TurnRules({"assist": "queue"}, 3)))
    [first] = await submit(limited)
    answers = await asyncio.gather(*(submit(limited) for _ in range(5)))
    refused = [event["payload"]["code"] for answer in answers for event in answer]
    assert refused == ["session_full"] * 2
    assert questions(await end(limited, first)) == [2]
    assert await session_row(owner) == (True, 2)
    assert await submit(limited) == [], "there is room again"


async def test_session_with_500_waiting_turns_delays_no_other_sessions_question(
    case_manager: CaseManager, pool_for: PoolFor, owner: Owner
) -> None:
    queue = ArrivalQueue(case_manager.arrivals.table, case_manager.intake, case_manager.outbox)
    for _ in range(2):
        details = [submission(session_id="long") for _ in range(250)]
        await asyncio.gather(*(queue.receive(SOURCE, "CaseSubmitted", detail) for detail in details))
    await queue.receive(SOURCE, "CaseSubmitted", submission(session_id="short"))
    sessions = [arrival.detail["session_id"] for arrival in await queue.table.claim() if arrival.detail]
    assert sorted(sessions) == ["long", "short"], "one of each, though 499 arrived before"


async def test_turns_become_cases_in_the_order_of_their_arrival(
    start_case_manager: StartCaseManager, owner: Owner
) -> None:
    managers = [await start_case_manager() for _ in range(3)]
    details = [submission(session_id="s") for _ in range(30)]
    for detail in details:
        await managers[0].arrivals.receive(SOURCE, "CaseSubmitted", detail)
    while await owner.fetchval("select count(*) from case_manager.arrival"):
        await asyncio.gather(*(manager.arrivals.tick() for manager in managers))
    rows = await owner.fetch("select case_id::text, turn from case_manager.submission")
    turns = {row["case_id"]: row["turn"] for row in rows}
    cases = [case_id_for("acme", SOURCE, USER, detail["idempotency_key"]) for detail in details]
    assert [turns[case] for case in cases] == list(range(1, 31))


async def test_session_over_its_limit_of_arrivals_is_rejected_and_others_are_not(
    case_manager: CaseManager, pool_for: PoolFor
) -> None:
    database = Database(await pool_for("case_manager"), "the work database")
    table = ArrivalTable(database, bytes.fromhex(MAC_KEY), BacklogLimits(session=5))
    queue = ArrivalQueue(table, case_manager.intake, case_manager.outbox)
    details = [submission(session_id="long") for _ in range(9)]
    answers = await asyncio.gather(*(queue.receive(SOURCE, "CaseSubmitted", detail) for detail in details))
    assert [event["payload"]["code"] for answer in answers for event in answer] == ["over_limit"]
    assert await queue.receive(SOURCE, "CaseSubmitted", submission(session_id="short")) == []
    await table.close()
