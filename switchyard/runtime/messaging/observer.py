"""An observer's subscriber: it works on copies of events, and the case is not touched by its failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import structlog

from faststream_sqs import SQSMessage
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Access, Contract
from switchyard.protocol.received import ReceivedEvent, read_event
from switchyard.runtime.core.errors import TaskError
from switchyard.runtime.messaging.consumer import Perform, TaskConsumer
from switchyard.runtime.messaging.inbox import ClaimGranted

log = structlog.get_logger(__name__)
Choose = Callable[[ReceivedEvent[Contract]], bool]
"""Whether an observer takes an event up. Pure: a redelivery is chosen like the first delivery."""


class ObservationFailed(Exception):
    """An observation has no outcome. The case has no part in it."""

    def __init__(self, error: TaskError) -> None:
        super().__init__(str(error))
        self.error = error


class EventObserver(TaskConsumer):
    """A `TaskConsumer` that chooses what it takes up, before it writes a row, and never emits `TaskFailed`: the message
    goes to the dead-letter queue with the reason, and stays there for a person."""

    def __init__(self, *arguments: Any, choose: Choose, **parts: Any) -> None:
        """`choose` says which events are taken up; the rest as for `TaskConsumer`."""
        super().__init__(*arguments, **parts)
        self._choose = choose

    async def _take(self, message: SQSMessage) -> None:
        try:
            received = read_event(self._catalogue, message.raw_body, node=self.node)
        except InvalidEvent:
            # Refused like any consumer's.
            await super()._take(message)
            return
        if self._choose(received):
            await super()._take(message)

    async def _work(self, message: SQSMessage, claim: ClaimGranted, perform: Perform) -> None:
        try:
            await super()._work(message, claim, perform)
        except ObservationFailed as failed:
            # Given back, so that a person can have the message delivered again.
            await self._inbox.release(claim)
            facts = {"code": failed.error.code, "reason": failed.error.message, "field": failed.error.field}
            log.error("observation.failed", alarm="dead_letter", **facts)  # noqa: TRY400 - the reason is the whole of it
            await message.reject(str(failed)[:2_000])

    def _failed(
        self,
        envelope: Envelope,
        error: TaskError,
        attempts: int,
        *,
        causes: tuple[str | None, ...] = (),
        access: Sequence[Access] = (),
    ) -> NoReturn:
        raise ObservationFailed(error)
