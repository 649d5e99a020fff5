"""An email stopped one message earlier is never sent; a stop and a sending have an order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import astuple, replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.email_sender import EmailSent, SendingHalted, SendingStopped, SendingTooLate
from services.specialists.email_sender.ledger import SESSION_SETTINGS, SendLedger
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.protocol.operator_commands import CommandAction
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Database, Pool, connect_pool, translate_errors
from switchyard.runtime.database.session_scope import SET_SCOPE
from tests.integration.conftest import PoolFor
from tests.integration.email_sender.conftest import (
    APPROVER,
    APPROVERS_KEY,
    PLAYBOOK,
    SECOND,
    SECONDS_KEY,
    Case,
    EmailSender,
    OpenCase,
    Outbox,
)
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.manual_clock import ManualClock
from tests.operators import OPERATORS, hand_in, signed_command

Stop = Callable[[Owner, Case], Awaitable[object]]


LOCK = """
insert into send_lock as l (case_id, content_sha256) values ($1, $2)
on conflict (case_id, content_sha256) do update set case_id = l.case_id
"""
"""As the ledger takes it."""


async def close(owner: Owner, case: Case) -> object:
    """As the case manager's close does."""
    return await owner.execute(
        "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'expired', gen_random_uuid())",
        case.case_id,
    )


async def cancel(owner: Owner, case: Case) -> object:
    """As an operator does."""
    return await hand_in(owner, signed_command("cancel", case.case_id))


async def halt(owner: Owner, _: Case) -> object:
    """As an operator does."""
    return await hand_in(owner, signed_command("halt", PLAYBOOK))


async def opt_out(owner: Owner, case: Case) -> object:
    """As the case manager does for a SuppressionRequested."""
    return await owner.execute(
        "insert into case_manager.control (kind, key, by, why) "
        " values ('suppressed_address', $1, 'upstream.email_feedback', 'opted_out')",
        case.address_key,
    )


STOPS: dict[str, Stop] = {"case_closed": close, "case_cancelled": cancel, "opted_out": opt_out, "halted": halt}
each_stop = pytest.mark.parametrize("reason", STOPS)


def is_stopped(answer: object, reason: str) -> bool:
    if reason == "halted":
        return answer == SendingHalted()
    return isinstance(answer, SendingStopped) and answer.code == reason


@each_stop
async def test_late_command_after_a_stop_sends_nothing(
    reason: str, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    await STOPS[reason](owner, case)
    for note in ("", "one more", "and another"):
        assert is_stopped(await email_sender.send(case.command(email_sender.soon, note=note)), reason)
    assert outbox.of(case.case_id) == []
    assert await owner.fetchval("select count(*) from email_sender.sending") == 0


@pytest.mark.parametrize("action", ["halt", "cancel"])
async def test_stop_without_an_operators_signature_is_ignored_with_an_alarm(
    action: CommandAction, case: Case, email_sender: EmailSender, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    target = PLAYBOOK if action == "halt" else case.case_id
    await hand_in(owner, signed_command(action, target, key=b"\x09" * 32))
    await hand_in(owner, replace(signed_command(action, target), reason="another than was signed"))
    await hand_in(owner, signed_command(action, target, operator="m.allory"))
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert capsys.readouterr().out.count("stop.not_signed") >= 3


LIFTS = {
    "delete the stop": "delete from control",
    "change the stop": "update control set key = 'another'",
    "delete the command": "delete from operator_command",
    "change the command": "update operator_command set target = 'another', action = 'resume'",
    "hand in a command": "insert into operator_command select gen_random_uuid(), 'resume', target, operator, reason,"
    " signed_at + interval '1 minute', signature from operator_command",
    "move the case to another playbook": "update submission set playbook = 'another', facts = '{}', subject_key = ''",
    "delete the case": "delete from submission",
    "empty the table": "truncate operator_command",
}


async def is_refused(thief: Pool, statement: str) -> bool:
    try:
        await thief.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "undecided"])
@pytest.mark.parametrize("action", ["halt", "cancel"])
async def test_thief_of_the_case_manager_lifts_no_stop(
    action: CommandAction, applied: bool, case: Case, email_sender: EmailSender, owner: Owner, pool_for: PoolFor
) -> None:
    thief = await pool_for("case_manager")
    commands = OperatorCommands(Database(thief, "the work database"), CATALOGUE, OPERATORS, email_sender.clock)
    now = email_sender.clock.now()  # people and services share it; the database has its own
    kept = signed_command("resume", PLAYBOOK, signed_at=timestamp(now - timedelta(minutes=1)))
    stop = signed_command(action, PLAYBOOK if action == "halt" else case.case_id, signed_at=timestamp(now))
    await hand_in(owner, stop)
    if applied:
        await commands.apply()
    assert [what for what, statement in LIFTS.items() if not await is_refused(thief, statement)] == []
    # What the role may do, and has no effect: decide a command, lift the case manager's own row, and an old resumption.
    await thief.execute("update operator_command set decided_at = clock_timestamp(), result = 'refused: no reason'")
    await thief.execute("select lift_halt($1, clock_timestamp() + interval '1 year')", PLAYBOOK)
    assert await owner.fetchval("select count(*) from case_manager.control where kind = 'halted_playbook'") == 0
    await hand_in(owner, kept)
    await commands.apply()
    reason = "halted" if action == "halt" else "case_cancelled"
    for note in ("", "once more"):
        assert is_stopped(await email_sender.send(case.command(email_sender.soon, note=note)), reason)
    if action == "halt":
        await hand_in(owner, signed_command("resume", PLAYBOOK, signed_at=timestamp(now)))
        assert isinstance(await email_sender.send(case.command(email_sender.soon, note="resumed")), EmailSent)


async def test_halt_behind_thousands_of_unsigned_commands_stops_the_email(
    case: Case, email_sender: EmailSender, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    await owner.execute(
        "insert into case_manager.operator_command (command_id, action, target, operator, reason, signed_at, signature)"
        " select gen_random_uuid(), 'resume', $1, 'a.lindqvist', 'mine', clock_timestamp(), repeat('0', 128)"
        " from generate_series(1, 2000)",
        PLAYBOOK,
    )
    await halt(owner, case)
    assert await email_sender.send(case.command(email_sender.soon)) == SendingHalted()
    assert await email_sender.send(case.command(email_sender.soon, note="again")) == SendingHalted()
    assert capsys.readouterr().out.count("stop.not_signed") == 2_000


async def test_resumption_kept_until_it_was_stale_lifts_no_halt(
    case: Case, email_sender: EmailSender, owner: Owner
) -> None:
    long_ago = email_sender.clock.now() - timedelta(hours=2)
    await hand_in(owner, signed_command("halt", PLAYBOOK, signed_at=timestamp(long_ago - timedelta(minutes=1))))
    await hand_in(owner, signed_command("resume", PLAYBOOK, signed_at=timestamp(long_ago)))
    assert await email_sender.send(case.command(email_sender.soon)) == SendingHalted()


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
async def test_resumption_seen_by_a_wrong_clock_counts_once_the_clock_is_right(
    off: timedelta, case: Case, email_sender: EmailSender, owner: Owner, pool_for: PoolFor
) -> None:
    database = Database(await pool_for("case_manager"), "the work database")
    right = email_sender.clock.now()
    commands = OperatorCommands(database, CATALOGUE, OPERATORS, ManualClock(right))
    for action in ("halt", "resume"):
        await hand_in(owner, signed_command(action, PLAYBOOK, signed_at=timestamp(right)))
    assert [event["type"] for event in await commands.apply()] == ["PlaybookHalted", "PlaybookResumed"]
    email_sender.clock.advance(off.total_seconds())
    assert await email_sender.send(case.command(right + timedelta(hours=3))) == SendingHalted()
    email_sender.clock.advance(-off.total_seconds())
    assert isinstance(await email_sender.send(case.command(email_sender.soon, note="right again")), EmailSent)


async def test_stop_of_one_case_or_address_stops_no_other(
    case: Case, open_case: OpenCase, email_sender: EmailSender, owner: Owner
) -> None:
    for stop in (close, cancel, opt_out):
        await stop(owner, case)
    assert isinstance(await email_sender.send((await open_case()).command(email_sender.soon)), EmailSent)


async def test_opt_out_stops_all_cases_of_the_address(
    case: Case, open_case: OpenCase, email_sender: EmailSender, owner: Owner
) -> None:
    await opt_out(owner, case)
    sibling = await open_case(address_key=case.address_key)
    assert is_stopped(await email_sender.send(sibling.command(email_sender.soon)), "opted_out")


async def test_resumed_playbook_sends_its_pending_email(
    case: Case, email_sender: EmailSender, owner: Owner, pool_for: PoolFor
) -> None:
    database = Database(await pool_for("case_manager"), "the work database")
    commands = OperatorCommands(database, CATALOGUE, OPERATORS, email_sender.clock)
    now = timestamp(email_sender.clock.now())
    await hand_in(owner, signed_command("halt", PLAYBOOK, signed_at=now))
    assert await email_sender.send(case.command(email_sender.soon)) == SendingHalted()
    assert [event["type"] for event in await commands.apply()] == ["PlaybookHalted"]
    assert await email_sender.send(case.command(email_sender.soon, note="still")) == SendingHalted()
    await hand_in(owner, signed_command("resume", PLAYBOOK, signed_at=now))
    assert await email_sender.send(case.command(email_sender.soon, note="not yet")) == SendingHalted()
    assert [event["type"] for event in await commands.apply()] == ["PlaybookResumed"]
    assert isinstance(await email_sender.send(case.command(email_sender.soon, note="checked again")), EmailSent)


async def test_command_past_its_checked_moment_sends_nothing(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    answer = await email_sender.send(case.command(email_sender.clock.now()))
    assert answer == SendingTooLate(content_sha256=case.content_sha256)
    assert outbox.of(case.case_id) == []


async def test_command_for_an_unknown_case_sends_nothing(
    owner: Owner, email_sender: EmailSender, outbox: Outbox
) -> None:
    stranger = Case(owner)
    assert is_stopped(await email_sender.send(stranger.command(email_sender.soon)), "no_such_case")
    assert outbox.of(stranger.case_id) == []


async def test_command_with_another_address_than_the_cases_sends_nothing(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    assert is_stopped(await email_sender.send(case.command(email_sender.soon, address_key="e" * 64)), "not_the_cases")
    assert outbox.of(case.case_id) == []


async def test_approved_email_is_sent_with_its_approval_recorded(
    case: Case, email_sender: EmailSender, owner: Owner
) -> None:
    approval_id = await case.approve(email_sender.soon)
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=approval_id)
    assert isinstance(await email_sender.send(command), EmailSent)
    assert str(await owner.fetchval("select approval_id from email_sender.sending")) == approval_id


@pytest.mark.parametrize(
    ("state", "late", "changes", "reason"),
    [
        ("asked", 0, {}, "approval_not_granted"),
        ("denied", 0, {}, "approval_not_granted"),
        ("void", 0, {}, "approval_not_granted"),
        ("granted", 600, {}, "approval_expired"),
        ("granted", 0, {"content_sha256": "d" * 64}, "approval_differs"),
        ("granted", 0, {"pack": "2020-01-01.1"}, "approval_differs"),
    ],
)
async def test_email_without_a_valid_approval_is_not_sent(
    state: str, late: int, changes: dict[str, Any], reason: str, case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    approval_id = await case.approve(email_sender.soon - timedelta(seconds=late), state=state, **changes)
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=approval_id)
    assert is_stopped(await email_sender.send(command), reason)
    assert outbox.of(case.case_id) == []


@pytest.mark.parametrize("key", [None, b"f" * 32])
async def test_granted_row_without_approver_signature_sends_nothing(
    key: bytes | None, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    forged = await case.approve(email_sender.soon, signers={APPROVER: key})
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=forged)
    assert is_stopped(await email_sender.send(command), "approval_not_signed")
    assert outbox.of(case.case_id) == []
    assert await owner.fetchval("select count(*) from email_sender.sending") == 0


@pytest.mark.parametrize("submitter", [APPROVER, APPROVER.upper(), "okafor@HARBOR.example", "Okafor@harbor.example"])
async def test_approval_by_the_submitter_under_any_name_sends_nothing(
    submitter: str, open_case: OpenCase, email_sender: EmailSender, outbox: Outbox
) -> None:
    case = await open_case(submitter=submitter, approval="settlement_offer")
    asked: dict[str, Any] = {"approval": "settlement_offer"}
    own = case.command(email_sender.soon, approval_id=await case.approve(email_sender.soon), **asked)
    assert is_stopped(await email_sender.send(own), "approval_not_signed")
    assert outbox.of(case.case_id) == []
    another = await case.approve(email_sender.soon, signers={SECOND: SECONDS_KEY})
    again = case.command(email_sender.soon, note="another", approval_id=another, **asked)
    assert isinstance(await email_sender.send(again), EmailSent)


async def test_unknown_submitters_email_needs_two_approvers(
    open_case: OpenCase, email_sender: EmailSender, outbox: Outbox
) -> None:
    case = await open_case(submitter="m.okafor@another.example", approval="settlement_offer")
    for note, signers, sent in (
        ("one", {APPROVER: APPROVERS_KEY}, False),
        ("one and a forger", {APPROVER: APPROVERS_KEY, SECOND: b"f" * 32}, False),
        ("two", {APPROVER: APPROVERS_KEY, SECOND: SECONDS_KEY}, True),
    ):
        approval_id = await case.approve(email_sender.soon, signers=signers)
        command = case.command(email_sender.soon, note=note, approval="settlement_offer", approval_id=approval_id)
        assert isinstance(await email_sender.send(command), EmailSent) == sent, note
    assert len(outbox.of(case.case_id)) == 1


async def test_signature_for_another_approval_sends_nothing(
    case: Case, open_case: OpenCase, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    other = await (await open_case()).approve(email_sender.soon)
    forged = await case.approve(email_sender.soon, signers={APPROVER: None})
    taken = await owner.fetchval("select signature from case_manager.approval_grant where approval_id = $1", other)
    await owner.execute("update case_manager.approval_grant set signature = $2 where approval_id = $1", forged, taken)
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=forged)
    assert is_stopped(await email_sender.send(command), "approval_not_signed")
    assert outbox.of(case.case_id) == []


async def test_approved_email_throttled_once_is_sent_by_a_later_command(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    approval: dict[str, Any] = {"approval": "settlement_offer", "approval_id": await case.approve(email_sender.soon)}
    outbox.plan("throttle")
    with pytest.raises(Unavailable):
        await email_sender.send(case.command(email_sender.soon, **approval))
    late = await email_sender.send(case.command(email_sender.clock.now(), **approval))
    assert late == SendingTooLate(content_sha256=case.content_sha256)
    again = await email_sender.send(case.command(email_sender.soon, note="checked again", **approval))
    assert isinstance(again, EmailSent)
    assert await email_sender.send(case.command(email_sender.soon, note="once more", **approval)) == again
    assert len(outbox.of(case.case_id)) == 1


async def test_requested_approval_never_granted_sends_nothing(case: Case, email_sender: EmailSender) -> None:
    assert is_stopped(
        await email_sender.send(case.command(email_sender.soon, approval="first_contact")), "approval_missing"
    )


@each_stop
async def test_stop_before_the_confirmation_of_an_intent_sends_nothing(
    reason: str, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = SendLedger.begin

    async def begin_then_stop(ledger: SendLedger, *arguments: Any) -> object:
        begun = await begin(ledger, *arguments)
        await STOPS[reason](owner, case)  # committed after the intent, and before the provider is called
        return begun

    monkeypatch.setattr(SendLedger, "begin", begin_then_stop)
    assert is_stopped(await email_sender.send(case.command(email_sender.soon)), reason)
    assert outbox.of(case.case_id) == []
    row = await owner.fetchrow("select state, code from email_sender.sending")
    assert row is not None
    assert tuple(row) == ("released", "stopped")


@each_stop
async def test_stop_does_not_wait_for_an_intent_being_written(
    reason: str, case: Case, owner: Owner, pool_for: PoolFor
) -> None:
    pool = await pool_for("email_sender")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SET_SCOPE, *astuple(case.scope))
        await connection.execute(LOCK, case.case_id, case.content_sha256)
        await connection.fetch("select * from case_manager.effect_facts($1)", case.case_id)
        await asyncio.wait_for(STOPS[reason](owner, case), 2)


async def test_stalled_email_sender_does_not_block_others(
    case: Case, infrastructure: Infrastructure, email_sender: EmailSender
) -> None:
    pool = await connect_pool(
        infrastructure.role_url("email_sender"), schema="email_sender", server_settings=SESSION_SETTINGS
    )
    async with pool.acquire() as connection:
        await connection.execute("begin")
        await connection.execute(SET_SCOPE, *astuple(case.scope))
        await connection.execute(LOCK, case.case_id, case.content_sha256)
        with suppress(Unavailable):  # the role's own limit on waiting for a lock
            await email_sender.send(case.command(email_sender.soon))
        assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
        with pytest.raises(Unavailable), translate_errors("the work database"):
            await connection.execute("select 1")
    await pool.close()


async def test_email_sender_role_reads_single_cases_and_approvals_by_function_only(pool_for: PoolFor) -> None:
    pool = await pool_for("email_sender")
    assert await pool.fetchval("select case_manager.case_facts(gen_random_uuid())") is None
    for statement in (
        "select * from case_manager.submission",
        "select * from case_manager.control",
        "select * from case_manager.approval",
        "select * from case_manager.approval_grant",
        "select * from case_manager.case_ending",
        "select * from compliance.verdict",
        "select case_manager.commanded(gen_random_uuid())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_command_without_a_pass_of_compliance_sends_nothing(
    open_case: OpenCase, email_sender: EmailSender, outbox: Outbox
) -> None:
    unreviewed = await open_case(passed=False)
    assert is_stopped(await email_sender.send(unreviewed.command(email_sender.soon)), "not_reviewed")
    await unreviewed.record_verdict("email", "EmailPassed")
    assert is_stopped(await email_sender.send(unreviewed.command(email_sender.soon, note="2")), "not_allowed")
    assert outbox.of(unreviewed.case_id) == []


@pytest.mark.parametrize(
    ("stage", "outcome", "changes", "reason"),
    [
        ("email", "EmailBlocked", {}, "not_passed"),
        ("email", "RevisionNeeded", {}, "not_passed"),
        ("email", "EmailPassed", {"pack": "2020-01-01.1"}, "pack_differs"),
        ("sending", "SendingDeferred", {}, "not_allowed"),
        ("sending", "ContactBlocked", {}, "not_allowed"),
        ("sending", "ReviewOutdated", {}, "not_allowed"),
        ("sending", "SendingAllowed", {"valid_until": "2100-01-01T00:00:00Z", "pack": "2020-01-01.1"}, "pack_differs"),
    ],
)
async def test_latest_verdict_of_compliance_overrides_the_command(
    stage: str,
    outcome: str,
    changes: dict[str, Any],
    reason: str,
    case: Case,
    email_sender: EmailSender,
    outbox: Outbox,
) -> None:
    await case.record_verdict(stage, outcome, **changes)
    assert is_stopped(await email_sender.send(case.command(email_sender.soon)), reason)
    assert outbox.of(case.case_id) == []


@pytest.mark.parametrize(("stage", "outcome"), [("email", "EmailBlocked"), ("sending", "ContactBlocked")])
async def test_latest_verdict_counts_although_an_earlier_one_has_a_later_time(
    stage: str, outcome: str, case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    """Two processes of compliance, whose clocks are ten minutes apart."""
    await case.record_verdict("email", "EmailPassed", ahead_s=600)
    await case.record_verdict("sending", "SendingAllowed", valid_until="2100-01-01T00:00:00Z", ahead_s=600)
    await case.record_verdict(stage, outcome)
    await email_sender.send(case.command(email_sender.soon))
    assert outbox.of(case.case_id) == []


async def test_verdict_on_another_case_or_content_does_not_count(
    open_case: OpenCase, case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    other = await open_case(passed=False)
    for stage, outcome in (("email", "EmailPassed"), ("sending", "SendingAllowed")):
        await other.record_verdict(stage, outcome, content_sha256="d" * 64, valid_until="2100-01-01T00:00:00Z")
    assert is_stopped(await email_sender.send(other.command(email_sender.soon)), "not_reviewed")
    assert outbox.of(other.case_id) == []


async def test_moment_checked_by_compliance_overrides_the_commands(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    await case.record_verdict("sending", "SendingAllowed", valid_until=timestamp(email_sender.clock.now()))
    answer = await email_sender.send(case.command(email_sender.soon + timedelta(days=30)))
    assert answer == SendingTooLate(content_sha256=case.content_sha256)
    assert outbox.of(case.case_id) == []


async def test_approval_required_by_compliance_and_left_out_sends_nothing(
    open_case: OpenCase, email_sender: EmailSender, outbox: Outbox
) -> None:
    case = await open_case(approval="settlement_offer")
    assert is_stopped(await email_sender.send(case.command(email_sender.soon)), "approval_missing")
    assert outbox.of(case.case_id) == []


async def test_unsealed_email_of_a_forged_command_is_refused(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    with pytest.raises(PermanentTaskError, match="not_sealed"):
        await email_sender.send(case.command(email_sender.soon, sealed=(case.raw, None)))
    assert outbox.of(case.case_id) == []


async def test_email_to_another_address_than_the_sealed_one_is_not_sent(
    open_case: OpenCase, email_sender: EmailSender, outbox: Outbox
) -> None:
    case = await open_case(to="mallory@example.net", address="ada.lovelace@example.com")
    assert is_stopped(await email_sender.send(case.command(email_sender.soon)), "not_the_cases")
    assert outbox.of(case.case_id) == []
