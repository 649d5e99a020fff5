"""Consuming one queue."""

import asyncio
import logging
import math
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from faststream._internal.endpoint.publisher import PublisherProto
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream.exceptions import FeatureNotSupportedException
from faststream.message import AckStatus, StreamMessage
from faststream.middlewares import AckPolicy

from .config import SQSBrokerConfig, SQSSubscriberConfig
from .delivery import SQSDelivery
from .errors import LeaseLost, RequestFailed
from .gate import Gate
from .lease import LeaseKeeper
from .publisher import SQSReplyPublisher
from .receiver import RawMessage, Receiver
from .retry import RetryPolicy
from .settlement import Settlement
from .specification import SQSSubscriberSpecification
from .verdict import ACK, RELEASE, Verdict, on_error, on_success

# The waits after failed polls.
_POLL_BACKOFF = RetryPolicy(base=0.2, cap=5.0)
# How long handlers may take to react to their cancellation, and settled messages to reach SQS, in seconds.
_CANCEL_GRACE = 3.0
_FLUSH_GRACE = 3.0


class QueueSubscriber(TasksMixin):
    """Polls a queue while there are free places, runs the handler and settles what it did not settle itself.

    What a handler call receives is decided by the subclass.
    """

    _outer_config: SQSBrokerConfig

    def __init__(
        self,
        config: SQSSubscriberConfig,
        specification: SQSSubscriberSpecification,
        calls: CallsCollection[Any],
    ) -> None:
        super().__init__(config, specification, calls)
        self.config = config
        self._started = False
        self._overtime = False
        self._workers: set[asyncio.Task[None]] = set()
        self._stop_lock = asyncio.Lock()
        self._gate = self._new_gate()

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return f"{self._outer_config.prefix}{self.config.queue}"

    @property
    def dead_letter_queue(self) -> str | None:
        """The name of the queue for rejected messages."""
        name = self.config.dead_letter_queue
        return None if name is None else f"{self._outer_config.prefix}{name}"

    @property
    def healthy(self) -> bool:
        """Whether polling works: a poll has succeeded within twice the wait time, or there was no need to poll."""
        return self._started and self._gate.healthy

    @property
    def paused(self) -> str | None:
        """Why polling is paused; None while it is not."""
        return self._gate.paused

    def pause(self, reason: str) -> None:
        """Stop polling and keep working on what was received. A poll in flight is released when it returns."""
        if self._gate.paused is None:
            self._log(logging.WARNING, f"paused: {reason}", self.get_log_context(None))
        self._gate.pause(reason)

    def resume(self) -> None:
        """Poll again after `pause`."""
        if self._gate.paused is not None:
            self._log(logging.INFO, "resumed", self.get_log_context(None))
        self._gate.resume()

    async def start(self) -> None:
        """Begin to poll, if there is a handler."""
        await super().start()
        if self.calls:
            await self._open()
            for _ in range(self.config.pollers):
                self.add_task(self._poll)
        self._post_start()

    async def stop(self) -> None:
        """Poll no more, release what has not been started, finish what has, and settle all of it.

        Handlers still running at the end of the drain time are cancelled and their messages released.
        """
        async with self._stop_lock:
            if self._started:
                await self._drain(self._outer_config.drain_timeout)
                self._started = False
            await super().stop()

    async def consume(self, msg: Any) -> None:
        """Run the handler on what one call receives, then settle it. The place is free before that has settled."""
        deliveries = self._members(msg)
        try:
            try:
                if self.ack_policy is AckPolicy.ACK_FIRST:
                    await self._settle(deliveries, ACK)
                verdict = await self._handle(msg, deliveries)
            finally:
                self._gate.leave()
            await self._settle(deliveries, verdict)
        finally:
            for delivery in deliveries:
                self._keeper.drop(delivery)
        if verdict.stop:
            # Not awaited: stopping waits for this very call.
            self._stopping = asyncio.ensure_future(self.stop())
        if verdict.stop_application and (app := self._outer_config.context.get("app")):
            app.exit()

    async def _open(self) -> None:
        url = await self._outer_config.connection.queue_url(self.queue)
        client = self._outer_config.connection.sending
        copy = None
        if self.dead_letter_queue is not None:
            copy = partial(self._outer_config.producer.copy, self.dead_letter_queue)
        paused = self._gate.paused
        self._gate = self._new_gate()
        self._gate.paused = paused
        self._overtime = False
        self._settlement = Settlement(client, queue=self.queue, url=url, copy=copy, on_unburied=self._tell_unburied)
        self._keeper = LeaseKeeper(client, url=url, visibility=self.config.visibility_timeout, log=self._tell)
        self._receiver = Receiver(
            self._outer_config.connection.polling,
            url=url,
            visibility=math.ceil(self.config.visibility_timeout),
            release=self._release_raw,
        )
        self._started = True

    def _new_gate(self) -> Gate:
        patience = 2.0 * max(self.config.wait_time, 1)
        return Gate(self.config.concurrency, patience=patience, clock=time.monotonic)

    async def _drain(self, timeout: float) -> None:
        self._gate.stop()
        deadline = time.monotonic() + timeout
        me = asyncio.current_task()
        while busy := {task for task in (*self.tasks, *self._workers) if task is not me and not task.done()}:
            _, late = await asyncio.wait(busy, timeout=max(deadline - time.monotonic(), 0))
            if late:
                self._log(logging.ERROR, f"{len(late)} calls did not end within {timeout} s and are cancelled")
                self._overtime = True
                for task in late:
                    task.cancel()
                await asyncio.wait(late, timeout=_CANCEL_GRACE)
                break
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), _FLUSH_GRACE)):
                await self._receiver.close()
                await self._keeper.close()
                await self._settlement.close()
        except TimeoutError as error:
            self._log(logging.ERROR, "messages could not be settled in time and will be delivered again", None, error)

    async def _poll(self) -> None:
        failures = 0
        while places := await self._gate.enter(self._places_per_poll):
            try:
                units = await self._take(places)
            except Exception as error:  # noqa: BLE001 - whatever fails here, polling must go on, later
                self._gate.leave(places)
                failures += 1
                self._log(logging.WARNING, f"polling failed, {failures} times in a row: {error!r}")
                await self._gate.rest(_POLL_BACKOFF.delay(failures))
                continue
            failures = 0
            self._gate.succeeded()
            if not self._gate.open:
                self._gate.leave(places)
                await self._settle([d for unit in units for d in self._members(unit)], RELEASE)
                continue
            if len(units) < places:
                self._gate.leave(places - len(units))
            for unit in units:
                self._launch(self.consume(unit), self._members(unit))

    @property
    @abstractmethod
    def _places_per_poll(self) -> int:
        """How many handler calls one poll can feed."""

    @abstractmethod
    async def _take(self, places: int) -> Sequence[Any]:
        """Poll for what up to `places` handler calls receive."""

    @abstractmethod
    def _members(self, unit: Any) -> Sequence[SQSDelivery]:
        """The deliveries that one handler call receives."""

    @abstractmethod
    def _ids(self, unit: Any) -> Collection[str] | None:
        """The message ids among which a handler may name those that failed."""

    async def _receive(self, limit: int, wait: int) -> list[SQSDelivery]:
        raw = await self._receiver.receive(limit, wait)
        accepted: list[SQSDelivery] = []
        for delivery in map(self._deliver, raw):
            self._keeper.hold(delivery)
            if complaint := self._complaint(delivery):
                refusal = Verdict(AckStatus.REJECTED, reason=complaint)
                self._launch(self._settle([delivery], refusal), [delivery])
            else:
                accepted.append(delivery)
        return accepted

    def _deliver(self, raw: RawMessage) -> SQSDelivery:
        return SQSDelivery(
            raw,
            queue=self.queue,
            settlement=self._settlement,
            retry=self.config.retry,
            release_lease=self._keeper.drop,
        )

    def _complaint(self, delivery: SQSDelivery) -> str | None:
        """Why this subscriber does not take the message; None if it does."""
        if self.config.detail_types is None and self.config.sources is None:
            return None
        if (envelope := delivery.envelope) is None:
            return "not an EventBridge event"
        if self.config.detail_types is not None and envelope.detail_type not in self.config.detail_types:
            return f"unexpected detail-type {envelope.detail_type}"
        if self.config.sources is not None and envelope.source not in self.config.sources:
            return f"unexpected source {envelope.source}"
        return None
