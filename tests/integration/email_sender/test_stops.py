"""An email stopped one message earlier is never sent; a stop and a sending have an order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.email_sender import EmailSent, SendingHalted, SendingStopped, SendingTooLate
from services.specialists.email_sender.ledger import SESSION_SETTINGS
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.protocol.operator_commands import CommandAction
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database, connect_pool, translate_errors
from tests.integration.cloud import until
from tests.integration.conftest import PoolFor
from tests.integration.email_sender.conftest import PLAYBOOK, Case, EmailSender, OpenCase, Outbox
from tests.integration.infrastructure import Infrastructure, Owner
from tests.operators import OPERATORS, hand_in, signed_command

Stop = Callable[[Owner, Case], Awaitable[object]]


async def is_waited_for(observer: Any, holder: Any) -> None:
    """Return when another session waits for a lock that `holder` has."""

    async def blocked() -> bool:
        found: bool = await observer.fetchval(
            "select exists (select from pg_locks where not granted and $1 = any(pg_blocking_pids(pid)))",
            holder.get_server_pid(),
        )
        return found

    await until(blocked, "a session waits for the lock")


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
async def test_a_late_command_after_a_stop_sends_nothing(
    reason: str, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    await STOPS[reason](owner, case)
    for note in ("", "one more", "and another"):
        assert is_stopped(await email_sender.send(case.command(email_sender.soon, note=note)), reason)
    assert outbox.of(case.case_id) == []
    assert await owner.fetchval("select count(*) from email_sender.sending") == 0


@pytest.mark.parametrize("action", ["halt", "cancel"])
async def test_a_stop_that_no_operator_signed_stops_nothing_and_raises_an_alarm(
    action: CommandAction, case: Case, email_sender: EmailSender, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    target = PLAYBOOK if action == "halt" else case.case_id
    await hand_in(owner, signed_command(action, target, key=b"\x09" * 32))
    await hand_in(owner, replace(signed_command(action, target), reason="another than was signed"))
    await hand_in(owner, signed_command(action, target, operator="m.allory"))
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert capsys.readouterr().out.count("stop.not_signed") == 3


async def test_a_stop_of_one_case_or_address_stops_no_other(
    case: Case, open_case: OpenCase, email_sender: EmailSender, owner: Owner
) -> None:
    for stop in (close, cancel, opt_out):
        await stop(owner, case)
    assert isinstance(await email_sender.send((await open_case()).command(email_sender.soon)), EmailSent)


async def test_an_opt_out_stops_every_case_of_that_address(
    case: Case, open_case: OpenCase, email_sender: EmailSender, owner: Owner
) -> None:
    await opt_out(owner, case)
    sibling = await open_case(address_key=case.address_key)
    assert is_stopped(await email_sender.send(sibling.command(email_sender.soon)), "opted_out")


async def test_a_resumed_playbook_sends_what_was_held(
    case: Case, email_sender: EmailSender, owner: Owner, pool_for: PoolFor
) -> None:
    database = Database(await pool_for("case_manager"), "the work database")
    commands = OperatorCommands(database, CATALOGUE, OPERATORS, SystemClock())
    await halt(owner, case)
    assert await email_sender.send(case.command(email_sender.soon)) == SendingHalted()
    assert [event["type"] for event in await commands.apply()] == ["PlaybookHalted"]
    assert await email_sender.send(case.command(email_sender.soon, note="still")) == SendingHalted()
    await hand_in(owner, signed_command("resume", PLAYBOOK))
    assert await email_sender.send(case.command(email_sender.soon, note="not yet")) == SendingHalted()
    assert [event["type"] for event in await commands.apply()] == ["PlaybookResumed"]
    assert isinstance(await email_sender.send(case.command(email_sender.soon, note="checked again")), EmailSent)


async def test_a_moment_that_has_passed_is_not_sent_in(case: Case, email_sender: EmailSender, outbox: Outbox) -> None:
    answer = await email_sender.send(case.command(email_sender.clock.now()))
    assert answer == SendingTooLate(content_sha256=case.content_sha256)
    assert outbox.of(case.case_id) == []


async def test_a_case_that_the_case_manager_does_not_know_sends_nothing(
    owner: Owner, email_sender: EmailSender, outbox: Outbox
) -> None:
    stranger = Case(owner)
    assert is_stopped(await email_sender.send(stranger.command(email_sender.soon)), "no_such_case")
    assert outbox.of(stranger.case_id) == []


async def test_a_command_about_another_address_than_the_cases_sends_nothing(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    assert is_stopped(await email_sender.send(case.command(email_sender.soon, address_key="e" * 64)), "not_the_cases")
    assert outbox.of(case.case_id) == []


async def test_an_approved_email_is_sent_and_its_approval_is_on_record(
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
async def test_without_a_good_approval_nothing_is_sent(
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
    forged = await case.approve(email_sender.soon, key=key)
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=forged)
    assert is_stopped(await email_sender.send(command), "approval_not_signed")
    assert outbox.of(case.case_id) == []
    assert await owner.fetchval("select count(*) from email_sender.sending") == 0


async def test_a_signature_for_another_approval_sends_nothing(
    case: Case, open_case: OpenCase, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    other = await (await open_case()).approve(email_sender.soon)
    forged = await case.approve(email_sender.soon, key=None)
    taken = await owner.fetchval("select signature from case_manager.approval where approval_id = $1", other)
    await owner.execute("update case_manager.approval set signature = $2 where approval_id = $1", forged, taken)
    command = case.command(email_sender.soon, approval="settlement_offer", approval_id=forged)
    assert is_stopped(await email_sender.send(command), "approval_not_signed")
    assert outbox.of(case.case_id) == []


async def test_an_approved_email_that_was_throttled_is_sent_by_a_later_command(
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


async def test_an_approval_that_was_asked_for_and_never_given_sends_nothing(
    case: Case, email_sender: EmailSender
) -> None:
    assert is_stopped(
        await email_sender.send(case.command(email_sender.soon, approval="first_contact")), "approval_missing"
    )


@each_stop
async def test_a_stop_that_is_under_way_is_waited_for(
    reason: str, case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, infrastructure: Infrastructure
) -> None:
    case_manager = await asyncpg.connect(infrastructure.owner_url())
    try:
        stopping = case_manager.transaction()
        await stopping.start()
        await STOPS[reason](case_manager, case)
        sending = asyncio.create_task(email_sender.send(case.command(email_sender.soon)))
        await is_waited_for(owner, case_manager)
        assert not sending.done()
        await stopping.commit()
        assert is_stopped(await sending, reason)
    finally:
        await case_manager.close()
    assert outbox.of(case.case_id) == []


@each_stop
async def test_a_stop_waits_for_an_intent_that_is_being_written(
    reason: str, case: Case, owner: Owner, pool_for: PoolFor
) -> None:
    pool = await pool_for("email_sender")
    async with pool.acquire() as connection:
        intending = connection.transaction()
        await intending.start()
        await connection.execute("select case_manager.lock_effect($1, $2)", case.case_id, case.address_key)
        stopping = asyncio.ensure_future(STOPS[reason](owner, case))
        await is_waited_for(connection, connection)
        assert not stopping.done()
        breaker = await connection.fetchrow("select * from case_manager.effect_permit where case_id = $1", case.case_id)
        assert breaker is not None
        assert not any((breaker["ending_outcome"], breaker["cancelled"], breaker["halted"], breaker["suppressed"]))
        await intending.commit()
        await stopping


async def test_a_email_sender_that_stands_still_holds_up_no_stop(
    case: Case, owner: Owner, infrastructure: Infrastructure
) -> None:
    pool = await connect_pool(
        infrastructure.role_url("email_sender"), schema="email_sender", server_settings=SESSION_SETTINGS
    )
    async with pool.acquire() as connection:
        await connection.execute("begin")
        await connection.execute("select case_manager.lock_effect($1, $2)", case.case_id, case.address_key)
        assert await asyncio.wait_for(halt(owner, case), 9)
        with pytest.raises(Unavailable), translate_errors("the work database"):
            await connection.execute("select 1")
    await pool.close()


async def test_two_intents_do_not_wait_for_each_other(case: Case, open_case: OpenCase, pool_for: PoolFor) -> None:
    pool, other = await pool_for("email_sender"), await open_case(address_key=case.address_key)
    async with pool.acquire() as one, pool.acquire() as two, one.transaction(), two.transaction():
        await one.execute("select case_manager.lock_effect($1, $2)", case.case_id, case.address_key)
        await asyncio.wait_for(
            two.execute("select case_manager.lock_effect($1, $2)", other.case_id, other.address_key), 5
        )


async def test_a_grant_that_is_taken_back_waits_for_the_intent_too(
    case: Case, owner: Owner, pool_for: PoolFor, email_sender: EmailSender
) -> None:
    approval_id = await case.approve(email_sender.soon)
    pool = await pool_for("email_sender")
    async with pool.acquire() as connection:
        intending = connection.transaction()
        await intending.start()
        await connection.execute("select case_manager.lock_effect($1, $2)", case.case_id, case.address_key)
        taking_back = asyncio.create_task(
            owner.execute("update case_manager.approval set state = 'void' where approval_id = $1", approval_id)
        )
        await is_waited_for(connection, connection)
        assert not taking_back.done()
        await intending.commit()
        await taking_back


async def test_email_sender_reads_only_effect_permits_of_case_manager(pool_for: PoolFor) -> None:
    pool = await pool_for("email_sender")
    assert await pool.fetch("select * from case_manager.effect_permit") == []
    for statement in (
        "select * from case_manager.submission",
        "select * from case_manager.control",
        "select * from case_manager.approval",
        "select * from case_manager.case_ending",
        "delete from case_manager.effect_approval",
        "select case_manager.commanded(gen_random_uuid())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_no_other_agent_takes_the_case_managers_locks(pool_for: PoolFor, case: Case) -> None:
    pool = await pool_for("drafter")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("select case_manager.lock_effect($1, $2)", case.case_id, case.address_key)
