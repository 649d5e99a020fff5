"""Handles SendEmail: preconditions, intent, confirmation, the provider's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from contracts.events.email_sender import SendingStopped
from contracts.events.router import SendEmail
from services.specialists.email_sender.ledger import RateLimited, SendIntended, SendLedger, SendRate
from services.specialists.email_sender.outbound_email import OutboundEmail, read_outbound_email
from services.specialists.email_sender.provider import (
    PermanentSendError,
    SendAccepted,
    SendUnanswered,
    SesProvider,
    TransientSendError,
)
from services.specialists.email_sender.send_preconditions import (
    AnswerWithoutSending,
    OutcomeUnknown,
    SendInFlight,
    SendRequest,
    build_email_sent,
    build_email_undeliverable,
    build_sending_unknown,
)
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Contract
from switchyard.protocol.four_eyes import submitter_of
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import RetryableTaskError, Unavailable
from switchyard.runtime.core.task import Task
from switchyard.runtime.crypto.vault import ADDRESS_FACT
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.storage.artefacts import Artefacts

log = structlog.get_logger(__name__)

SEND_MARGIN_S = 2.0
"""Time to record the answer, beyond the provider's time limit."""

MAX_PRECONDITION_AGE_S = 5.0
"""An intent that is older than this is released before the provider is called, because its checks are outdated."""

RECORD_RETRY_S = 0.5


async def send_email(
    task: Task[SendEmail],
    *,
    artefacts: Artefacts,
    ledger: SendLedger,
    provider: SesProvider,
    clock: Clock,
    timeout_s: float,
    send_rate: Callable[[str], SendRate],
) -> Contract:
    """Send the email unless a precondition stops it, and return the outcome. Never sends twice, never guesses.

    `timeout_s` is the provider's time limit; `send_rate` the rate of emails to a recipient domain. Raises `Unavailable`
    if the send must wait, and `RetryableTaskError` if too little time is left.
    """
    command, envelope = task.payload, task.envelope
    call_s = timeout_s + SEND_MARGIN_S
    if task.deadline is not None and task.deadline - clock.monotonic() < call_s:
        # A call that the time limit cuts off would leave an unknown outcome.
        raise RetryableTaskError(
            "too_little_time",
            "the task's time limit is too short for the provider's answer",
            "time_limit_ms",
            f"allow more than {call_s:g} s in the graph, or lower SWITCHYARD_SES_TIMEOUT_S",
        )
    submitter, in_flight = submitter_of(envelope.principal), timedelta(seconds=call_s)
    scope = SessionScope.of(envelope)
    playbook = envelope.playbook_version.partition("/")[0]
    request = SendRequest(
        envelope.event_id, envelope.case_id, playbook, scope, submitter, command, clock.now(), in_flight
    )
    if isinstance(stopped := await ledger.look(request), AnswerWithoutSending):
        return stopped.payload  # nothing of the person is read for an email that is not sent
    email = read_outbound_email(await artefacts.read(task, command.email), command.content_sha256)
    sealed_address = await ledger.sealed_address(request)
    if not await _is_addressed_to(email, sealed_address, envelope, artefacts):
        message = "The email is not addressed to the address of the case."
        return SendingStopped(code="not_the_cases", message=message)
    request = replace(request, address=sealed_address)
    begun = await ledger.begin(request, email.domain_key, send_rate(email.domain))
    match begun:
        case SendIntended(attempt):
            return await _send_confirmed(email, request, attempt, ledger=ledger, provider=provider, clock=clock)
        case AnswerWithoutSending(payload) | OutcomeUnknown(payload):
            return payload
        case RateLimited(seconds):
            raise Unavailable("domain_rate", "the recipient domain's rate limit is reached", after_s=seconds)
        case SendInFlight(seconds):
            raise Unavailable("in_flight", "another worker may be sending this email now", after_s=seconds)


async def _is_addressed_to(
    email: OutboundEmail, sealed_address: bytes | None, envelope: Envelope, artefacts: Artefacts
) -> bool:
    """Whether the recipient is the address that intake sealed for the case."""
    if sealed_address is None or envelope.principal.subject is None:
        return False
    address = await artefacts.open_sealed(envelope, ADDRESS_FACT, sealed_address)
    return email.recipient.lower() == address.decode().lower()


async def _send_confirmed(
    email: OutboundEmail, request: SendRequest, attempt: int, *, ledger: SendLedger, provider: SesProvider, clock: Clock
) -> Contract:
    """Call the provider unless a stop came before; then the intent is taken back."""
    began = clock.monotonic()
    try:
        decision = await ledger.look(request, intended=True)
    except Unavailable:
        await _record_answer(ledger, request, attempt, clock, state="released", code="not_confirmed")
        raise
    if isinstance(decision, AnswerWithoutSending):
        await _record_answer(ledger, request, attempt, clock, state="released", code="stopped")
        return decision.payload
    if clock.monotonic() - began > MAX_PRECONDITION_AGE_S:
        await _record_answer(ledger, request, attempt, clock, state="released", code="stale")
        raise Unavailable("stale_intent", "the checks before the sending took too long", after_s=0.0)
    return await _send_once(email, request, attempt, ledger=ledger, provider=provider, clock=clock)


async def _send_once(
    email: OutboundEmail, request: SendRequest, attempt: int, *, ledger: SendLedger, provider: SesProvider, clock: Clock
) -> Contract:
    content = request.command.content_sha256
    record = partial(_record_answer, ledger, request, attempt, clock)
    result = await provider.send(email, {"case_id": request.case_id, "content_sha256": content})
    match result:
        case SendAccepted(message_id):
            await record(state="sent", message_id=message_id)
            return build_email_sent(content, message_id)
        case PermanentSendError(code):
            await record(state="refused", code=code)
            return build_email_undeliverable(code)
        case TransientSendError(code, seconds):
            log.warning("provider.not_accepted", code=code, alarm="provider")
            await record(state="released", code=code)
            raise Unavailable(code, "the email provider did not accept the email", after_s=seconds)
        case SendUnanswered(code):
            log.error("provider.no_answer", code=code, alarm="outcome_unknown")
            await record(state="unknown", code=code)
            return build_sending_unknown(content, "The provider was called and did not answer.")


async def _record_answer(ledger: SendLedger, request: SendRequest, attempt: int, clock: Clock, **answer: str) -> None:
    """Record the answer. Nothing else holds it, so an unreachable database is waited for."""
    while True:
        try:
            return await ledger.record(request, attempt, at=clock.now(), **answer)
        except Unavailable:
            log.warning("answer.not_recorded", code="database_unreachable")
            await asyncio.sleep(RECORD_RETRY_S)
