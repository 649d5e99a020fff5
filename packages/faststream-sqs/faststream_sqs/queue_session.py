"""The session of a started subscriber: polls, leases and settlements."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol, TypeAlias

from faststream.message import AckStatus

from .connection import Connection
from .delivery import SQSDelivery
from .errors import RequestFailed
from .lease_renewer import LeaseRenewer
from .producer import SQSProducer
from .retry import RetryPolicy
from .settle_action import RELEASE, SettleAction, settle_deliveries
from .settlement import Settlement

try:
    from opentelemetry.instrumentation.utils import suppress_instrumentation
except ImportError:  # without it there is no instrumentation to suppress
    suppress_instrumentation = nullcontext  # type: ignore[assignment]

RawMessage: TypeAlias = dict[str, Any]

_SYSTEM_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId", "AWSTraceHeader"]


class Receiver:
    """Long polls of one queue, never cut short: a message received by an abandoned poll would be stranded.

    Args:
        client: the SQS client to use.
        url: the URL of the queue.
        visibility: seconds for which received messages are hidden from others.
        release: releases messages whose caller was cancelled.
    """

    def __init__(
        self,
        client: Any,
        *,
        url: str,
        visibility: int,
        release: Callable[[list[RawMessage]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._url = url
        self._visibility = visibility
        self._release = release
        self._orphans: set[asyncio.Task[None]] = set()

    async def receive(self, limit: int, wait: int) -> list[RawMessage]:
        """Wait up to `wait` seconds for up to `limit` messages.

        A cancelled caller returns at once; the poll goes on, and its messages are released.

        Raises:
            ClientError: SQS rejected the poll.
            BotoCoreError: SQS is unreachable.
            RequestFailed: the answer is not one of SQS.
        """
        # Spans of polls, most of them empty, would hide those of messages. The task keeps this context.
        with suppress_instrumentation():
            poll = asyncio.ensure_future(
                self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=limit,
                    WaitTimeSeconds=wait,
                    VisibilityTimeout=self._visibility,
                    MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
                    MessageAttributeNames=["All"],
                )
            )
        try:
            response = await asyncio.shield(poll)
        except asyncio.CancelledError:
            orphan = asyncio.ensure_future(self._adopt(poll))
            self._orphans.add(orphan)
            orphan.add_done_callback(self._orphans.discard)
            raise
        return _messages(response)

    async def close(self) -> None:
        """Wait for the polls whose callers were cancelled."""
        if self._orphans:
            await asyncio.wait(self._orphans)

    async def _adopt(self, poll: "asyncio.Future[Any]") -> None:
        try:
            response = await poll
            messages = _messages(response)
        except Exception:  # noqa: BLE001 - nothing was received
            return
        if messages:
            await self._release(messages)


def _messages(response: Mapping[str, Any]) -> list[RawMessage]:
    """The messages of an answer. A proxy's page with status 200 has none, but is no sign of an empty queue."""
    content_type = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "json")
    if "json" not in content_type and "xml" not in content_type:
        raise RequestFailed("NotAnAnswer", "the answer to ReceiveMessage is not one of SQS")
    found = response.get("Messages") or []
    return [raw for raw in found if {"MessageId", "ReceiptHandle", "Body"} <= raw.keys()]


class LogFunction(Protocol):
    """Writes one line."""

    def __call__(self, level: int, message: str, error: BaseException | None = None, /) -> None: ...


class QueueSession:
    """Polls, leases and settlements of one started subscriber.

    Args:
        connection: the clients.
        producer: sends the copies of rejected messages.
        queue: the name of the queue.
        url: the URL of the queue.
        dead_letter_queue: the name of the queue for rejected messages, or None.
        visibility_timeout: seconds of a lease.
        retry: the delays of retried messages.
        detail_types: the event types to take; None takes all messages.
        sources: the event sources to take; None takes all messages.
        log: writes a line.
    """

    def __init__(
        self,
        connection: Connection,
        producer: SQSProducer,
        *,
        queue: str,
        url: str,
        dead_letter_queue: str | None,
        visibility_timeout: float,
        retry: RetryPolicy,
        detail_types: Collection[str] | None,
        sources: Collection[str] | None,
        log: LogFunction,
    ) -> None:
        self._queue = queue
        self._retry = retry
        self._detail_types = detail_types
        self._sources = sources
        self._log = log
        self._settling: set[asyncio.Task[None]] = set()
        self._settlement = Settlement(
            connection.sending,
            queue=queue,
            url=url,
            copy=None if dead_letter_queue is None else partial(producer.copy, dead_letter_queue),
            on_no_dead_letter_queue=self._log_no_dead_letter_queue,
        )
        self._lease_renewer = LeaseRenewer(connection.sending, url=url, visibility=visibility_timeout, log=log)
        self._receiver = Receiver(
            connection.polling,
            url=url,
            visibility=math.ceil(visibility_timeout),
            release=self._release_raw,
        )

    async def receive(self, limit: int, wait: int) -> list[SQSDelivery]:
        """Wait up to `wait` seconds for up to `limit` messages; reject messages that this subscriber does not take.

        Raises:
            ClientError: SQS rejected the poll.
            BotoCoreError: SQS is unreachable.
        """
        accepted: list[SQSDelivery] = []
        for raw in await self._receiver.receive(limit, wait):
            delivery = self._deliver(raw)
            try:
                reason = describe_mismatch(delivery, self._detail_types, self._sources)
            except Exception as error:  # noqa: BLE001 - one message must not take its neighbours with it
                reason = f"unreadable ({type(error).__name__})"
            self._lease_renewer.hold(delivery)
            if reason:
                self._settle([delivery], SettleAction(AckStatus.REJECTED, reason=reason))
            else:
                accepted.append(delivery)
        return accepted

    def drop(self, delivery: SQSDelivery) -> None:
        """Stop renewing the lease of this delivery."""
        self._lease_renewer.drop(delivery)

    def release(self, deliveries: Sequence[SQSDelivery]) -> None:
        """Make deliveries visible again, in the background."""
        self._settle(deliveries, RELEASE)

    async def close(self) -> None:
        """Wait for abandoned polls, rejections and settlements in progress."""
        await self._receiver.close()
        if self._settling:
            await asyncio.wait(self._settling)
        await self._lease_renewer.close()
        await self._settlement.close()

    def _deliver(self, raw: RawMessage) -> SQSDelivery:
        return SQSDelivery(
            raw,
            queue=self._queue,
            settlement=self._settlement,
            retry=self._retry,
            release_lease=self._lease_renewer.drop,
        )

    async def _release_raw(self, messages: list[RawMessage]) -> None:
        await settle_deliveries(RELEASE, [self._deliver(raw) for raw in messages], self._log)

    def _settle(self, deliveries: Sequence[SQSDelivery], verdict: SettleAction) -> None:
        task = asyncio.ensure_future(settle_deliveries(verdict, deliveries, self._log))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _log_no_dead_letter_queue(self, raw: Mapping[str, Any], reason: str) -> None:
        self._log(
            logging.ERROR,
            f"message {raw['MessageId']} is rejected ({reason}) and `{self._queue}` has no dead-letter queue here: "
            "it is left to the queue's redrive policy",
        )


def describe_mismatch(
    delivery: SQSDelivery, detail_types: Collection[str] | None, sources: Collection[str] | None
) -> str | None:
    """The reason why a subscriber with these event types and sources does not take the message, or None."""
    if detail_types is None and sources is None:
        return None
    if (envelope := delivery.envelope) is None:
        return "not an EventBridge event"
    if detail_types is not None and envelope.detail_type not in detail_types:
        return f"unexpected detail-type {envelope.detail_type}"
    if sources is not None and envelope.source not in sources:
        return f"unexpected source {envelope.source}"
    return None
