"""May this email be sent now? Pure: what the ledger and the desk know goes in, what to do comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.events.email_sender import (
    EmailSent,
    EmailUndeliverable,
    SendingHeld,
    SendingRefused,
    SendingTooLate,
    SendingUnknown,
)
from contracts.events.router import SendEmail
from switchyard.protocol.approvals import approval_statement
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract
from switchyard.protocol.signing import Operators
from switchyard.runtime.core.clock import moment, timestamp

PROVIDER = "ses"


@dataclass(frozen=True)
class Entry:
    """The ledger's row of one case and content."""

    command_id: str
    attempt: int
    approval_id: str | None
    state: str
    provider_message_id: str | None
    code: str | None
    intended_at: datetime


@dataclass(frozen=True)
class Gate:
    """What the desk knows of the case, read under its locks."""

    tenant: str
    playbook: str
    address_key: str | None
    closed_as: str | None
    cancelled: bool
    halted: bool
    opted_out: bool


@dataclass(frozen=True)
class Approval:
    """A person's decision, as the desk recorded it."""

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

    def signed(self, approvers: Operators) -> bool:
        """Whether one of the approvers granted exactly this. The desk's row alone is nobody's word."""
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
class Send:
    """Write the intent and ask the provider."""


@dataclass(frozen=True)
class Answer:
    """Nothing is to be sent: this is the outcome."""

    payload: Contract


@dataclass(frozen=True)
class GiveUp:
    """The provider was asked and nobody recorded its answer."""

    payload: SendingUnknown


@dataclass(frozen=True)
class InFlight:
    """Another worker may be asking the provider at this moment: look again in `seconds`."""

    seconds: float


Verdict = Send | Answer | GiveUp | InFlight


@dataclass(frozen=True)
class Question:
    """A command to send, and when it is asked. `in_flight` is how long an intent may still be answered."""

    command_id: str
    case_id: str
    tenant: str
    command: SendEmail
    now: datetime
    in_flight: timedelta


def decide(
    question: Question, entry: Entry | None, gate: Gate | None, approval: Approval | None, approvers: Operators
) -> Verdict:
    """What was done stands, whatever has been stopped since; what was not done may be stopped."""
    if entry is not None and (known := _known(question, entry)) is not None:
        return known
    if (refusal := _stopped(question, gate)) is not None:
        return Answer(refusal)
    if gate is not None and gate.halted:
        return Answer(SendingHeld())
    if moment(question.command.valid_until) <= question.now:
        return Answer(SendingTooLate(content_sha256=question.command.content_sha256))
    if (refusal := _not_approved(question, approval, approvers)) is not None:
        return Answer(refusal)
    return Send()


def unknown(content_sha256: str, why: str) -> SendingUnknown:
    """The outcome of an email of which nobody knows whether it was sent."""
    return SendingUnknown(
        content_sha256=content_sha256,
        message=f"{why} Settle it with `switchyard courier settle`; it is not sent again.",
    )


def _known(question: Question, entry: Entry) -> Verdict | None:
    content = question.command.content_sha256
    match entry.state:
        case "sent":
            return Answer(sent(content, entry.provider_message_id or ""))
        case "refused" if entry.command_id == question.command_id:
            return Answer(undeliverable(entry.code or "refused"))
        case "unknown":
            return GiveUp(unknown(content, "The provider's answer was never recorded."))
        case "intended":
            age = question.now - entry.intended_at
            if age < question.in_flight:
                return InFlight((question.in_flight - age).total_seconds())
            return GiveUp(unknown(content, "The worker that asked the provider did not come back."))
        case _:
            return None


def sent(content_sha256: str, message_id: str) -> EmailSent:
    """The provider took it."""
    return EmailSent(content_sha256=content_sha256, provider=PROVIDER, provider_message_id=message_id)


def undeliverable(code: str) -> EmailUndeliverable:
    """The provider did not take it, and never will. Its own words may quote an address, so they stay out."""
    return EmailUndeliverable(code=code, message="The provider refused the email for good. Nothing was sent.")


def _stopped(question: Question, gate: Gate | None) -> SendingRefused | None:
    if gate is None:
        return SendingRefused(code="no_such_case", message="The desk has no such case. Nothing was sent.")
    if gate.tenant != question.tenant or gate.address_key != question.command.address_key:
        return SendingRefused(code="not_the_cases", message="The command is not about the case's own address.")
    if gate.closed_as is not None:
        return SendingRefused(code="case_closed", message=f"The case was closed before, as {gate.closed_as}.")
    if gate.cancelled:
        return SendingRefused(code="case_cancelled", message="An operator cancelled the case.")
    if gate.opted_out:
        return SendingRefused(code="opted_out", message="The address may not be written to any more.")
    return None


def _not_approved(question: Question, approval: Approval | None, approvers: Operators) -> SendingRefused | None:
    # Single use needs no check of its own: an approval is for one case and content, whose one ledger row says what was
    # or may have been sent. What certainly was not (released, refused) used up nothing, whichever command asks again.
    command = question.command
    if command.approval is None:
        return None
    if approval is None:
        return SendingRefused(code="approval_missing", message="The email needs an approval and has none.")
    this = question.case_id, command.content_sha256, command.pack
    checks = (
        ((approval.case_id, approval.content_sha256, approval.pack) != this, "approval_differs",
         "The approval is for another case, content or rule pack."),
        (approval.state != "granted", "approval_not_granted", f"The approval is {approval.state}."),
        (approval.valid_until is None or approval.valid_until <= question.now, "approval_expired",
         "The approval has expired."),
        (not approval.signed(approvers), "approval_not_signed", "No approver signed what the approval says."),
    )  # fmt: skip
    refusals = (SendingRefused(code=code, message=message) for fails, code, message in checks if fails)
    return next(refusals, None)
