"""Deadlines survive everything and fire once; a halted playbook's cases wait until it is resumed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from faststream_sqs import SQSBroker
from switchyard.app.topology import BUS
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import moment
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.messaging.publisher import BusPublisher
from tests.integration.case_manager.conftest import DEADLINE, SOURCE, Desk, StartDesk, close_case, submission
from tests.integration.cloud import Tap
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

LATE = DEADLINE.total_seconds()


async def endings(tap: Tap, opened: Json) -> list[Json]:
    """The case's endings on the bus. An expiry comes with the opening again, in case that had never got there."""
    return [event for event in await tap.seen("desk", opened["case_id"]) if event["type"] == "CaseClosed"]


async def rearm(owner: Owner, opened: Json) -> None:
    """Put a case's timer back, as if the desk had died before it took it away."""
    await owner.execute(
        "insert into desk.timer (case_id, kind, due_at) values ($1, 'case_deadline', $2)",
        opened["case_id"],
        moment(opened["case_deadline"]),
    )


async def test_a_case_without_an_outcome_closes_as_expired_at_its_deadline_and_only_once(
    desk: Desk, tap: Tap, clock: ManualClock
) -> None:
    opened = await desk.submit()
    clock.advance(LATE - 1)
    assert await desk.timers.tick() == 0
    clock.advance(1)
    assert await desk.timers.tick() == 1
    assert await desk.timers.tick() == 0
    first, closed = await tap.seen("desk", opened["case_id"])
    assert first == opened, "the ending must not be without its opening"
    assert (closed["type"], closed["payload"]["outcome"]) == ("CaseClosed", "expired")
    assert closed["payload"]["remedy"]


async def test_a_deadline_survives_the_desk_that_set_it(
    desk: Desk, start_desk: StartDesk, tap: Tap, clock: ManualClock
) -> None:
    opened = await desk.submit()
    clock.advance(LATE)
    assert await (await start_desk()).timers.tick() == 1
    assert len(await endings(tap, opened)) == 1


async def test_a_case_that_was_closed_in_time_does_not_expire(desk: Desk, tap: Tap, clock: ManualClock) -> None:
    opened = await desk.submit()
    await desk.closing.close_case(close_case(opened))
    await desk.closing.drop_timers(opened["case_id"])
    clock.advance(LATE)
    assert await desk.timers.tick() == 0
    assert await tap.seen("desk", opened["case_id"]) == []


async def test_a_crash_between_closing_and_publishing_publishes_the_outcome_at_the_deadline(
    desk: Desk, tap: Tap, clock: ManualClock
) -> None:
    opened = await desk.submit()
    closed = await desk.closing.close_case(close_case(opened))
    clock.advance(LATE)
    assert await desk.timers.tick() == 1
    assert await endings(tap, opened) == [closed]
    assert await desk.timers.tick() == 0


async def test_an_expired_case_whose_event_did_not_reach_the_bus_is_published_at_the_next_tick(
    desk: Desk, tap: Tap, clock: ManualClock
) -> None:
    opened = await desk.submit()
    clock.advance(LATE)
    unplugged = BusPublisher(SQSBroker(logger=None).event_publisher(bus=BUS))
    with pytest.raises(Unavailable, match="publish_failed"):
        await replace(desk.timers, publisher=unplugged).tick()
    assert await tap.seen("desk", opened["case_id"]) == []
    assert await desk.timers.tick() == 1
    [closed] = await endings(tap, opened)
    assert closed["payload"]["outcome"] == "expired"


async def test_a_crash_after_an_expiry_was_published_repeats_the_identical_event(
    desk: Desk, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    opened = await desk.submit()
    clock.advance(LATE)
    await desk.timers.tick()
    await rearm(owner, opened)
    clock.advance(60)
    await desk.timers.tick()
    first, second = await endings(tap, opened)
    assert first == second


async def test_desks_that_tick_at_once_expire_a_case_to_the_same_end(
    desk: Desk, start_desk: StartDesk, tap: Tap, clock: ManualClock
) -> None:
    another = await start_desk()
    cases = [await desk.submit() for _ in range(5)]
    clock.advance(LATE)
    await asyncio.gather(desk.timers.tick(), another.timers.tick())
    for opened in cases:
        first, *others = await endings(tap, opened)
        assert all(event == first for event in others)


async def test_an_answer_that_comes_after_the_expiry_changes_nothing(desk: Desk, tap: Tap, clock: ManualClock) -> None:
    opened = await desk.submit()
    clock.advance(LATE)
    await desk.timers.tick()
    late = await desk.closing.close_case(close_case(opened, "answered"))
    assert [late] == await endings(tap, opened)


async def test_a_case_that_is_parked_past_its_deadline_is_opened_before_it_expires(
    desk: Desk, tap: Tap, clock: ManualClock
) -> None:
    await desk.store.set_control("halted_playbook", "assist", by="ada", why="a bad prompt")
    assert await desk.intake.open_case(SOURCE, submission()) == []
    clock.advance(LATE)
    assert await desk.timers.tick() == 0, "nobody has seen the case yet: there is nothing to end"
    await desk.store.clear_control("halted_playbook", "assist")
    while await desk.timers.tick():
        pass
    types = [event["type"] for event in await tap.seen("desk")]
    assert types == ["CaseOpened", "CaseOpened", "CaseClosed"]


async def test_a_halted_playbook_parks_its_cases_and_resuming_releases_each_once(
    desk: Desk, tap: Tap, start_desk: StartDesk, owner: Owner
) -> None:
    await desk.store.set_control("halted_playbook", "assist", by="ada", why="a bad prompt")
    sent = submission()
    assert await desk.intake.open_case(SOURCE, sent) == []
    assert await desk.timers.tick() == 0
    assert await desk.intake.open_case(SOURCE, sent) == [], "a redelivery does not slip through"
    await desk.store.clear_control("halted_playbook", "assist")
    assert await desk.intake.open_case(SOURCE, sent) == [], "it waits for the release like all others"
    assert await (await start_desk()).timers.tick() == 1
    assert await desk.timers.tick() == 0
    [released] = await tap.seen("desk")
    assert released["type"] == "CaseOpened"
    assert await desk.intake.open_case(SOURCE, sent) == [released]


async def test_a_crash_between_releasing_a_parked_case_and_noting_it_releases_the_identical_event(
    desk: Desk, tap: Tap, owner: Owner
) -> None:
    await desk.store.set_control("halted_playbook", "assist", by="ada", why="a bad prompt")
    await desk.intake.open_case(SOURCE, submission())
    await desk.store.clear_control("halted_playbook", "assist")
    await desk.timers.tick()
    await owner.execute("update desk.submission set parked = true")
    await desk.timers.tick()
    first, second = await tap.seen("desk")
    assert first == second


async def test_halting_twice_keeps_who_did_it_first(desk: Desk, owner: Owner) -> None:
    await desk.store.set_control("halted_playbook", "assist", by="ada", why="a bad prompt")
    await desk.store.set_control("halted_playbook", "assist", by="grace", why="me too")
    row = await owner.fetchrow("select by, why from desk.control")
    assert row is not None
    assert tuple(row) == ("ada", "a bad prompt")


async def test_cases_that_are_open_already_are_not_held_up_by_a_halt(desk: Desk) -> None:
    sent = submission()
    opened = await desk.intake.open_case(SOURCE, sent)
    await desk.store.set_control("halted_playbook", "assist", by="ada", why="a bad prompt")
    assert await desk.intake.open_case(SOURCE, sent) == opened
