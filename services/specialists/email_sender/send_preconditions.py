"""Decides whether an email may be sent now. Pure: facts of the ledger and the case manager in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.events import email_sender as events
from contracts.events.router import SendEmail
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import approval_statement
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
    """The case as the case manager knows it, read under its locks."""

    tenant: str
    playbook: str
    subject_key: str | None
    ending_outcome: str | None
    cancelled: bool
    halted: bool
    suppressed: bool


@dataclass(frozen=True)
class ApprovalRecord:
    """An approver's decision, as the case manager recorded it."""

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
        """Whether an approver signed exactly this grant. The case manager's row alone proves nothing."""
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
    """Write the intent and call the provider."""


@dataclass(frozen=True)
class AnswerWithoutSending:
    """Send nothing: this is the outcome."""

    payload: Contract


@dataclass(frozen=True)
class OutcomeUnknown:
    """The provider was called and its answer was not recorded."""

    payload: events.SendingUnknown


@dataclass(frozen=True)
class SendInFlight:
    """Another worker may be calling the provider now: check again in `seconds`."""

    seconds: float


SendDecision = SendNow | AnswerWithoutSending | OutcomeUnknown | SendInFlight


@dataclass(frozen=True)
class SendRequest:
    """A command to send, and the time of asking. `in_flight` is how long an intent may wait for its answer."""

    command_id: str
    case_id: str
    tenant: str
    command: SendEmail
    now: datetime
    in_flight: timedelta


def decide_send(
    request: SendRequest,
    entry: LedgerEntry | None,
    preconditions: SendPreconditions | None,
    approval: ApprovalRecord | None,
    approvers: OperatorKeys,
) -> SendDecision:
    """A recorded outcome counts, however the case was stopped since; a send that has not begun may still be stopped."""
    if entry is not None and (known := _decide_from_entry(request, entry)) is not None:
        return known
    if (stop := _stop_reason(request, preconditions)) is not None:
        return AnswerWithoutSending(stop)
    if preconditions is not None and preconditions.halted:
        return AnswerWithoutSending(events.SendingHalted())
    if moment(request.command.valid_until) <= request.now:
        return AnswerWithoutSending(events.SendingTooLate(content_sha256=request.command.content_sha256))
    if (stop := _approval_problem(request, approval, approvers)) is not None:
        return AnswerWithoutSending(stop)
    return SendNow()


def build_sending_unknown(content_sha256: str, why: str) -> events.SendingUnknown:
    """The outcome of an email whose delivery status is unknown."""
    return events.SendingUnknown(
        content_sha256=content_sha256,
        message=f"{why} It is not sent again. Resolve it with `switchyard email resolve`.",
    )


def _decide_from_entry(request: SendRequest, entry: LedgerEntry) -> SendDecision | None:
    content = request.command.content_sha256
    match entry.state:
        case "sent":
            return AnswerWithoutSending(build_email_sent(content, entry.provider_message_id or ""))
        case "refused" if entry.command_id == request.command_id:
            return AnswerWithoutSending(build_email_undeliverable(entry.code or "refused"))
        case "unknown":
            return OutcomeUnknown(build_sending_unknown(content, "The provider's answer was never recorded."))
        case "intended":
            age = request.now - entry.intended_at
            if age < request.in_flight:
                return SendInFlight((request.in_flight - age).total_seconds())
            return OutcomeUnknown(
                build_sending_unknown(content, "The worker that called the provider did not record its answer.")
            )
        case _:
            return None


def build_email_sent(content_sha256: str, message_id: str) -> events.EmailSent:
    """The outcome of an email that the provider accepted."""
    return events.EmailSent(content_sha256=content_sha256, provider=PROVIDER, provider_message_id=message_id)


def build_email_undeliverable(code: str) -> events.EmailUndeliverable:
    """The outcome of a permanent rejection, without the provider's message, which may quote an address."""
    return events.EmailUndeliverable(
        code=code, message="The provider rejected the email permanently. Nothing was sent."
    )


def _stop_reason(request: SendRequest, case: SendPreconditions | None) -> events.SendingStopped | None:
    if case is None:
        return events.SendingStopped(
            code="no_such_case", message="The case manager does not know the case. Nothing was sent."
        )
    differs = case.tenant != request.tenant or case.subject_key != request.command.address_key
    return _first_stop(
        (differs, "not_the_cases", "The command names another address than the case."),
        (case.ending_outcome is not None, "case_closed", f"The case was closed before, as {case.ending_outcome}."),
        (case.cancelled, "case_cancelled", "An operator cancelled the case."),
        (case.suppressed, "opted_out", "The address is on the suppression list."),
    )


def _approval_problem(
    request: SendRequest, approval: ApprovalRecord | None, approvers: OperatorKeys
) -> events.SendingStopped | None:
    # Single use needs no check of its own: an approval is for one case and content, which have one ledger row. A send
    # that was certainly not accepted (released, refused) does not use the approval up, whichever command asks again.
    command = request.command
    if command.approval is None:
        return None
    if approval is None:
        return events.SendingStopped(code="approval_missing", message="The email needs an approval, and it is missing.")
    names = approval.case_id, approval.content_sha256, approval.pack
    differs = names != (request.case_id, command.content_sha256, command.pack)
    expired = approval.valid_until is None or approval.valid_until <= request.now
    return _first_stop(
        (differs, "approval_differs", "The approval is for another case, content or rule pack."),
        (approval.state != "granted", "approval_not_granted", f"The approval is {approval.state}."),
        (expired, "approval_expired", "The approval has expired."),
        (not approval.signed(approvers), "approval_not_signed", "The approval is not signed by an approver."),
    )


def _first_stop(*checks: tuple[bool, str, str]) -> events.SendingStopped | None:
    return next((events.SendingStopped(code=code, message=message) for fails, code, message in checks if fails), None)
