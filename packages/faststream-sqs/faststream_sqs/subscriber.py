"""Consuming one queue."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from faststream._internal.endpoint.publisher import PublisherProto
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream.exceptions import FeatureNotSupportedException
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy

from .batch_call import MAX_ENTRIES
from .config import SQSBrokerConfig, SQSSubscriberConfig
from .delivery import SQSDelivery
from .fast_path import DirectPath, process_with_faststream
from .handler import SQSHandlerCallWrapper
from .parser import SQSParser
from .poll_limiter import PollLimiter
from .publisher import SQSReplyPublisher
from .queue_session import QueueSession
from .retry import RetryPolicy
from .settle_action import ACK, RELEASE, SettleAction, action_on_error, action_on_success, settle_deliveries
from .specification import SQSSubscriberSpecification

_POLL_BACKOFF = RetryPolicy(base=0.2, cap=5.0)

# Seconds that cancelled handlers get to end, and that settled messages get to reach SQS, after the drain time.
_CANCEL_GRACE = 3.0
_FLUSH_GRACE = 3.0


class QueueSubscriber(TasksMixin):
    """Polls a queue while there are free places, runs the handler and settles what the handler left open.

    What one handler call receives, the unit, is decided by the subclass.
    """

    _outer_config: SQSBrokerConfig
    _call_wrapper_class = SQSHandlerCallWrapper

    def __init__(
        self,
        config: SQSSubscriberConfig,
        specification: SQSSubscriberSpecification,
        calls: CallsCollection[Any],
    ) -> None:
        super().__init__(config, specification, calls)
        self.config = config
        self._intake: QueueSession | None = None
        self._poll_limiter = self._new_poll_limiter()
        self._workers: set[asyncio.Task[Any]] = set()
        self._stop_lock = asyncio.Lock()
        self._stopping: asyncio.Future[None] | None = None
        self._overtime = False
        self._direct: DirectPath | None = None

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
        return self._intake is not None and self._poll_limiter.healthy

    @property
    def paused(self) -> str | None:
        """Why polling is paused; None while it is not."""
        return self._poll_limiter.paused

    def pause(self, reason: str) -> None:
        """Stop polling and keep working on what was received. What a poll in flight still brings is released."""
        self._poll_limiter.pause(reason)

    def resume(self) -> None:
        """Poll again after `pause`."""
        self._poll_limiter.resume()

    async def start(self) -> None:
        """Begin to poll, if there is a handler."""
        if self._intake is not None:
            return
        await super().start()
        self._post_start()
        if self.calls:
            await self._open()
            for _ in range(self.config.pollers):
                self.add_task(self._poll)

    async def stop(self) -> None:
        """Poll no more, release what has not been started, finish what has, and settle all of it.

        Handlers still running at the end of the drain time are cancelled and their messages released.
        """
        async with self._stop_lock:
            if self._intake is not None:
                await self._drain(self._intake, self._outer_config.drain_timeout)
                self._intake = None
            await super().stop()

    async def consume(self, msg: Any) -> BaseException | None:
        """Run the handler on one unit, then settle it. The handler's place is free before that has settled.

        What the handler raised is returned, for those who test it: it has become the verdict on its messages.
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
            if self._intake is not None:
                for delivery in deliveries:
                    self._intake.drop(delivery)
        if verdict.stop:
            # Not awaited: stopping waits for this very call.
            self._stopping = asyncio.ensure_future(self.stop())
        if verdict.stop_application and (app := self._outer_config.context.get("app")):
            app.exit()
        return error

    @property
    @abstractmethod
    def _units_per_poll(self) -> int:
        """How many handler calls one poll can feed."""

    @abstractmethod
    async def _take(self, intake: QueueSession, places: int) -> Sequence[Any]:
        """Poll for the units of up to so many handler calls."""

    @abstractmethod
    def _members(self, unit: Any) -> Sequence[SQSDelivery]:
        """The deliveries of one unit."""

    @abstractmethod
    def _claimable(self, unit: Any) -> Collection[str] | None:
        """The ids of the messages a handler may report as failed; None when it cannot report single ones."""

    async def _open(self) -> None:
        url = await self._outer_config.connection.queue_url(self.queue)
        paused = self._poll_limiter.paused
        self._poll_limiter = self._new_poll_limiter()
        self._poll_limiter.paused = paused
        self._overtime = False
        self._direct = DirectPath(self, self._outer_config)
        self._intake = QueueSession(
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
        # A wait time of nothing, for short polls, would call every slow answer unhealthy.
        unhealthy_after = 2.0 * max(self.config.wait_time, 1) + self.config.max_wait
        return PollLimiter(self.config.concurrency, unhealthy_after=unhealthy_after, clock=time.monotonic)

    async def _poll(self) -> None:
        intake = self._intake
        failures = 0
        while intake and (places := await self._poll_limiter.acquire(self._units_per_poll)):
            try:
                units = await self._take(intake, places)
            except Exception as error:  # noqa: BLE001 - whatever fails here, polling must go on, later
                self._poll_limiter.release_slots(places)
                failures += 1
                self._log_line(logging.WARNING, f"polling `{self.queue}` failed, {failures} in a row: {error!r}")
                await self._poll_limiter.wait_unless_stopped(_POLL_BACKOFF.delay(failures))
                continue
            failures = 0
            self._poll_limiter.succeeded()
            if self._poll_limiter.open:
                self._poll_limiter.release_slots(places - len(units))
                for unit in units:
                    self._launch(unit)
            else:
                self._poll_limiter.release_slots(places)
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
        except (Exception, SystemExit) as error:  # noqa: BLE001 - FastStream has logged it; the verdict answers it
            return action_on_error(self.ack_policy, error, self._claimable(unit)), error
        return action_on_success(self.ack_policy, returned, self._claimable(unit)), None

    async def _process(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> Any:
        # The short way leaves the message in the context, so it is for tasks that end with their message.
        if self._direct is not None and deliveries[0].worker is asyncio.current_task():
            return await self._direct.process(unit)
        return await process_with_faststream(self, unit)

    async def _drain(self, intake: QueueSession, seconds: float) -> None:
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
                await intake.close()
        except TimeoutError as error:
            self._log_line(logging.ERROR, f"messages of `{self.queue}` were not settled in time and will return", error)

    def _log_line(self, level: int, message: str, error: BaseException | None = None, /) -> None:
        self._outer_config.logger.log(message, level, extra=self.get_log_context(None), exc_info=error)

    def get_log_context(self, message: StreamMessage[Any] | None) -> dict[str, str]:
        """What every log line about a message says."""
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

    def __init__(
        self,
        config: SQSSubscriberConfig,
        specification: SQSSubscriberSpecification,
        calls: CallsCollection[Any],
    ) -> None:
        parser = SQSParser()
        config.parser = parser.parse_message
        config.decoder = parser.decode_message
        super().__init__(config, specification, calls)

    @property
    def _units_per_poll(self) -> int:
        return MAX_ENTRIES

    async def _take(self, intake: QueueSession, places: int) -> Sequence[SQSDelivery]:
        return await intake.receive(places, self.config.wait_time)

    def _members(self, unit: SQSDelivery) -> Sequence[SQSDelivery]:
        return (unit,)

    def _claimable(self, unit: SQSDelivery) -> None:
        return None
