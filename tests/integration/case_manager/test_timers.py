"""Deadlines survive everything and fire once; a halted playbook's cases wait until it is resumed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from faststream_sqs import SQSBroker
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.clock import moment
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.messaging.publisher import BusPublisher
from tests.integration.case_manager.conftest import (
    DEADLINE,
    SOURCE,
    CaseManager,
    StartCaseManager,
    close_case,
    halt,
    make_overdue,
    operate,
    resume,
    submission,
)
from tests.integration.cloud import Tap
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

LATE = DEADLINE.total_seconds()


async def endings(tap: Tap, opened: Json) -> list[Json]:
    """The case's endings on the bus."""
    return [event for event in await tap.seen("case_manager", opened["case_id"]) if event["type"] == "CaseClosed"]


async def rearm(owner: Owner, opened: Json) -> None:
    """Put a case's timer back, as if the case manager had died before it took it away."""
    await owner.execute(
        "insert into case_manager.timer (case_id, kind, due_at) values ($1, 'case_deadline', $2)",
        opened["case_id"],
        moment(opened["case_deadline"]),
    )


async def test_case_without_outcome_expires_once_at_deadline(
    case_manager: CaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    opened = await case_manager.submit()
    clock.advance(LATE - 1)
    assert await case_manager.timers.tick() == 0
    clock.advance(1)
    assert await case_manager.timers.tick() == 1
    assert await case_manager.timers.tick() == 0
    [closed] = await tap.seen("case_manager", opened["case_id"])
    await make_overdue(owner)
    assert await case_manager.outbox.tick() == 1, "the ending must not be without its opening"
    assert opened in await tap.seen("case_manager", opened["case_id"])
    assert (closed["type"], closed["payload"]["outcome"]) == ("CaseClosed", "expired")
    assert closed["payload"]["remedy"]


async def test_deadline_survives_a_restart_of_the_case_manager(
    case_manager: CaseManager, start_case_manager: StartCaseManager, tap: Tap, clock: ManualClock
) -> None:
    opened = await case_manager.submit()
    clock.advance(LATE)
    assert await (await start_case_manager()).timers.tick() == 1
    assert len(await endings(tap, opened)) == 1


async def test_case_closed_in_time_does_not_expire(case_manager: CaseManager, tap: Tap, clock: ManualClock) -> None:
    opened = await case_manager.submit()
    await case_manager.close(close_case(opened))
    clock.advance(LATE)
    assert await case_manager.timers.tick() == 0
    assert await tap.seen("case_manager", opened["case_id"]) == []


async def test_crash_between_closing_and_publishing_publishes_from_the_outbox(
    case_manager: CaseManager, start_case_manager: StartCaseManager, tap: Tap, owner: Owner
) -> None:
    opened = await case_manager.submit()
    closed = await case_manager.close(close_case(opened))
    another = await start_case_manager()
    assert await another.outbox.tick() == 0, "the case manager that stored it may be publishing it"
    await make_overdue(owner)
    assert await another.outbox.tick() == 2
    assert await endings(tap, opened) == [closed]
    assert await another.outbox.tick() == 0


async def test_crash_between_closing_and_stopping_the_timer_repeats_the_outcome(
    case_manager: CaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    opened = await case_manager.submit()
    closed = await case_manager.close(close_case(opened))
    await rearm(owner, opened)
    clock.advance(LATE)
    assert await case_manager.timers.tick() == 1
    assert await endings(tap, opened) == [closed]
    assert await case_manager.timers.tick() == 0


async def test_expired_case_with_a_failed_publish_is_published_from_the_outbox(
    case_manager: CaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    opened = await case_manager.submit()
    clock.advance(LATE)
    unplugged = BusPublisher(SQSBroker(logger=None).event_publisher(bus=BUS))
    with pytest.raises(Unavailable, match="publish_failed"):
        await replace(case_manager.timers, publisher=unplugged).tick()
    assert await tap.seen("case_manager", opened["case_id"]) == []
    await make_overdue(owner)
    assert await case_manager.outbox.tick() == 2, "the opening, which was not published either, and the ending"
    [closed] = await endings(tap, opened)
    assert closed["payload"]["outcome"] == "expired"


async def test_crash_after_publishing_an_expiry_repeats_the_identical_event(
    case_manager: CaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    opened = await case_manager.submit()
    clock.advance(LATE)
    await case_manager.timers.tick()
    await rearm(owner, opened)
    clock.advance(60)
    await case_manager.timers.tick()
    first, second = await endings(tap, opened)
    assert first == second


async def test_concurrent_case_managers_expire_a_case_identically(
    case_manager: CaseManager, start_case_manager: StartCaseManager, tap: Tap, clock: ManualClock
) -> None:
    another = await start_case_manager()
    cases = [await case_manager.submit() for _ in range(5)]
    clock.advance(LATE)
    await asyncio.gather(case_manager.timers.tick(), another.timers.tick())
    for opened in cases:
        first, *others = await endings(tap, opened)
        assert all(event == first for event in others)


async def test_late_answer_after_the_expiry_changes_nothing(
    case_manager: CaseManager, tap: Tap, clock: ManualClock
) -> None:
    opened = await case_manager.submit()
    clock.advance(LATE)
    await case_manager.timers.tick()
    late = await case_manager.close(close_case(opened, "answered"))
    assert [late] == await endings(tap, opened)


async def test_parked_case_past_deadline_is_opened_before_expiry(
    case_manager: CaseManager, tap: Tap, clock: ManualClock, owner: Owner
) -> None:
    await halt(owner)
    assert await case_manager.intake.open_case(SOURCE, submission(), "CaseSubmitted") == []
    clock.advance(LATE)
    assert await case_manager.timers.tick() == 0, "no case is known yet: there is nothing to end"
    await resume(owner)
    while await case_manager.timers.tick():
        pass
    types = [event["type"] for event in await tap.seen("case_manager")]
    assert types == ["CaseOpened", "CaseClosed"]


async def test_halted_playbook_parks_its_cases_and_resuming_releases_each_once(
    case_manager: CaseManager, tap: Tap, start_case_manager: StartCaseManager, owner: Owner
) -> None:
    await halt(owner)
    sent = submission()
    assert await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted") == []
    assert await case_manager.timers.tick() == 0
    assert await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted") == []  # a redelivery
    await resume(owner)
    assert await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted") == []  # it waits, too
    assert await (await start_case_manager()).timers.tick() == 1
    assert await case_manager.timers.tick() == 0
    [released] = await tap.seen("case_manager")
    assert released["type"] == "CaseOpened"
    assert await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted") == [released]


async def test_parked_case_released_before_a_crash_is_published_identically(
    case_manager: CaseManager, tap: Tap, owner: Owner
) -> None:
    await halt(owner)
    await case_manager.intake.open_case(SOURCE, submission(), "CaseSubmitted")
    await make_overdue(owner)
    assert await case_manager.outbox.tick() == 0, "the relay publishes nothing that is parked"
    await resume(owner)
    unplugged = BusPublisher(SQSBroker(logger=None).event_publisher(bus=BUS))
    with pytest.raises(Unavailable, match="publish_failed"):
        await replace(case_manager.timers, publisher=unplugged).tick()
    await make_overdue(owner)
    assert await case_manager.outbox.tick() == 1
    [released] = await tap.seen("case_manager")
    assert released["type"] == "CaseOpened"


async def test_second_halt_keeps_the_operator_of_the_first(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    assert await operate(case_manager, owner, clock, "halt", "assist") == "halted"
    first = await owner.fetchval("select command_id from case_manager.control")
    assert await operate(case_manager, owner, clock, "halt", "assist") == "was halted already"
    assert await owner.fetchval("select command_id from case_manager.control") == first


async def test_open_cases_are_not_delayed_by_a_halt(case_manager: CaseManager, owner: Owner) -> None:
    sent = submission()
    opened = await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted")
    await halt(owner)
    assert await case_manager.intake.open_case(SOURCE, sent, "CaseSubmitted") == opened
