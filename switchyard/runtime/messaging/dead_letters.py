"""Dead letters: each consumer drains its own dead-letter queue and decides what becomes of each message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from faststream_sqs import SQSMessage
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.received import read_envelope
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.logs import log_context
from switchyard.runtime.messaging.consumer import TaskConsumer
from switchyard.runtime.messaging.inbox import Inbox, InboxProgress

log = structlog.get_logger(__name__)
MAX_REDRIVES = 3
REDRIVES_ATTRIBUTE = "switchyard-redrives"
"""Message attribute that counts how often a body was put back."""


@dataclass(frozen=True)
class RepublishOutcome:
    """It has an outcome: publish that and delete the message."""


@dataclass(frozen=True)
class AwaitLease:
    """A worker holds it: look again in `seconds`."""

    seconds: float


@dataclass(frozen=True)
class RedriveMessage:
    """It never failed: return it to the queue. A dependency was unavailable for long."""


@dataclass(frozen=True)
class FailTask:
    """It was tried and has no outcome: `TaskFailed` becomes its outcome."""


DeadLetterAction = RepublishOutcome | AwaitLease | RedriveMessage | FailTask


def choose_dead_letter_action(progress: InboxProgress | None, redrives: int) -> DeadLetterAction:
    """What to do with a dead letter, given what the inbox knows and how often it was redriven."""
    if progress is not None and progress.outputs is not None:
        return RepublishOutcome()
    if progress is not None and progress.leased_for > 0:
        return AwaitLease(progress.leased_for)
    if (progress is None or progress.failures == 0) and redrives < MAX_REDRIVES:
        return RedriveMessage()
    return FailTask()


class Redriver(Protocol):
    """Puts a body back on the consumer's queue, or on one of its lanes."""

    async def __call__(self, body: str, *, redrives: int, lane: str | None = None) -> None:
        """Send `body`, recording how often it has been redriven."""


class DeadLetters:
    """The subscriber of one consumer's dead-letter queue. Returning deletes the dead letter; `nack` keeps it."""

    def __init__(self, consumer: TaskConsumer, inbox: Inbox, redrive: Redriver) -> None:
        self._consumer = consumer
        self._inbox = inbox
        self._redrive = redrive

    async def __call__(self, message: SQSMessage) -> None:
        """Decide one dead letter and do it."""
        try:
            await self._take(message)
        except Unavailable as error:
            log.warning("dead_letter.deferred", code=error.code)
            await message.nack(delay=5)

    async def _take(self, message: SQSMessage) -> None:
        try:
            envelope, _ = read_envelope(message.raw_body)
            self._consumer.check(envelope)
            with log_context(envelope):
                await self._settle(message, envelope)
        except InvalidEvent as rejection:
            await self._consumer.refuse(message, rejection)

    async def _settle(self, message: SQSMessage, envelope: Envelope) -> None:
        redrives = _count(message.headers.get(REDRIVES_ATTRIBUTE))
        decision = choose_dead_letter_action(await self._inbox.progress_of(envelope.event_id), redrives)
        log.warning("dead_letter.decided", decision=type(decision).__name__.lower(), alarm="dead_letter")
        match decision:
            case AwaitLease(seconds):
                await message.nack(delay=min(seconds + 1, 900.0))
            case RedriveMessage():
                await self._redrive(message.raw_body, redrives=redrives + 1)
            case RepublishOutcome() | FailTask():
                await self._consumer.fail_dead_letter(envelope)


def _count(attribute: object) -> int:
    """The value of the attribute. Anybody with access to the queue can set it: an invalid one counts as the last."""
    if attribute is None:
        return 0
    valid = isinstance(attribute, str) and attribute.isascii() and attribute.isdecimal() and len(attribute) < 10
    return int(str(attribute)) if valid else MAX_REDRIVES
