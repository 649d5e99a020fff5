"""Queues and event buses in memory, which replace AWS in tests."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from faststream.exceptions import IgnoredException, SubscriberNotFound
from faststream.message import AckStatus
from faststream.response import Response

from .claim_check import ClaimStore, is_claim
from .coalescer import Coalescer
from .delivery import SQSDelivery
from .limits import is_fifo
from .producer import copy_entry
from .queue_poll import RawMessage
from .queue_session import describe_mismatch
from .settle_action import action_on_error, action_on_success, settle_deliveries
from .settlement import Settlement
from .subscriber import QueueSubscriber, SQSBatchSubscriber


@dataclass(frozen=True, slots=True)
class SettledDelivery:
    """How one delivery of a message ended.

    Attributes:
        queue: its queue.
        message_id: its SQS message id, the same in every delivery.
        body: its body, verbatim.
        receive_count: the number of the delivery, 1 for the first.
        status: acknowledged, to be retried, or rejected.
        delay: seconds until the retry; None unless it is to be retried.
        reason: why it was rejected; empty unless it was.
    """

    queue: str
    message_id: str
    body: str
    receive_count: int
    status: AckStatus
    delay: int | None = None
    reason: str = ""


class MemoryQueues:
    """Delivers published messages to the handlers at once, and records the settlement of each.

    Args:
        subscribers: returns the subscribers. Of several on one queue, one gets each message.
        rules: by event bus, the queues that get all its events. Apart from these, an event goes to each queue whose
            subscriber names `detail_type` or `source` and takes it.
    """

    def __init__(
        self, subscribers: Callable[[], Iterable[QueueSubscriber]], rules: Mapping[str, Iterable[str]]
    ) -> None:
        self._subscribers = subscribers
        self._rules = {bus: frozenset(queues) for bus, queues in rules.items()}
        self._batches: dict[QueueSubscriber, Coalescer[RawMessage, None]] = {}
        self._retries: list[tuple[QueueSubscriber, RawMessage]] = []
        self.claims: ClaimStore | None = None
        self._deduplicated: dict[tuple[str, str], str] = {}
        self.settled: list[SettledDelivery] = []

    async def send(self, queue: str, entry: Mapping[str, Any]) -> str:
        """Deliver a message, given as an entry of SendMessageBatch; return its id. Raises the handler's error."""
        message_id = str(uuid.uuid4())
        if deduplication_id := entry.get("MessageDeduplicationId"):
            known = self._deduplicated.setdefault((same_name(queue), deduplication_id), message_id)
            if known != message_id:
                return known
        raw = as_received(message_id, entry)
        if subscriber := self._subscriber_of(queue):
            if is_fifo(queue) and any(
                _is_behind(raw, waiting) for owner, waiting in self._retries if owner is subscriber
            ):
                self._retries.append((subscriber, raw))
            else:
                await self._deliver(subscriber, raw)
        return message_id

    async def request(self, queue: str, entry: Mapping[str, Any]) -> Response:
        """Deliver a message as `send` does, and return what its handler returns. Raises the handler's error.

        Raises:
            SubscriberNotFound: no subscriber has this queue.
        """
        subscriber = self._subscriber_of(queue)
        if subscriber is None:
            raise SubscriberNotFound(f"no subscriber has the queue `{queue}`")
        delivery = await self._claimed(self._delivery(subscriber, as_received(str(uuid.uuid4()), entry)))
        try:
            response: Response = await subscriber.process_message(subscriber.unit_of(delivery))
        except Exception as error:
            await settle_deliveries(action_on_error(subscriber.ack_policy, error, None), (delivery,), _log_nothing)
            raise
        await settle_deliveries(action_on_success(subscriber.ack_policy), (delivery,), _log_nothing)
        return response

    def _subscriber_of(self, queue: str) -> QueueSubscriber | None:
        return next((each for each in self._subscribers() if same_queue(each.queue, queue)), None)

    async def put(self, event: str, bus: str, trace_header: str | None = None) -> None:
        """Deliver an event, given as EventBridge wraps it, to each of its queues. Raises a handler's error.

        As EventBridge does, it passes the X-Ray header on to the queue (user guide, "integration with AWS X-Ray").
        """
        entry: dict[str, Any] = {"MessageBody": event}
        if trace_header:
            entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}}
        raw = as_received(str(uuid.uuid4()), entry)
        served: set[str] = set()
        deliveries: list[Awaitable[None]] = []
        for subscriber in self._subscribers():
            if subscriber.queue not in served and self._is_routed_to(subscriber, raw, bus):
                served.add(subscriber.queue)
                deliveries.append(self._deliver(subscriber, {**raw, "MessageId": str(uuid.uuid4())}))
        await _all(deliveries)

    async def redeliver(self) -> int:
        """Deliver each message that waits for its retry; return their number. Raises a handler's error."""
        waiting, self._retries = self._retries, []
        lanes: dict[Any, list[tuple[QueueSubscriber, RawMessage]]] = {}
        for position, (subscriber, raw) in enumerate(waiting):
            group = raw["Attributes"].get("MessageGroupId") if is_fifo(subscriber.queue) else None
            lanes.setdefault((subscriber, group) if group else position, []).append((subscriber, raw))
        await _all(map(self._redeliver_lane, lanes.values()))
        return len(waiting)

    async def _redeliver_lane(self, lane: Sequence[tuple[QueueSubscriber, RawMessage]]) -> None:
        for position, (subscriber, raw) in enumerate(lane):
            before = len(self._retries)
            try:
                await self._deliver(subscriber, _as_redelivery(raw))
            finally:
                if len(self._retries) > before:
                    self._retries += lane[position + 1 :]
                    lane = lane[: position + 1]
            if position + 1 >= len(lane):
                return

    def _is_routed_to(self, subscriber: QueueSubscriber, raw: RawMessage, bus: str) -> bool:
        if any(same_queue(subscriber.queue, queue) for queue in self._rules.get(bus, ())):
            return True
        types, sources = subscriber.config.detail_types, subscriber.config.sources
        if types is None and sources is None:
            return False
        return describe_mismatch(self._delivery(subscriber, raw), types, sources) is None

    async def _deliver(self, subscriber: QueueSubscriber, raw: RawMessage) -> None:
        delivery = await self._claimed(self._delivery(subscriber, raw))
        if reason := describe_mismatch(delivery, subscriber.config.detail_types, subscriber.config.sources):
            await delivery.reject(reason)
        elif isinstance(subscriber, SQSBatchSubscriber):
            # Messages that are published together arrive together, as a batch from a queue does.
            await self._batch(subscriber).put(raw)
        else:
            _raise(await subscriber.consume(delivery))

    def _batch(self, subscriber: QueueSubscriber) -> Coalescer[RawMessage, None]:
        if subscriber not in self._batches:

            async def handle(raws: list[RawMessage]) -> Sequence[None]:
                unit = [await self._claimed(self._delivery(subscriber, raw)) for raw in raws]
                _raise(await subscriber.consume(tuple(unit)))
                return [None] * len(raws)

            # Do not wait for a batch in flight, because its handler may be the publisher.
            self._batches[subscriber] = Coalescer(
                handle, max_items=subscriber.config.max_batch, max_in_flight=1024, max_wait=0
            )
        return self._batches[subscriber]

    async def _claimed(self, delivery: SQSDelivery) -> SQSDelivery:
        if self.claims is not None and is_claim(delivery.raw):
            delivery.payload = await self.claims.fetch(delivery.raw)
        return delivery

    def _delivery(self, subscriber: QueueSubscriber, raw: RawMessage) -> SQSDelivery:
        dead_letter_queue = subscriber.dead_letter_queue
        return SQSDelivery(
            raw,
            queue=subscriber.queue,
            settlement=_MemorySettlement(
                raw,
                queue=subscriber.queue,
                copy=None if dead_letter_queue is None else partial(self.copy, dead_letter_queue),
                note=self.settled.append,
                retry=lambda: self._retries.append((subscriber, raw)),
            ),
            retry=subscriber.config.retry,
            max_receives=subscriber.config.max_receives,
            release_lease=lambda _: None,
        )

    async def copy(self, queue: str, raw: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Deliver the copy of a rejected message to the dead-letter queue."""
        await self.send(queue, copy_entry(queue, raw, attributes))


class _MemorySettlement(Settlement):
    """Settles a delivery by recording it."""

    def __init__(
        self,
        raw: RawMessage,
        *,
        queue: str,
        copy: Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[None]] | None,
        note: Callable[[SettledDelivery], None],
        retry: Callable[[], None],
    ) -> None:
        super().__init__(None, queue=queue, url=queue, copy=copy, on_no_dead_letter_queue=lambda _raw, _reason: None)
        self._raw = raw
        self._note = note
        self._retry = retry

    async def delete(self, receipt: str) -> None:
        self._settle(AckStatus.ACKED)

    async def postpone(self, receipt: str, seconds: int) -> None:
        self._settle(AckStatus.NACKED, delay=seconds)
        self._retry()

    async def dead_letter(self, raw: Mapping[str, Any], reason: str) -> None:
        self._settle(AckStatus.REJECTED, reason=reason)
        if self._copy is not None:
            await self._copy(raw, self._rejection_attributes(raw, reason))

    def _settle(self, status: AckStatus, *, delay: int | None = None, reason: str = "") -> None:
        self._note(
            SettledDelivery(
                queue=self._queue,
                message_id=self._raw["MessageId"],
                body=self._raw["Body"],
                receive_count=int(self._raw["Attributes"]["ApproximateReceiveCount"]),
                status=status,
                delay=delay,
                reason=reason,
            )
        )


def same_queue(one: str, other: str) -> bool:
    """Whether two names mean the same queue, where either may be its URL."""
    return same_name(one) == same_name(other)


def same_name(queue: str) -> str:
    """The name of a queue, which may be given as its URL."""
    return queue.rpartition("/")[2]


def as_received(message_id: str, entry: Mapping[str, Any]) -> RawMessage:
    """A sent entry as ReceiveMessage returns it."""
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))}
    if group := entry.get("MessageGroupId"):
        attributes["MessageGroupId"] = group
    if trace := entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader"):
        attributes["AWSTraceHeader"] = trace["StringValue"]
    raw: RawMessage = {
        "MessageId": message_id,
        "ReceiptHandle": message_id,
        "Body": entry["MessageBody"],
        "Attributes": attributes,
    }
    if "MessageAttributes" in entry:
        raw["MessageAttributes"] = entry["MessageAttributes"]
    return raw


def _as_redelivery(raw: RawMessage) -> RawMessage:
    attributes = raw["Attributes"]
    count = int(attributes["ApproximateReceiveCount"]) + 1
    return {**raw, "Attributes": {**attributes, "ApproximateReceiveCount": str(count)}}


def _is_behind(raw: RawMessage, waiting: RawMessage) -> bool:
    return bool(raw["Attributes"]["MessageGroupId"] == waiting["Attributes"].get("MessageGroupId"))


def _log_nothing(_level: int, _message: str, _error: BaseException | None = None) -> None: ...


def _raise(error: BaseException | None) -> None:
    # Exceptions that choose a settle action, such as `NackMessage` or `BatchItemFailed`, are not failures.
    if isinstance(error, Exception) and not isinstance(error, IgnoredException):
        raise error


async def _all(deliveries: Iterable[Awaitable[None]]) -> None:
    """Wait for all handlers, then raise the first error, so that every handler gets its message."""
    for outcome in await asyncio.gather(*deliveries, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
