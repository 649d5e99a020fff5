"""Halt, resume and cancel count if an operator signed them, once, and not because somebody typed a name."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from switchyard.protocol.fields import Json
from switchyard.protocol.operator_commands import CommandAction, OperatorCommand
from switchyard.runtime.core.clock import timestamp
from tests.integration.case_manager.conftest import CaseManager, StartCaseManager
from tests.integration.cloud import Tap
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.operators import OPERATOR, OPERATORS, hand_in, result_of, signed_command

pytestmark = pytest.mark.integration
CONTROL = "select kind, key from case_manager.control"


async def decided(case_manager: CaseManager, owner: Owner, command: OperatorCommand) -> str | None:
    """Hand a command in and let the case manager decide it."""
    await hand_in(owner, command)
    await case_manager.timers.tick()
    return await result_of(owner, command.command_id)


def signed(clock: ManualClock, action: CommandAction, target: str, **changes: Any) -> OperatorCommand:
    """A command that was signed just now."""
    return signed_command(action, target, **{"signed_at": timestamp(clock.now())} | changes)


def verified(payload: Json, action: CommandAction, target: str, reason: str) -> None:
    """Raise unless the fields of an event prove who commanded what."""
    OperatorCommand(
        payload["command_id"], action, target, payload["operator"], reason, payload["signed_at"], payload["signature"]
    ).verify(OPERATORS)


async def test_halt_and_resume_are_recorded_with_their_signed_command(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    assert await decided(case_manager, owner, signed(clock, "halt", "assist")) == "halted"
    assert await decided(case_manager, owner, signed(clock, "resume", "assist")) == "resumed"
    halted, resumed = sorted(await tap.seen("case_manager"), key=lambda event: str(event["type"]))
    assert (halted["type"], resumed["type"]) == ("PlaybookHalted", "PlaybookResumed")
    verified(halted["payload"], "halt", "assist", halted["payload"]["why"])
    verified(resumed["payload"], "resume", "assist", resumed["payload"]["why"])


async def test_ending_of_a_cancelled_case_names_the_signed_command(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    opened = await case_manager.submit()
    assert await decided(case_manager, owner, signed(clock, "cancel", opened["case_id"])) == "cancelled"
    [closed] = await tap.seen("case_manager", opened["case_id"])
    assert (closed["type"], closed["payload"]["outcome"]) == ("CaseClosed", "cancelled")
    cancellation = closed["payload"]["cancellation"]
    verified(cancellation, "cancel", opened["case_id"], cancellation["reason"])


@pytest.mark.parametrize("action", ["halt", "resume", "cancel"])
@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda command: replace(command, signature="ab" * 64), id="no signature"),
        pytest.param(lambda command: replace(command, operator="m.allory"), id="another name"),
        pytest.param(lambda command: replace(command, reason="another reason"), id="another reason"),
        pytest.param(lambda command: replace(command, command_id=str(uuid.uuid4())), id="another id"),
        pytest.param(lambda command: replace(command, signed_at="2026-07-01T12:00:01.000000Z"), id="another time"),
        pytest.param(
            lambda command: replace(command, signature=signed_command("halt", "another").signature), id="another target"
        ),
        pytest.param(lambda command: replace(command, signature=command.sign(b"\x09" * 32)), id="another key"),
    ],
)
async def test_command_without_an_operators_signature_changes_nothing(
    action: CommandAction,
    forge: Any,
    case_manager: CaseManager,
    owner: Owner,
    tap: Tap,
    clock: ManualClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = await case_manager.submit()
    target = opened["case_id"] if action == "cancel" else "assist"
    if action == "resume":
        await decided(case_manager, owner, signed(clock, "halt", "assist"))
    before = await owner.fetch(CONTROL)
    result = await decided(case_manager, owner, forge(signed(clock, action, target)))
    assert str(result).startswith("refused: ")
    assert await owner.fetch(CONTROL) == before
    logged = capsys.readouterr().out
    assert "command.decided" in logged
    assert "integrity" in logged
    assert not [event for event in await tap.seen("case_manager") if event["type"] in {"PlaybookResumed", "CaseClosed"}]


async def test_command_handed_in_twice_is_refused_by_the_database(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    resume = signed(clock, "resume", "assist")
    await decided(case_manager, owner, signed(clock, "halt", "assist"))
    assert await decided(case_manager, owner, resume) == "resumed"
    await decided(case_manager, owner, signed(clock, "halt", "assist"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await hand_in(owner, resume)


@pytest.mark.parametrize("age", [timedelta(minutes=16), timedelta(minutes=-16)])
async def test_old_resumption_is_refused_and_an_old_halt_is_applied(
    age: timedelta, case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    at = timestamp(clock.now() - age)
    assert await decided(case_manager, owner, signed(clock, "halt", "assist", signed_at=at)) == "halted"
    result = await decided(case_manager, owner, signed(clock, "resume", "assist", signed_at=at))
    assert "too old or in the future" in str(result)
    assert await owner.fetchval("select count(*) from case_manager.control") == 1


@pytest.mark.parametrize("halted_before", [False, True])
async def test_resumption_signed_before_the_latest_halt_lifts_nothing(
    halted_before: bool, case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    if halted_before:
        await decided(case_manager, owner, signed(clock, "halt", "assist"))
        clock.advance(60)
    kept = signed(clock, "resume", "assist")
    clock.advance(60)
    await decided(case_manager, owner, signed(clock, "halt", "assist", reason="still bad"))
    assert "halted after this was signed" in str(await decided(case_manager, owner, kept))
    assert await owner.fetchval("select count(*) from case_manager.control") == 1
    clock.advance(60)
    assert await decided(case_manager, owner, signed(clock, "resume", "assist")) == "resumed"


async def test_halt_signed_under_a_clock_far_ahead_can_be_lifted(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    await decided(case_manager, owner, signed(clock, "halt", "assist", signed_at="8999-12-31T23:59:59.000000Z"))
    now = await owner.fetchval("select clock_timestamp()")
    clock.advance((now - clock.now()).total_seconds())
    assert await decided(case_manager, owner, signed(clock, "resume", "assist")) == "resumed"


async def test_halt_behind_a_thousand_unsigned_commands_counts_at_once(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    await owner.execute(
        "insert into case_manager.operator_command (command_id, action, target, operator, reason, signed_at, signature)"
        " select gen_random_uuid(), 'resume', 'assist', $1, 'r', now(), repeat('ab', 64) from generate_series(1, 1000)",
        OPERATOR,
    )
    assert await decided(case_manager, owner, signed(clock, "halt", "assist")) == "halted"
    refused = "select count(*) from case_manager.operator_command where result like 'refused%'"
    assert await owner.fetchval(refused) == 1000


async def test_concurrent_case_managers_report_a_halt_once(
    case_manager: CaseManager, start_case_manager: StartCaseManager, owner: Owner, tap: Tap, clock: ManualClock
) -> None:
    other = await start_case_manager()
    await hand_in(owner, signed(clock, "halt", "assist"))
    for each in (case_manager, other, case_manager):
        await each.timers.tick()
    assert [event["type"] for event in await tap.seen("case_manager")] == ["PlaybookHalted"]


async def test_cancellation_of_an_unknown_or_closed_case_is_refused(
    case_manager: CaseManager, owner: Owner, clock: ManualClock
) -> None:
    assert "no such case" in str(await decided(case_manager, owner, signed(clock, "cancel", fresh_id())))


async def test_operators_login_without_a_signature_changes_nothing(
    case_manager: CaseManager, pool_for: PoolFor, owner: Owner, clock: ManualClock
) -> None:
    await decided(case_manager, owner, signed(clock, "halt", "assist"))
    operator = await pool_for("operator")
    for statement in (
        "delete from case_manager.control",
        "insert into case_manager.control (kind, key, by, why) values ('halted_playbook', 'outbound_email', 'a', 'b')",
        "update case_manager.operator_command set result = 'resumed', decided_at = now()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute(statement)
    command = signed(clock, "resume", "assist", key=b"\x09" * 32)
    await hand_in(operator, command)
    await case_manager.timers.tick()
    assert str(await result_of(operator, command.command_id)).startswith("refused")
    assert await owner.fetchval("select by from case_manager.control") == OPERATOR
