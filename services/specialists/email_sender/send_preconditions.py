"""May this email be sent now? Pure: what the ledger and the case manager know goes in, what to do comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.events.email_sender import (
    EmailSent,
    EmailUndeliverable,
    SendingHalted,
    SendingStopped,
    SendingTooLate,
    SendingUnknown,
)
from contracts.events.router import SendEmail
from switchyard.protocol.approvals import approval_statement
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.clock import moment, timestamp

PROVIDER = "ses"


@dataclass(frozen=True)
class LedgerEntry:
    """The ledger's row of one case and content."""

    command_id: str
    attempt: int
    approval_id: str | None
    state: str
    provider_message_id: str | None
    code: str | None
    intended_at: datetime


@dataclass(frozen=True)
class SendPreconditions:
    """What the case manager knows of the case, read under its locks."""

    tenant: str
    playbook: str
    subject_key: str | None
    ending_outcome: str | None
    cancelled: bool
    halted: bool
    suppressed: bool


@dataclass(frozen=True)
class ApprovalRecord:
    """A person's decision, as the case manager recorded it."""

    approval_id: str
    case_id: str
    content_sha256: str
    pack: str
    state: str
    valid_until: datetime | None
    approver: str | None
    why: str | None
    signed_at: datetime | None
    signature: str | None

    def signed(self, approvers: OperatorKeys) -> bool:
        """Whether one of the approvers granted exactly this. The case manager's row alone is nobody's word."""
        if self.approver is None or self.signed_at is None or self.signature is None:
            return False
        statement = approval_statement(
            approval_id=self.approval_id,
            case_id=self.case_id,
            content_sha256=self.content_sha256,
            pack=self.pack,
            verdict="granted",
            approver=self.approver,
            reason=self.why or "",
            signed_at=timestamp(self.signed_at),
        )
        try:
            approvers.verify(self.approver, statement, self.signature)
        except InvalidEvent:
            return False
        return True


@dataclass(frozen=True)
class SendNow:
    """Write the intent and ask the provider."""


@dataclass(frozen=True)
class AnswerWithoutSending:
    """Nothing is to be sent: this is the outcome."""

    payload: Contract


@dataclass(frozen=True)
class OutcomeUnknown:
    """The provider was asked and nobody recorded its answer."""

    payload: SendingUnknown


@dataclass(frozen=True)
class SendInFlight:
    """Another worker may be asking the provider at this moment: look again in `seconds`."""

    seconds: float


SendDecision = SendNow | AnswerWithoutSending | OutcomeUnknown | SendInFlight


@dataclass(frozen=True)
class SendRequest:
    """A command to send, and when it is asked. `in_flight` is how long an intent may still be answered."""

    command_id: str
    case_id: str
    tenant: str
    command: SendEmail
    now: datetime
    in_flight: timedelta


def decide_send(
    question: SendRequest,
    entry: LedgerEntry | None,
    gate: SendPreconditions | None,
    approval: ApprovalRecord | None,
    approvers: OperatorKeys,
) -> SendDecision:
    """What was done stands, whatever has been stopped since; what was not done may be stopped."""
    if entry is not None and (known := _decide_from_entry(question, entry)) is not None:
        return known
    if (refusal := _stop_reason(question, gate)) is not None:
        return AnswerWithoutSending(refusal)
    if gate is not None and gate.halted:
        return AnswerWithoutSending(SendingHalted())
    if moment(question.command.valid_until) <= question.now:
        return AnswerWithoutSending(SendingTooLate(content_sha256=question.command.content_sha256))
    if (refusal := _approval_problem(question, approval, approvers)) is not None:
        return AnswerWithoutSending(refusal)
    return SendNow()


def build_sending_unknown(content_sha256: str, why: str) -> SendingUnknown:
    """The outcome of an email of which nobody knows whether it was sent."""
    return SendingUnknown(
        content_sha256=content_sha256,
        message=f"{why} Resolve it with `switchyard email resolve`; it is not sent again.",
    )


def _decide_from_entry(question: SendRequest, entry: LedgerEntry) -> SendDecision | None:
    content = question.command.content_sha256
    match entry.state:
        case "sent":
            return AnswerWithoutSending(build_email_sent(content, entry.provider_message_id or ""))
        case "refused" if entry.command_id == question.command_id:
            return AnswerWithoutSending(build_email_undeliverable(entry.code or "refused"))
        case "unknown":
            return OutcomeUnknown(build_sending_unknown(content, "The provider's answer was never recorded."))
        case "intended":
            age = question.now - entry.intended_at
            if age < question.in_flight:
                return SendInFlight((question.in_flight - age).total_seconds())
            return OutcomeUnknown(
                build_sending_unknown(content, "The worker that asked the provider did not come back.")
            )
        case _:
            return None


def build_email_sent(content_sha256: str, message_id: str) -> EmailSent:
    """The provider took it."""
    return EmailSent(content_sha256=content_sha256, provider=PROVIDER, provider_message_id=message_id)


def build_email_undeliverable(code: str) -> EmailUndeliverable:
    """The provider did not take it, and never will. Its own words may quote an address, so they stay out."""
    return EmailUndeliverable(code=code, message="The provider refused the email for good. Nothing was sent.")


def _stop_reason(question: SendRequest, gate: SendPreconditions | None) -> SendingStopped | None:
    if gate is None:
        return SendingStopped(code="no_such_case", message="The case manager has no such case. Nothing was sent.")
    if gate.tenant != question.tenant or gate.subject_key != question.command.address_key:
        return SendingStopped(code="not_the_cases", message="The command is not about the case's own address.")
    if gate.ending_outcome is not None:
        return SendingStopped(code="case_closed", message=f"The case was closed before, as {gate.ending_outcome}.")
    if gate.cancelled:
        return SendingStopped(code="case_cancelled", message="An operator cancelled the case.")
    if gate.suppressed:
        return SendingStopped(code="opted_out", message="The address may not be written to any more.")
    return None


def _approval_problem(
    question: SendRequest, approval: ApprovalRecord | None, approvers: OperatorKeys
) -> SendingStopped | None:
    # Single use needs no check of its own: an approval is for one case and content, whose one ledger row says what was
    # or may have been sent. What certainly was not (released, refused) used up nothing, whichever command asks again.
    command = question.command
    if command.approval is None:
        return None
    if approval is None:
        return SendingStopped(code="approval_missing", message="The email needs an approval and has none.")
    this = question.case_id, command.content_sha256, command.pack
    checks = (
        ((approval.case_id, approval.content_sha256, approval.pack) != this, "approval_differs",
         "The approval is for another case, content or rule pack."),
        (approval.state != "granted", "approval_not_granted", f"The approval is {approval.state}."),
        (approval.valid_until is None or approval.valid_until <= question.now, "approval_expired",
         "The approval has expired."),
        (not approval.signed(approvers), "approval_not_signed", "No approver signed what the approval says."),
    )  # fmt: skip
    refusals = (SendingStopped(code=code, message=message) for fails, code, message in checks if fails)
    return next(refusals, None)
