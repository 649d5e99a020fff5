"""May it be sent now? Every stop, and what was done before it."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.events.email_sender import EmailSent, EmailUndeliverable, SendingHalted, SendingStopped, SendingTooLate
from contracts.events.router import SendEmail
from services.specialists.email_sender.send_preconditions import (
    AnswerWithoutSending,
    ApprovalPolicy,
    ApprovalRecord,
    LedgerEntry,
    OutcomeUnknown,
    SendDecision,
    SendInFlight,
    SendNow,
    SendPreconditions,
    SendRequest,
    decide_send,
)
from switchyard.protocol.fields import Artefact
from switchyard.protocol.four_eyes import FourEyes
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement
from switchyard.protocol.statements import ApprovalAnswer, approval_statement
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.session_scope import SessionScope

NOW = datetime(2026, 10, 1, 15, tzinfo=UTC)
CASE, COMMAND, APPROVAL = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(3))
OTHER = "00000000-0000-4000-8000-000000000009"
CONTENT, ADDRESS = "c" * 64, "a" * 64
KEY = b"a" * 32
SCOPE = SessionScope("acme", "ada", "s-1")
KEYS = {"m.okafor": bytes.fromhex(derive_public_key(KEY))}
APPROVALS = ApprovalPolicy(OperatorKeys(KEYS), FourEyes(KEYS, {"c.ruiz": ()}))


def question(**changes: Any) -> SendRequest:
    command: dict[str, Any] = {
        "email": Artefact(name="email", sha256="e" * 64, size=1, media_type="message/rfc822"),
        "content_sha256": CONTENT,
        "pack": "2026-09-01.1",
        "valid_until": timestamp(NOW + timedelta(minutes=5)),
        "address_key": ADDRESS,
    } | changes
    return SendRequest(
        COMMAND, CASE, "outbound_email", SCOPE, "c.ruiz", SendEmail(**command), NOW, timedelta(seconds=12)
    )


def gate(**changes: Any) -> SendPreconditions:
    fields: dict[str, Any] = {
        "subject_key": ADDRESS,
        "sealed_address": b"sealed",
        "ending_outcome": None,
        "cancelled": False,
        "halted": False,
        "suppressed": False,
        "reviewed": "EmailPassed",
        "review_pack": "2026-09-01.1",
        "approval": None,
        "checked": "SendingAllowed",
        "check_pack": "2026-09-01.1",
        "valid_until": NOW + timedelta(minutes=5),
    }
    return SendPreconditions(**(fields | changes))


def entry(state: str, **changes: Any) -> LedgerEntry:
    fields: dict[str, Any] = {
        "command_id": COMMAND,
        "attempt": 1,
        "approval_id": None,
        "state": state,
        "provider_message_id": "m-1" if state == "sent" else None,
        "code": "message_rejected" if state == "refused" else None,
        "intended_at": NOW - timedelta(hours=1),
    }
    return LedgerEntry(**(fields | changes))


def approval(*, verdict: ApprovalAnswer = "granted", key: bytes = KEY, **changes: Any) -> ApprovalRecord:
    """An approval as the case manager records it, signed for what it says; changes of its one grant come last."""
    signed: dict[str, Any] = {
        "approval_id": APPROVAL,
        "case_id": CASE,
        "content_sha256": CONTENT,
        "pack": "2026-09-01.1",
    } | {name: value for name, value in changes.items() if name in ("case_id", "content_sha256", "pack")}
    by = {"approver": "m.okafor", "signed_at": timestamp(NOW - timedelta(hours=1))}
    statement = approval_statement(**signed, **by, verdict=verdict, reason="agreed")
    grant = by | {"why": "agreed", "signature": sign_statement(key, statement)}
    grant |= {name: changes.pop(name) for name in list(changes) if name in grant}
    fields = signed | {"state": "granted", "valid_until": NOW + timedelta(days=1), "grants": json.dumps([grant])}
    return ApprovalRecord(**(fields | changes))


def decided(
    question: SendRequest, entry: LedgerEntry | None, gate: SendPreconditions | None, approval: ApprovalRecord | None
) -> SendDecision:
    return decide_send(question, entry, gate, approval, APPROVALS)


TO_APPROVE = {"approval": "settlement_offer", "approval_id": APPROVAL}


def code(verdict: SendDecision) -> str | None:
    assert isinstance(verdict, AnswerWithoutSending)
    return getattr(verdict.payload, "code", None)


def test_email_without_an_obstacle_is_sent() -> None:
    assert decided(question(), None, gate(), None) == SendNow()
    assert decided(question(**TO_APPROVE), None, gate(), approval()) == SendNow()


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [
        (None, "no_such_case"),
        (gate(subject_key="b" * 64), "not_the_cases"),
        (gate(subject_key=None), "not_the_cases"),
        (gate(ending_outcome="expired"), "case_closed"),
        (gate(cancelled=True), "case_cancelled"),
        (gate(suppressed=True), "opted_out"),
    ],
)
def test_stop_ends_the_sending(stopped: SendPreconditions | None, reason: str) -> None:
    verdict = decided(question(), None, stopped, None)
    assert isinstance(verdict, AnswerWithoutSending)
    assert isinstance(verdict.payload, SendingStopped)
    assert verdict.payload.code == reason


def test_halted_playbook_halts_the_email_even_past_its_moment() -> None:
    late = question(valid_until=timestamp(NOW - timedelta(hours=1)))
    assert decided(late, None, gate(halted=True), None) == AnswerWithoutSending(SendingHalted())


@pytest.mark.parametrize("late_by", [timedelta(0), timedelta(seconds=1)])
def test_command_past_its_moment_is_too_late(late_by: timedelta) -> None:
    late = question(valid_until=timestamp(NOW - late_by))
    assert decided(late, None, gate(), None) == AnswerWithoutSending(SendingTooLate(content_sha256=CONTENT))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "approval_missing"),
        (approval(case_id=OTHER), "approval_differs"),
        (approval(content_sha256="d" * 64), "approval_differs"),
        (approval(pack="2025-01-01.1"), "approval_differs"),
        (approval(state="asked"), "approval_not_granted"),
        (approval(state="denied"), "approval_not_granted"),
        (approval(state="expired"), "approval_not_granted"),
        (approval(state="void"), "approval_not_granted"),
        (approval(valid_until=NOW), "approval_expired"),
        (approval(valid_until=None), "approval_expired"),
    ],
)
def test_approval_for_something_else_does_not_count(given: ApprovalRecord | None, reason: str) -> None:
    assert code(decided(question(**TO_APPROVE), None, gate(), given)) == reason


@pytest.mark.parametrize("state", ["released", "refused"])
def test_approval_of_an_email_certainly_not_sent_can_be_used_again(state: str) -> None:
    unsent = entry(state, command_id=OTHER, approval_id=APPROVAL)
    assert decided(question(**TO_APPROVE), unsent, gate(), approval()) == SendNow()


@pytest.mark.parametrize("state", ["sent", "unknown", "intended"])
def test_approval_of_an_email_sent_or_possibly_sent_is_used_up(state: str) -> None:
    used = entry(state, command_id=OTHER, approval_id=APPROVAL)
    assert decided(question(**TO_APPROVE), used, gate(), approval()) != SendNow()


@pytest.mark.parametrize(
    "forged",
    [
        {"grants": None},
        {"grants": "[]"},
        {"signature": "not hex"},
        {"signature": "00" * 64},
        {"approver": "c.ruiz"},
        {"approver": "M.Okafor"},
        {"signed_at": timestamp(NOW)},
        {"why": "another reason"},
    ],
)
def test_approval_altered_after_its_signature_does_not_count(forged: dict[str, Any]) -> None:
    given = approval(**forged)
    assert code(decided(question(**TO_APPROVE), None, gate(), given)) == "approval_not_signed"


def test_signature_of_another_verdict_or_a_non_approver_does_not_count() -> None:
    assert code(decided(question(**TO_APPROVE), None, gate(), approval(verdict="denied"))) == "approval_not_signed"
    assert code(decided(question(**TO_APPROVE), None, gate(), approval(key=b"f" * 32))) == "approval_not_signed"


def test_email_already_sent_stays_sent_after_a_stop() -> None:
    for stopped in (None, gate(), gate(ending_outcome="sent"), gate(cancelled=True), gate(halted=True)):
        for command_id in (COMMAND, OTHER):
            verdict = decided(question(), entry("sent", command_id=command_id), stopped, None)
            assert verdict == AnswerWithoutSending(
                EmailSent(content_sha256=CONTENT, provider="ses", provider_message_id="m-1")
            )


def test_unanswered_intent_is_awaited_then_unknown_and_never_repeated() -> None:
    fresh = entry("intended", intended_at=NOW - timedelta(seconds=2))
    assert decided(question(), fresh, gate(), None) == SendInFlight(10.0)
    for state, command_id in itertools.product(("intended", "unknown"), (COMMAND, OTHER)):
        verdict = decided(question(), entry(state, command_id=command_id), gate(), None)
        assert isinstance(verdict, OutcomeUnknown)
        assert verdict.payload.code == "outcome_unknown"


def test_rejected_email_ends_its_own_command_only() -> None:
    verdict = decided(question(), entry("refused"), gate(), None)
    assert isinstance(verdict, AnswerWithoutSending)
    assert isinstance(verdict.payload, EmailUndeliverable)
    assert decided(question(), entry("refused", command_id=OTHER), gate(), None) == SendNow()
    assert code(decided(question(), entry("refused", command_id=OTHER), gate(cancelled=True), None)) == "case_cancelled"


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ({"reviewed": None}, "not_reviewed"),
        ({"reviewed": "EmailBlocked"}, "not_passed"),
        ({"checked": None}, "not_allowed"),
        ({"checked": "SendingDeferred"}, "not_allowed"),
        ({"review_pack": "2020-01-01.1"}, "pack_differs"),
        ({"check_pack": "2020-01-01.1"}, "pack_differs"),
        ({"approval": "settlement_offer"}, "approval_missing"),
    ],
)
def test_email_without_a_recorded_compliance_verdict_is_not_sent(recorded: dict[str, Any], reason: str) -> None:
    assert code(decided(question(), None, gate(**recorded), None)) == reason


def test_address_different_from_the_sealed_one_is_not_sent_to() -> None:
    compared = replace(question(), address=b"sealed")
    assert decided(compared, None, gate(), None) == SendNow()
    assert code(decided(compared, None, gate(sealed_address=b"another"), None)) == "not_the_cases"
