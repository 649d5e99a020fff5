"""Consumes one queue, message by message or in batches."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, TypeAlias

from faststream._internal.endpoint.publisher import PublisherProto
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream.exceptions import FeatureNotSupportedException
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy

from .batch_call import MAX_ENTRIES
from .config import SQSBrokerConfig, SQSSubscriberConfig
from .delivery import SQSDelivery
from .fast_path import DirectPath, SQSHandlerCallWrapper, process_with_faststream
from .parser import SQSBatchParser, SQSParser
from .poll_limiter import PollLimiter
from .publisher import SQSReplyPublisher
from .queue_session import QueueSession
from .retry import RetryPolicy
from .settle_action import ACK, RELEASE, SettleAction, action_on_error, action_on_success, settle_deliveries
from .specification import SQSSubscriberSpecification

Calls: TypeAlias = CallsCollection[Any]

_POLL_BACKOFF = RetryPolicy(base=0.2, cap=5.0)

# Seconds for cancelled handlers to end, and for settlements to reach SQS, after the drain time.
_CANCEL_GRACE = 3.0
_FLUSH_GRACE = 3.0


class QueueSubscriber(TasksMixin):
    """Polls a queue while there are free slots, runs the handler and settles what the handler left unsettled.

    The subclass decides the unit: the messages of one handler call.
    """

    _outer_config: SQSBrokerConfig
    _call_wrapper_class = SQSHandlerCallWrapper

    def __init__(self, config: SQSSubscriberConfig, specification: SQSSubscriberSpecification, calls: Calls) -> None:
        super().__init__(config, specification, calls)
        self.config = config
        self._session: QueueSession | None = None
        self._poll_limiter = self._new_poll_limiter()
        self._workers: set[asyncio.Task[Any]] = set()
        self._stop_lock = asyncio.Lock()
        self._stopping: asyncio.Future[None] | None = None
        self._overtime = False
        self._fast_path: DirectPath | None = None

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
        """Whether polling works: a poll has succeeded within twice the wait time, or polling was not needed."""
        return self._session is not None and self._poll_limiter.healthy

    @property
    def paused(self) -> str | None:
        """The reason of the pause, or None."""
        return self._poll_limiter.paused

    def pause(self, reason: str) -> None:
        """Stop polling and keep processing received messages. Messages of a poll in flight are released."""
        self._poll_limiter.pause(reason)

    def resume(self) -> None:
        """Resume polling after `pause`."""
        self._poll_limiter.resume()

    async def start(self) -> None:
        """Start to poll, if there is a handler."""
        if self._session is not None:
            return
        await super().start()
        self._post_start()
        if self.calls:
            await self._open()
            for _ in range(self.config.pollers):
                self.add_task(self._poll)

    async def stop(self) -> None:
        """Stop polling, release messages that have not been started, finish the others, and settle all.

        Handlers still running at the end of the drain time are cancelled and their messages released.
        """
        async with self._stop_lock:
            if self._session is not None:
                await self._drain(self._session, self._outer_config.drain_timeout)
                self._session = None
            await super().stop()

    async def consume(self, msg: Any) -> BaseException | None:
        """Run the handler on one unit, then settle it. The handler's slot is free before the settlement is done.

        Returns the handler's error, for tests: it has already determined the settle action.
        """
        deliveries = self._members(msg)
        try:
            try:
                if self.ack_policy is AckPolicy.ACK_FIRST:
                    await settle_deliveries(ACK, deliveries, self._log_line)
                verdict, error = await self._handle(msg, deliveries)
            finally:
                self._poll_limiter.release_slots()
            await settle_deliveries(verdict, deliveries, self._log_line)
        finally:
            if self._session is not None:
                for delivery in deliveries:
                    self._session.drop(delivery)
        if verdict.stop:
            # Not awaited, because stopping waits for this call.
            self._stopping = asyncio.ensure_future(self.stop())
        if verdict.stop_application and (app := self._outer_config.context.get("app")):
            app.exit()
        return error

    @property
    @abstractmethod
    def _units_per_poll(self) -> int:
        """How many handler calls one poll can serve."""

    @abstractmethod
    async def _take(self, session: QueueSession, slots: int) -> Sequence[Any]:
        """Poll for the units of at most this many handler calls."""

    @abstractmethod
    def _members(self, unit: Any) -> Sequence[SQSDelivery]:
        """The deliveries of one unit."""

    @abstractmethod
    def _claimable(self, unit: Any) -> Collection[str] | None:
        """The ids of the messages a handler may report as failed; None if it cannot report single ones."""

    async def _open(self) -> None:
        url = await self._outer_config.connection.queue_url(self.queue)
        paused = self._poll_limiter.paused
        self._poll_limiter = self._new_poll_limiter()
        self._poll_limiter.paused = paused
        self._overtime = False
        self._fast_path = DirectPath(self, self._outer_config)
        self._session = QueueSession(
            self._outer_config.connection,
            self._outer_config.producer,
            queue=self.queue,
            url=url,
            dead_letter_queue=self.dead_letter_queue,
            visibility_timeout=self.config.visibility_timeout,
            retry=self.config.retry,
            detail_types=self.config.detail_types,
            sources=self.config.sources,
            log=self._log_line,
        )

    def _new_poll_limiter(self) -> PollLimiter:
        # With a wait time of 0, for short polls, every slow answer would count as unhealthy.
        unhealthy_after = 2.0 * max(self.config.wait_time, 1) + self.config.max_wait
        return PollLimiter(self.config.concurrency, unhealthy_after=unhealthy_after, clock=time.monotonic)

    async def _poll(self) -> None:
        session = self._session
        failures = 0
        while session and (slots := await self._poll_limiter.acquire(self._units_per_poll)):
            try:
                units = await self._take(session, slots)
            except Exception as error:  # noqa: BLE001 - polling must go on after any failure
                self._poll_limiter.release_slots(slots)
                failures += 1
                self._log_line(logging.WARNING, f"polling `{self.queue}` failed, {failures} in a row: {error!r}")
                await self._poll_limiter.wait_unless_stopped(_POLL_BACKOFF.delay(failures))
                continue
            failures = 0
            self._poll_limiter.succeeded()
            if self._poll_limiter.open:
                self._poll_limiter.release_slots(slots - len(units))
                for unit in units:
                    self._launch(unit)
            else:
                self._poll_limiter.release_slots(slots)
                await settle_deliveries(
                    RELEASE, [each for unit in units for each in self._members(unit)], self._log_line
                )

    def _launch(self, unit: Any) -> None:
        worker = asyncio.ensure_future(self.consume(unit))
        for delivery in self._members(unit):
            delivery.worker = worker
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _handle(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> tuple[SettleAction, BaseException | None]:
        try:
            returned = await self._process(unit, deliveries)
        except asyncio.CancelledError as error:
            me = asyncio.current_task()
            if self._overtime or any(delivery.lost for delivery in deliveries):
                if me is not None:
                    me.uncancel()
                return RELEASE, None
            if me is not None and me.cancelling():
                raise
            return action_on_error(self.ack_policy, error, None), error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - FastStream has logged it
            return action_on_error(self.ack_policy, error, self._claimable(unit)), error
        return action_on_success(self.ack_policy, returned, self._claimable(unit)), None

    async def _process(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> Any:
        # The fast path leaves the message in the context, so it needs a task that ends with its message.
        if self._fast_path is not None and deliveries[0].worker is asyncio.current_task():
            return await self._fast_path.process(unit)
        return await process_with_faststream(self, unit)

    async def _drain(self, session: QueueSession, seconds: float) -> None:
        self._poll_limiter.stop()
        deadline = time.monotonic() + seconds
        if busy := [task for task in (*self.tasks, *self._workers) if not task.done()]:
            await asyncio.wait(busy, timeout=seconds)
        if late := [task for task in (*self.tasks, *self._workers) if not task.done()]:
            self._log_line(logging.ERROR, f"{len(late)} calls of `{self.queue}` did not end in {seconds} s: cancelled")
            self._overtime = True
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_CANCEL_GRACE)
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), _FLUSH_GRACE)):
                await session.close()
        except TimeoutError as error:
            self._log_line(
                logging.ERROR, f"messages of `{self.queue}` were not settled in time and will be delivered again", error
            )

    def _log_line(self, level: int, message: str, error: BaseException | None = None, /) -> None:
        self._outer_config.logger.log(message, level, extra=self.get_log_context(None), exc_info=error)

    def get_log_context(self, message: StreamMessage[Any] | None) -> dict[str, str]:
        """The fields of every log line about a message."""
        return {"queue": self.queue, "message_id": getattr(message, "message_id", "")}

    def _make_response_publisher(self, message: StreamMessage[Any]) -> Sequence[PublisherProto[Any]]:
        return (SQSReplyPublisher(self._outer_config.producer, message.reply_to),)

    async def get_one(self, *, timeout: float = 5) -> None:  # noqa: ASYNC109 - FastStream's signature
        """Not supported yet: register a handler."""
        raise FeatureNotSupportedException("`get_one` is not supported: register a handler")

    def __aiter__(self) -> AsyncIterator[StreamMessage[Any]]:
        """Not supported yet: register a handler."""
        raise FeatureNotSupportedException("iteration is not supported: register a handler")


class SQSSubscriber(QueueSubscriber):
    """Hands one message to each handler call."""

    def __init__(self, config: SQSSubscriberConfig, specification: SQSSubscriberSpecification, calls: Calls) -> None:
        parser = SQSParser()
        config.parser = parser.parse_message
        config.decoder = parser.decode_message
        super().__init__(config, specification, calls)

    @property
    def _units_per_poll(self) -> int:
        return MAX_ENTRIES

    async def _take(self, session: QueueSession, slots: int) -> Sequence[SQSDelivery]:
        return await session.receive(slots, self.config.wait_time)

    def _members(self, unit: SQSDelivery) -> Sequence[SQSDelivery]:
        return (unit,)

    def _claimable(self, unit: SQSDelivery) -> None:
        return None


class SQSBatchSubscriber(QueueSubscriber):
    """Hands a list of messages to each handler call, gathered over several polls."""

    def __init__(self, config: SQSSubscriberConfig, specification: SQSSubscriberSpecification, calls: Calls) -> None:
        parser = SQSBatchParser()
        config.parser = parser.parse_batch
        config.decoder = parser.decode_batch
        super().__init__(config, specification, calls)

    @property
    def _units_per_poll(self) -> int:
        return 1

    async def _take(self, session: QueueSession, slots: int) -> Sequence[tuple[SQSDelivery, ...]]:
        batch: list[SQSDelivery] = []
        try:
            await self._gather(session, batch)
        except asyncio.CancelledError:
            # The poll in flight releases its own messages; those gathered before are released here.
            session.release(batch)
            raise
        except Exception as error:
            if not batch:
                raise
            self._log_line(logging.WARNING, f"a batch of `{self.queue}` stays short, polling failed: {error!r}")
        return [tuple(batch)] if batch else []

    async def _gather(self, session: QueueSession, batch: list[SQSDelivery]) -> None:
        """Fill `batch` until it is full, `max_wait` has passed since its first message, or the queue is empty."""
        limit = self.config.max_batch
        batch += await session.receive(min(MAX_ENTRIES, limit), self.config.wait_time)
        deadline = time.monotonic() + self.config.max_wait
        while batch and len(batch) < limit and self._poll_limiter.open:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            # SQS waits whole seconds. With less than one left, poll once more without waiting.
            wait = min(int(remaining), self.config.wait_time)
            more = await session.receive(min(MAX_ENTRIES, limit - len(batch)), wait)
            if not more and wait == 0:
                return
            batch += more

    def _members(self, unit: tuple[SQSDelivery, ...]) -> Sequence[SQSDelivery]:
        return unit

    def _claimable(self, unit: tuple[SQSDelivery, ...]) -> Collection[str]:
        return [delivery.message_id for delivery in unit]
