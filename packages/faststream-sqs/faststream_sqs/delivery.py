"""One received message and its settlement."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faststream.message import AckStatus

from .envelope import EventBridgeEnvelope, open_envelope
from .errors import MessageLeaseLost
from .retry import RetryPolicy
from .settlement import Settlement

_NOT_PARSED: Any = object()

MAX_VISIBILITY = 12 * 60 * 60
"""Seconds after its receipt at which SQS releases any message (SQS developer guide, "Visibility timeout")."""


class SQSDelivery:
    """One receipt of one message. It is settled at most once: later calls do nothing.

    Attributes:
        raw: the message as botocore returned it.
        queue: the name of its queue.
        payload: the body that the message points to; None if it has its own.
        status: how it was settled; None before.
        lost: whether its lease ended during processing.
        received_at: when it arrived, on the clock of the lease renewer.
        expires_at: when its lease ends, on the same clock.
        next_renewal_at: when its lease is to be renewed, on the same clock.
        heartbeats: called at each renewal.
        heartbeat_task: the calls of the last renewal, until they return.
        worker: the task that handles it.
    """

    __slots__ = (
        "_envelope",
        "_max_receives",
        "_release_lease",
        "_retry",
        "_settlement",
        "expires_at",
        "heartbeat_task",
        "heartbeats",
        "lost",
        "next_renewal_at",
        "payload",
        "queue",
        "raw",
        "received_at",
        "status",
        "worker",
    )

    def __init__(
        self,
        raw: Mapping[str, Any],
        *,
        queue: str,
        settlement: Settlement,
        retry: RetryPolicy,
        release_lease: Callable[["SQSDelivery"], None],
        max_receives: int | None = None,
    ) -> None:
        self.raw = raw
        self.payload: str | None = None
        self.queue = queue
        self._settlement = settlement
        self._retry = retry
        self._max_receives = max_receives
        self._release_lease = release_lease
        self._envelope: EventBridgeEnvelope | None = _NOT_PARSED
        self.status: AckStatus | None = None
        self.lost = False
        self.received_at = self.expires_at = self.next_renewal_at = 0.0
        self.heartbeats: list[Callable[[], Awaitable[None]]] = []
        self.heartbeat_task: asyncio.Task[None] | None = None
        self.worker: asyncio.Task[Any] | None = None

    @property
    def body(self) -> str:
        """The body, verbatim; from S3 if the message points there."""
        return self.raw["Body"] if self.payload is None else self.payload

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body.encode("utf-8", "surrogatepass"))

    @property
    def message_id(self) -> str:
        """The id that SQS gave the message; the same in every delivery."""
        return self.raw["MessageId"]  # type: ignore[no-any-return]

    @property
    def receipt_handle(self) -> str:
        """The receipt handle of this delivery."""
        return self.raw["ReceiptHandle"]  # type: ignore[no-any-return]

    @property
    def receive_count(self) -> int:
        """How often the message has been received, including this time (approximate in SQS)."""
        return int(self.raw.get("Attributes", {}).get("ApproximateReceiveCount", 1))

    @property
    def group_id(self) -> str | None:
        """The message group, None without one."""
        return self.raw.get("Attributes", {}).get("MessageGroupId")  # type: ignore[no-any-return]

    @property
    def sent_at(self) -> int:
        """When the message was sent, in milliseconds since the epoch; 0 if SQS does not report it."""
        return int(self.raw.get("Attributes", {}).get("SentTimestamp", 0))

    @property
    def envelope(self) -> EventBridgeEnvelope | None:
        """The EventBridge envelope of the body, None if the body is not an event. Parsed once, on demand."""
        if self._envelope is _NOT_PARSED:
            self._envelope = open_envelope(self.body)
        return self._envelope

    async def ack(self) -> None:
        """Delete the message from its queue.

        Raises:
            MessageLeaseLost: SQS no longer accepts this receipt.
            SettleFailed: the deletion failed until its resends ran out; the message will be delivered again.
        """
        await self._settle(AckStatus.ACKED, lambda: self._settlement.delete(self.receipt_handle))

    async def nack(self, delay: float | None = None) -> None:
        """Make the message visible again after `delay` seconds; None asks the retry policy of the subscriber.

        SQS counts whole seconds: a fraction is rounded up, so that a back-off never becomes an immediate retry. At
        the subscriber's `max_receives` the message is rejected instead.

        Raises:
            MessageLeaseLost: SQS no longer accepts this receipt.
            SettleFailed: the change failed; the message is delivered again when its visibility timeout ends.
        """
        if self._max_receives is not None and self.receive_count >= self._max_receives:
            await self.reject(f"failed at receipt {self.receive_count} of {self._max_receives}")
            return
        wait = self._retry.delay(self.receive_count) if delay is None else delay
        seconds = min(math.ceil(wait), MAX_VISIBILITY)
        await self._settle(AckStatus.NACKED, lambda: self._settlement.postpone(self.receipt_handle, seconds))

    async def release(self) -> None:
        """Make the message visible again at once, because its handler has not run; see `nack` for the errors."""
        await self._settle(AckStatus.NACKED, lambda: self._settlement.postpone(self.receipt_handle, 0))

    def describe_excess(self) -> str | None:
        """The reason why the message is not handled once more, or None: it ended its workers, or was left unsettled."""
        if self._max_receives is None or self.receive_count <= self._max_receives:
            return None
        return f"received {self.receive_count} times, more than {self._max_receives}"

    @property
    def is_gone(self) -> bool:
        """Whether the message has left the queue, so that the next of its group may follow."""
        if self.status is AckStatus.REJECTED:
            return self._settlement.has_dead_letter_queue
        return self.status is AckStatus.ACKED

    async def reject(self, reason: str = "") -> None:
        """Copy the message to the dead-letter queue with the reason, then delete it.

        Without a dead-letter queue the message is left: it is delivered again when its visibility timeout ends, until
        the queue's redrive policy moves it. A crash between copy and deletion leaves it in both queues.

        Raises:
            MessageLeaseLost: SQS no longer accepts this receipt.
            PublishFailed: the copy failed; the message stays.
            SettleFailed: the deletion failed; the message will be delivered again.
        """
        await self._settle(AckStatus.REJECTED, lambda: self._settlement.dead_letter(self.raw, reason))

    def abandon(self) -> None:
        """Neither settle nor renew the message: it is delivered again when its visibility timeout ends."""
        self.lost = True
        self._release_lease(self)

    async def _settle(self, status: AckStatus, act: Callable[[], Awaitable[None]]) -> None:
        if self.status is not None:
            return
        if self.lost:
            raise MessageLeaseLost(f"the lease of message {self.message_id} is lost")
        self.status = status
        self._release_lease(self)
        try:
            await act()
        except BaseException:
            # Not settled, so that the caller may still choose another way.
            self.status = None
            raise
