"""Each consumer drains its own dead-letter queue: what is in there is a decision, not an accident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from faststream_sqs import SQSMessage
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.received import read_envelope
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.logs import about
from switchyard.runtime.messaging.consumer import Consumer
from switchyard.runtime.messaging.inbox import Inbox, Progress

log = structlog.get_logger(__name__)
MAX_REDRIVES = 3
REDRIVES = "switchyard-redrives"
"""Message attribute that counts how often a body was put back."""


@dataclass(frozen=True)
class Republish:
    """It has an outcome: publish that and delete the message."""


@dataclass(frozen=True)
class Wait:
    """A worker holds it: look again in `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Redrive:
    """It never failed: back to the queue. It is here because something was away for long."""


@dataclass(frozen=True)
class Fail:
    """It was tried and ended here all the same: `TaskFailed` becomes its outcome."""


Decision = Republish | Wait | Redrive | Fail


def decide(progress: Progress | None, redrives: int) -> Decision:
    """What to do with a dead letter, given what the inbox knows and how often it was redriven."""
    if progress is not None and progress.outputs is not None:
        return Republish()
    if progress is not None and progress.leased_for > 0:
        return Wait(progress.leased_for)
    if (progress is None or progress.failures == 0) and redrives < MAX_REDRIVES:
        return Redrive()
    return Fail()


class Redriver(Protocol):
    """Puts a body back on the consumer's queue."""

    async def __call__(self, body: str, *, redrives: int) -> None:
        """Send `body`, recording how often it has been redriven."""
        ...


class DeadLetters:
    """The subscriber of one consumer's dead-letter queue. Returning deletes the dead letter; `nack` keeps it."""

    def __init__(self, consumer: Consumer, inbox: Inbox, redrive: Redriver) -> None:
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
            with about(envelope):
                await self._settle(message, envelope)
        except InvalidEvent as refusal:
            await self._consumer.refuse(message, refusal)

    async def _settle(self, message: SQSMessage, envelope: Envelope) -> None:
        redrives = int(message.headers.get(REDRIVES, "0"))
        decision = decide(await self._inbox.peek(envelope.event_id), redrives)
        log.warning("dead_letter.decided", decision=type(decision).__name__.lower(), alarm="dead_letter")
        match decision:
            case Wait(seconds):
                await message.nack(delay=min(seconds + 1, 900.0))
            case Redrive():
                await self._redrive(message.raw_body, redrives=redrives + 1)
            case Republish() | Fail():
                await self._consumer.give_up(envelope)
