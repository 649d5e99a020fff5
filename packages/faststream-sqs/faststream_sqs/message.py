"""The messages that handlers receive."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from faststream.message import AckStatus, StreamMessage

from .delivery import SQSDelivery
from .encoding import BODY_ENCODING, read_body
from .envelope import EventBridgeEnvelope


class SQSMessage(StreamMessage[SQSDelivery]):
    """One message. `body` is decoded: the event's `detail` if EventBridge sent it, otherwise the SQS body."""

    replaced_body: Any
    """A replacement of the body by a custom parser or a test, or None."""

    @property
    def body(self) -> Any:
        """The bytes for the decoder."""
        if self.replaced_body is not None:
            return self.replaced_body
        envelope = self.raw_message.envelope
        if envelope is not None:
            return envelope.detail_text().encode("utf-8", "surrogatepass")
        return read_body(self.raw_message.body, self.headers.get(BODY_ENCODING))

    @body.setter
    def body(self, value: Any) -> None:
        self.replaced_body = value

    @property
    def raw_body(self) -> str:
        """The SQS body, verbatim."""
        return self.raw_message.body

    @property
    def envelope(self) -> EventBridgeEnvelope | None:
        """The EventBridge envelope, None if the body is not an event."""
        return self.raw_message.envelope

    @property
    def queue(self) -> str:
        """The name of the queue the message came from."""
        return self.raw_message.queue

    @property
    def group_id(self) -> str | None:
        """The message group, which a FIFO queue keeps in order; None without one."""
        return self.raw_message.group_id

    @property
    def receive_count(self) -> int:
        """How often the message has been received, including this time (approximate in SQS)."""
        return self.raw_message.receive_count

    @property
    def sent_at(self) -> int:
        """When the message was sent, in milliseconds since the epoch."""
        return self.raw_message.sent_at

    def on_heartbeat(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` at every renewal of the lease, at each third of the visibility timeout.

        A `MessageLeaseLost` that it raises cancels the handler and leaves the message for redelivery. Other
        errors are logged, and it is called again at the next renewal.
        """
        self.raw_message.heartbeats.append(callback)

    async def ack(self) -> None:
        """Delete the message from its queue; see `SQSDelivery.ack` for the errors."""
        await self.raw_message.ack()
        self.committed = self.raw_message.status

    async def nack(self, delay: float | None = None) -> None:
        """Retry after `delay` seconds, or as the retry policy says; see `SQSDelivery.nack` for the errors."""
        await self.raw_message.nack(delay)
        self.committed = self.raw_message.status

    async def reject(self, reason: str = "") -> None:
        """Move the message to the dead-letter queue; see `SQSDelivery.reject` for the errors."""
        await self.raw_message.reject(reason)
        self.committed = self.raw_message.status


class SQSBatchMessage(StreamMessage[tuple[SQSDelivery, ...]]):
    """The messages of one batch. Messages that are settled one by one are not settled again with the rest.

    Attributes:
        messages: the messages, in the order of their bodies.
    """

    messages: tuple[SQSMessage, ...] = ()

    @property
    def queue(self) -> str:
        """The name of the queue the messages came from."""
        return self.raw_message[0].queue

    def on_heartbeat(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` at every renewal of the batch's leases; see `SQSMessage.on_heartbeat`."""
        self.raw_message[0].heartbeats.append(callback)

    async def ack(self) -> None:
        """Delete all messages of the batch."""
        await asyncio.gather(*(delivery.ack() for delivery in self.raw_message))
        self.committed = AckStatus.ACKED

    async def nack(self, delay: float | None = None) -> None:
        """Retry all messages of the batch."""
        await asyncio.gather(*(delivery.nack(delay) for delivery in self.raw_message))
        self.committed = AckStatus.NACKED

    async def reject(self, reason: str = "") -> None:
        """Move all messages of the batch to the dead-letter queue."""
        await asyncio.gather(*(delivery.reject(reason) for delivery in self.raw_message))
        self.committed = AckStatus.REJECTED
