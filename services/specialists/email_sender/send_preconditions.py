"""Decides whether an email may be sent now. Pure: facts of the ledger, the case manager and compliance in, a decision
out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.events import email_sender as events
from contracts.events.compliance import EmailPassed, SendingAllowed
from contracts.events.router import SendEmail
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract
from switchyard.protocol.four_eyes import FourEyes
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import approval_statement
from switchyard.runtime.core.clock import moment, timestamp
from switchyard.runtime.database.session_scope import SessionScope

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
    """The case as intake and the case manager recorded it, and compliance's latest verdicts on the content."""

    subject_key: str | None
    sealed_address: bytes | None
    ending_outcome: str | None
    cancelled: bool
    halted: bool
    suppressed: bool
    reviewed: str | None
    review_pack: str | None
    approval: str | None
    checked: str | None
    check_pack: str | None
    valid_until: datetime | None


@dataclass(frozen=True)
class ApprovalRecord:
    """An approval, as the case manager recorded it; `grants` is a JSON array of the approvers' signed decisions."""

    approval_id: str
    case_id: str
    content_sha256: str
    pack: str
    state: str
    valid_until: datetime | None
    grants: str | None


@dataclass(frozen=True)
class ApprovalPolicy:
    """Whose signatures count, and how many are needed for whom."""

    keys: OperatorKeys
    four_eyes: FourEyes

    def is_signed(self, approval: ApprovalRecord, submitter: str) -> bool:
        """Whether enough other persons signed exactly this approval. The case manager's row alone proves nothing."""
        signers = []
        for grant in json.loads(approval.grants or "[]"):
            statement = approval_statement(
                approval_id=approval.approval_id,
                case_id=approval.case_id,
                content_sha256=approval.content_sha256,
                pack=approval.pack,
                verdict="granted",
                approver=grant["approver"],
                reason=grant["why"],
                signed_at=timestamp(moment(grant["signed_at"])),
            )
            try:
                self.keys.verify(grant["approver"], statement, grant["signature"])
            except InvalidEvent:
                continue
            signers.append(grant["approver"])
        return self.four_eyes.is_approved(signers, submitter)


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
    """A command to send, and the time of asking. `in_flight` is how long an intent may wait for its answer; `submitter`
    is who asked for the email; `address` is the sealed address with which the recipient was compared."""

    command_id: str
    case_id: str
    playbook: str
    scope: SessionScope
    submitter: str
    command: SendEmail
    now: datetime
    in_flight: timedelta
    address: bytes | None = None


def decide_send(
    request: SendRequest,
    entry: LedgerEntry | None,
    preconditions: SendPreconditions | None,
    approval: ApprovalRecord | None,
    policy: ApprovalPolicy,
) -> SendDecision:
    """A recorded outcome counts, however the case was stopped since; a send that has not begun may still be stopped."""
    if entry is not None and (known := _decide_from_entry(request, entry)) is not None:
        return known
    if preconditions is None:
        message = "The case manager does not know the case. Nothing was sent."
        return AnswerWithoutSending(events.SendingStopped(code="no_such_case", message=message))
    stop: Contract | None = _stop_reason(request, preconditions) or _verdict_problem(request, preconditions)
    if stop is None and preconditions.halted:
        stop = events.SendingHalted()
    if stop is None and _is_too_late(request, preconditions):
        stop = events.SendingTooLate(content_sha256=request.command.content_sha256)
    stop = stop or _approval_problem(request, preconditions, approval, policy)
    return SendNow() if stop is None else AnswerWithoutSending(stop)


def _is_too_late(request: SendRequest, case: SendPreconditions) -> bool:
    """Whether the moment that compliance checked, or the command's, has passed."""
    until = moment(request.command.valid_until)
    return case.valid_until is None or min(until, case.valid_until) <= request.now


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


def _stop_reason(request: SendRequest, case: SendPreconditions) -> events.SendingStopped | None:
    differs = case.subject_key is None or case.subject_key != request.command.address_key
    differs = differs or (request.address is not None and request.address != case.sealed_address)
    return _first_stop(
        (differs, "not_the_cases", "The command names another address than the case."),
        (case.ending_outcome is not None, "case_closed", f"The case was closed before, as {case.ending_outcome}."),
        (case.cancelled, "case_cancelled", "An operator cancelled the case."),
        (case.suppressed, "opted_out", "The address is on the suppression list."),
    )


def _verdict_problem(request: SendRequest, case: SendPreconditions) -> events.SendingStopped | None:
    """Compliance's own record decides what passed: the router's command only says what to send."""
    pack = request.command.pack
    return _first_stop(
        (case.reviewed is None, "not_reviewed", "Compliance has not reviewed this content for this case."),
        (case.reviewed != EmailPassed.__name__, "not_passed", "Compliance's latest review did not pass this content."),
        (
            case.checked != SendingAllowed.__name__,
            "not_allowed",
            "Compliance's latest check did not allow the sending.",
        ),
        ({case.review_pack, case.check_pack} != {pack}, "pack_differs", "It passed under another rule pack."),
    )


def _approval_problem(
    request: SendRequest, case: SendPreconditions, approval: ApprovalRecord | None, policy: ApprovalPolicy
) -> events.SendingStopped | None:
    # Single use needs no check of its own: an approval is for one case and content, which have one ledger row. A send
    # that was certainly not accepted (released, refused) does not use the approval up, whichever command asks again.
    command = request.command
    if case.approval is None and command.approval is None:
        return None
    if approval is None:
        return events.SendingStopped(code="approval_missing", message="The email needs an approval, and it is missing.")
    names = approval.case_id, approval.content_sha256, approval.pack
    differs = names != (request.case_id, command.content_sha256, command.pack)
    expired = approval.valid_until is None or approval.valid_until <= request.now
    signed = policy.is_signed(approval, request.submitter)
    return _first_stop(
        (differs, "approval_differs", "The approval is for another case, content or rule pack."),
        (approval.state != "granted", "approval_not_granted", f"The approval is {approval.state}."),
        (expired, "approval_expired", "The approval has expired."),
        (not signed, "approval_not_signed", "The approval is not signed by enough approvers who did not ask for it."),
    )


def _first_stop(*checks: tuple[bool, str, str]) -> events.SendingStopped | None:
    return next((events.SendingStopped(code=code, message=message) for fails, code, message in checks if fails), None)
