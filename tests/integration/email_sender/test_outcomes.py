"""The outcome of an email follows from the provider's answer, or from its absence."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from contracts.events.email_sender import EmailSent, EmailUndeliverable, SendingUnknown
from services.specialists.email_sender.handlers import MAX_PRECONDITION_AGE_S, SEND_MARGIN_S
from services.specialists.email_sender.ledger import SendLedger
from switchyard.devstack.simulators.ses import SesFault
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, Unavailable
from tests.integration.email_sender.conftest import TIMEOUT_S, Case, EmailSender, OpenCase, Outbox, StartEmailSender
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.integration.serving import free_port


async def test_sent_bytes_are_the_reviewed_bytes(case: Case, email_sender: EmailSender, outbox: Outbox) -> None:
    answer = await email_sender.send(case.command(email_sender.soon))

    [taken] = outbox.of(case.case_id)
    assert answer == EmailSent(content_sha256=case.content_sha256, provider="ses", provider_message_id=taken.message_id)
    assert base64.b64decode(taken.raw) == case.raw
    assert taken.sha256 == case.content_sha256
    assert (taken.sender, taken.recipients) == ("accounts@harborline.example", (case.to,))
    assert taken.configuration_set == "outbound"
    assert taken.tags == {"case_id": case.case_id, "content_sha256": case.content_sha256}


async def test_command_repeated_sends_nothing_and_gets_the_same_answer(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    first = await email_sender.send(case.command(email_sender.soon))
    assert await email_sender.send(case.command(email_sender.soon)) == first
    assert await email_sender.send(case.command(email_sender.soon, note="another command")) == first
    assert len(outbox.of(case.case_id)) == 1


async def test_concurrent_email_senders_send_one_email_once(
    case: Case, start_email_sender: StartEmailSender, outbox: Outbox
) -> None:
    email_senders = [await start_email_sender() for _ in range(2)]
    commands = [case.command(email_senders[0].soon, note=f"{number}") for number in range(10)]

    answers = await asyncio.gather(
        *(email_senders[number % 2].send(each) for number, each in enumerate(commands)), return_exceptions=True
    )

    assert len(outbox.of(case.case_id)) == 1
    waiting = [each for each in answers if isinstance(each, Unavailable)]
    assert {each.code for each in waiting} <= {"in_flight"}
    assert all(isinstance(each, EmailSent | Unavailable) for each in answers)
    assert await email_senders[0].send(commands[-1]) in answers


@pytest.mark.parametrize("fault", ["error", "error_after", "drop", "drop_after", "reset_after", "hang", "hang_after"])
async def test_unanswered_send_is_unknown_and_never_repeated(
    fault: SesFault, case: Case, email_sender: EmailSender, outbox: Outbox, clock: ManualClock
) -> None:
    outbox.plan(fault)
    answer = await email_sender.send(case.command(email_sender.soon))

    assert isinstance(answer, SendingUnknown)
    assert answer.code == "outcome_unknown"
    taken = 1 if fault.endswith("_after") else 0
    for wait_s, note in ((0, ""), (3_600, ""), (0, "another command")):
        clock.advance(wait_s)
        assert isinstance(await email_sender.send(case.command(email_sender.soon, note=note)), SendingUnknown)
    assert len(outbox.of(case.case_id)) == taken


async def test_email_refused_by_the_provider_is_undeliverable(
    case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    outbox.plan("reject")
    answer = await email_sender.send(case.command(email_sender.soon))

    assert isinstance(answer, EmailUndeliverable)
    assert answer.code == "message_rejected"
    assert await email_sender.send(case.command(email_sender.soon)) == answer
    assert outbox.of(case.case_id) == []


@pytest.mark.parametrize(("fault", "code"), [("throttle", "throttled"), ("pause", "provider_account")])
async def test_email_certainly_not_accepted_is_sent_later_once(
    fault: SesFault, code: str, case: Case, email_sender: EmailSender, outbox: Outbox
) -> None:
    outbox.plan(fault, fault)
    for _ in range(2):
        with pytest.raises(Unavailable) as waiting:
            await email_sender.send(case.command(email_sender.soon))
        assert waiting.value.code == code
        assert waiting.value.after_s is not None
        assert waiting.value.after_s >= 5
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert len(outbox.of(case.case_id)) == 1


async def test_unreachable_provider_delays_the_email_without_an_attempt(
    case: Case, email_sender: EmailSender, start_email_sender: StartEmailSender, outbox: Outbox
) -> None:
    cut_off = await start_email_sender(url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable) as waiting:
        await cut_off.send(case.command(email_sender.soon))
    assert waiting.value.code == "not_reachable"
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert len(outbox.of(case.case_id)) == 1


async def test_bytes_without_a_pass_are_not_sent(case: Case, email_sender: EmailSender, outbox: Outbox) -> None:
    for stage, outcome in (("email", "EmailPassed"), ("sending", "SendingAllowed")):
        await case.record_verdict(stage, outcome, content_sha256="d" * 64, valid_until="2100-01-01T00:00:00Z")
    with pytest.raises(PermanentTaskError) as refused:
        await email_sender.send(case.command(email_sender.soon, content_sha256="d" * 64))
    assert refused.value.code == "content_altered"
    assert outbox.of(case.case_id) == []


async def test_task_with_too_little_time_left_does_not_call_the_provider(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    with pytest.raises(RetryableTaskError) as waiting:
        await email_sender.send(case.command(email_sender.soon), within_s=TIMEOUT_S + SEND_MARGIN_S - 0.1)
    assert waiting.value.code == "too_little_time"
    assert await owner.fetchval("select count(*) from email_sender.sending") == 0
    assert outbox.of(case.case_id) == []


async def test_slow_intent_is_withdrawn_and_preconditions_are_read_again(
    case: Case, email_sender: EmailSender, outbox: Outbox, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = SendLedger.look

    async def slowly(*arguments: Any, **options: Any) -> object:
        found = await look(*arguments, **options)
        clock.advance(MAX_PRECONDITION_AGE_S + 1)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SendLedger, "look", slowly)
        with pytest.raises(Unavailable) as waiting:
            await email_sender.send(case.command(email_sender.soon))
    assert waiting.value.code == "stale_intent"
    assert outbox.of(case.case_id) == []
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert len(outbox.of(case.case_id)) == 1


async def test_answer_is_kept_until_the_unavailable_database_returns(
    case: Case, email_sender: EmailSender, outbox: Outbox, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, away = SendLedger.record, ["once", "twice"]

    async def recorded(*arguments: Any, **fields: Any) -> None:
        if away:
            away.pop()
            raise Unavailable("database_unreachable", "the work database is unreachable")
        await record(*arguments, **fields)

    monkeypatch.setattr(SendLedger, "record", recorded)
    assert isinstance(await email_sender.send(case.command(email_sender.soon)), EmailSent)
    assert away == []
    assert await owner.fetchval("select state from email_sender.sending") == "sent"
    assert len(outbox.of(case.case_id)) == 1


async def test_ledger_and_answers_hold_no_address_or_text(
    open_case: OpenCase, email_sender: EmailSender, outbox: Outbox, owner: Owner
) -> None:
    for fault in ("none", "reject", "error"):
        case = await open_case(to="zanzibar.4711@example.org")
        outbox.plan(fault)
        answer = await email_sender.send(case.command(email_sender.soon))
        assert "zanzibar" not in answer.model_dump_json().lower()
    rows = await owner.fetch("select * from email_sender.sending")
    assert len(rows) == 3
    assert "zanzibar" not in str(rows).lower()
    assert "example.org" not in str(await owner.fetch("select * from email_sender.domain_rate"))
