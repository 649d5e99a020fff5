"""Consumes one queue, message by message or in batches."""

import asyncio
import contextlib
import logging
import math
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from faststream._internal.endpoint.publisher import PublisherProto
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream._internal.endpoint.utils import process_msg
from faststream.message import AckStatus, StreamMessage
from faststream.middlewares import AckPolicy

from .batch_call import MAX_ENTRIES
from .config import SQSBrokerConfig, SQSSubscriberConfig
from .connection import Redrive
from .delivery import SQSDelivery
from .fast_path import DirectPath, SQSHandlerCallWrapper, process_with_faststream
from .invalid import is_invalid
from .limits import MAX_WAIT_TIME, is_fifo
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


class _Outcome(NamedTuple):
    """How one handler call ended, and what follows for its messages."""

    action: SettleAction
    deliveries: Sequence[SQSDelivery]
    error: BaseException | None


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
    def queues(self) -> set[str]:
        """The names of the queues that must exist."""
        return {self.queue, self.dead_letter_queue or self.queue}

    @property
    def redrives(self) -> dict[str, Redrive]:
        """The redrive policy of the queue, if it is to be created."""
        if self.config.max_receives is None or self.dead_letter_queue is None:
            return {}
        return {self.queue: Redrive(self.dead_letter_queue, self.config.max_receives)}

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
        """Start to poll, if there is a handler.

        Raises:
            QueueMissing: a queue does not exist.
        """
        if self._session is not None:
            return
        await super().start()
        self._post_start()
        if self._outer_config.in_memory:
            return
        if not self.calls:
            await self._require_queues()
        else:
            await self._open()
            for _ in range(self.config.pollers):
                self.add_task(self._poll)

    async def stop(self) -> None:
        """Stop polling, release messages that have not been started, finish the others, and settle all.

        Handlers still running at the end of the drain time are cancelled and their messages released.
        """
        async with self._stop_lock:
            if self._session is not None:
                await self._drain(self._session, self._outer_config.graceful_timeout)
                self._session = None
                # FastStream would wait for the handlers once more.
                self.lock = contextlib.nullcontext()
            await super().stop()

    async def consume(self, msg: Any) -> BaseException | None:
        """Run the handler on one unit, then settle it. The handler's slot is free before the settlement is done, unless
        twice as many units as there are slots are in hand: what is received must not outrun what is settled.

        Returns the handler's error, for tests: it has already determined the settle action.
        """
        deliveries = self._members(msg)
        holds_slot = True
        try:
            if self.ack_policy is AckPolicy.ACK_FIRST:
                await settle_deliveries(ACK, deliveries, self._log_line)
            outcomes = await self._outcomes(msg, deliveries)
            if len(self._workers) <= 2 * self.config.concurrency:
                self._poll_limiter.release_slots()
                holds_slot = False
            for outcome in outcomes:
                await settle_deliveries(outcome.action, outcome.deliveries, self._log_line)
        finally:
            if holds_slot:
                self._poll_limiter.release_slots()
            for delivery in deliveries:
                # The task's context keeps the message: as a cycle it would stay until Python looks for cycles.
                delivery.worker = None
                if self._session is not None:
                    self._session.drop(delivery)
        try:
            return self._error_in(outcomes)
        finally:
            del outcomes, outcome  # the traceback of an error knows this frame: another such cycle

    def _error_in(self, outcomes: Sequence[_Outcome]) -> BaseException | None:
        """The first error, after stopping what is to be stopped."""
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        if not errors:
            return None
        if any(outcome.action.stop for outcome in outcomes):
            # Not awaited, because stopping waits for this call.
            self._stopping = asyncio.ensure_future(self.stop())
        if any(outcome.action.stop_application for outcome in outcomes) and (
            app := self._outer_config.context.get("app")
        ):
            app.exit()
        return errors[0]

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
    def _claimable(self, unit: Any) -> Sequence[str] | None:
        """The ids of the messages a handler may report as failed; None if it cannot report single ones."""

    async def _require_queues(self) -> None:
        # A subscriber that is added after the broker's start was not checked there.
        await self._outer_config.connection.require_queues(self.queues, self._outer_config.declare, self.redrives)

    async def _open(self) -> QueueSession:
        await self._require_queues()
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
            max_receives=self.config.max_receives,
            detail_types=self.config.detail_types,
            sources=self.config.sources,
            log=self._log_line,
        )
        return self._session

    def _new_poll_limiter(self) -> PollLimiter:
        # With a wait time of 0, for short polls, every slow answer would count as unhealthy.
        unhealthy_after = 2.0 * max(self.config.wait_time, 1) + self.config.max_wait
        return PollLimiter(self.config.concurrency, unhealthy_after=unhealthy_after, clock=time.monotonic)

    async def _poll(self) -> None:
        session = self._session
        if self._fast_path is not None:
            self._fast_path.enter()
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
                for lane in self._lanes(units):
                    self._launch(lane)
            else:
                self._poll_limiter.release_slots(slots)
                await settle_deliveries(
                    RELEASE, [each for unit in units for each in self._members(unit)], self._log_line
                )

    def _lanes(self, units: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """The units that must follow each other: those of one message group of a FIFO queue."""
        if not is_fifo(self.queue):
            return [(unit,) for unit in units]
        lanes: dict[str | None, list[Any]] = {}
        for unit in units:
            lanes.setdefault(self._members(unit)[0].group_id, []).append(unit)
        return lanes.values()

    def _launch(self, lane: Sequence[Any]) -> None:
        work = self.consume(lane[0]) if len(lane) == 1 else self._consume_lane(lane)
        worker: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        for delivery in self._members(lane[0]):
            delivery.worker = worker
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _consume_lane(self, lane: Sequence[Any]) -> None:
        """Consume one unit after the other, up to the first whose message stays in the queue; release the rest."""
        for position, unit in enumerate(lane):
            if position and not self._may_follow(lane[position - 1], unit):
                rest = lane[position:]
                self._poll_limiter.release_slots(len(rest))
                # Backwards, so that no message is visible while one before it is hidden.
                for delivery in [each for late in reversed(rest) for each in reversed(self._members(late))]:
                    await settle_deliveries(RELEASE, (delivery,), self._log_line)
                return
            # Only now: a lease that ends before must not cancel the work on another message.
            for delivery in self._members(unit):
                delivery.worker = asyncio.current_task()
            await self.consume(unit)

    def _may_follow(self, before: Any, unit: Any) -> bool:
        if self._poll_limiter.stopped or any(each.lost for each in self._members(unit)):
            return False
        return all(each.is_gone for each in self._members(before))

    async def _outcomes(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> list[_Outcome]:
        """Run the handler. A batch that it cannot take is halved until the message at fault is alone."""
        outcome = await self._handle(unit, deliveries)
        try:
            if outcome.error is None or len(deliveries) == 1 or not is_invalid(outcome.error):
                return [outcome]
        finally:
            del outcome  # as in `consume`
        middle = len(deliveries) // 2
        outcomes = await self._outcomes(unit[:middle], deliveries[:middle])
        rest = deliveries[middle:]
        stays = is_fifo(self.queue) and any(outcome.action.status is AckStatus.NACKED for outcome in outcomes)
        if self._overtime or stays or any(delivery.lost for delivery in deliveries):
            return [*outcomes, _Outcome(RELEASE, rest, None)]
        return outcomes + await self._outcomes(unit[middle:], rest)

    async def _handle(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> _Outcome:
        try:
            await self._process(unit, deliveries)
        except asyncio.CancelledError as error:
            me = asyncio.current_task()
            if self._overtime or any(delivery.lost for delivery in deliveries):
                if me is not None:
                    me.uncancel()
                return _Outcome(RELEASE, deliveries, None)
            if me is not None and me.cancelling():
                raise
            return _Outcome(action_on_error(self.ack_policy, error, None), deliveries, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - FastStream has logged it
            action = action_on_error(self.ack_policy, error, self._claimable(unit))
            if is_fifo(self.queue):
                action = _with_successors(action, deliveries)
            return _Outcome(action, deliveries, error)
        return _Outcome(action_on_success(self.ack_policy), deliveries, None)

    def _process(self, unit: Any, deliveries: Sequence[SQSDelivery]) -> Awaitable[Any]:
        # The fast path leaves the message in the context, so it needs a task that ends with its message.
        if self._fast_path is not None and deliveries[0].worker is asyncio.current_task():
            return self._fast_path.process(unit)
        return process_with_faststream(self, unit)

    async def _drain(self, session: QueueSession, seconds: float | None) -> None:
        self._poll_limiter.stop()
        polls = asyncio.ensure_future(self._end_polls())
        if self._workers:
            await asyncio.wait(self._workers, timeout=seconds)
        await self._cancel([worker for worker in self._workers if not worker.done()], f"did not end in {seconds} s")
        await polls
        try:
            async with asyncio.timeout(_FLUSH_GRACE):
                await session.close()
        except TimeoutError as error:
            self._log_line(
                logging.ERROR, f"messages of `{self.queue}` were not settled in time and will be delivered again", error
            )

    async def _end_polls(self) -> None:
        """Wait for the polls in flight: messages of a poll that was cut short would be stranded."""
        if polls := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(polls, timeout=self.config.wait_time + self.config.max_wait + _CANCEL_GRACE)
            await self._cancel([task for task in polls if not task.done()], "did not end")

    async def _cancel(self, late: Sequence[asyncio.Task[Any]], why: str) -> None:
        if late:
            self._log_line(logging.ERROR, f"{len(late)} calls of `{self.queue}` {why}: cancelled")
            self._overtime = True
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_CANCEL_GRACE)

    def _log_line(self, level: int, message: str, error: BaseException | None = None, /) -> None:
        self._outer_config.logger.log(message, level, extra=self.get_log_context(None), exc_info=error)

    def get_log_context(self, message: StreamMessage[Any] | None) -> dict[str, str]:
        """The fields of every log line about a message."""
        queue = self.queue if self._session is None else self._session.queue
        return {"queue": queue, "message_id": getattr(message, "message_id", "")}

    def _make_response_publisher(self, message: StreamMessage[Any]) -> Sequence[PublisherProto[Any]]:
        return (SQSReplyPublisher(self._outer_config.producer, message.reply_to, self._log_line),)

    async def get_one(self, *, timeout: float = 5) -> Any:  # noqa: ASYNC109 - FastStream's signature
        """Receive one message, or None after `timeout` seconds. Settle it yourself, within `visibility_timeout`.

        Raises:
            AssertionError: the subscriber has a handler.
            QueueMissing: the queue does not exist.
        """
        session = await self._session_without_handler()
        deliveries: Sequence[SQSDelivery] = ()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not deliveries:
                    deliveries = await session.receive(1, min(max(math.ceil(timeout), 1), MAX_WAIT_TIME))
        return await self._parsed(session, deliveries[0]) if deliveries else None

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Receive message after message. Settle each yourself, within `visibility_timeout`; see `get_one`."""
        session = await self._session_without_handler()
        while True:
            for delivery in await session.receive(1, self.config.wait_time):
                yield await self._parsed(session, delivery)

    async def _session_without_handler(self) -> QueueSession:
        if self.calls:  # FastStream's brokers assert it
            raise AssertionError(f"`{self.queue}` has a handler, which gets its messages: read from another subscriber")
        return self._session or await self._open()

    async def _parsed(self, session: QueueSession, delivery: SQSDelivery) -> Any:
        # Its lease ends by itself if the application forgets it.
        session.drop(delivery)
        parser, decoder = self._get_parser_and_decoder()
        unit = self.unit_of(delivery)
        context = self._outer_config.context
        middlewares = (middleware(unit, context=context) for middleware in self._broker_middlewares)
        return await process_msg(msg=unit, middlewares=middlewares, parser=parser, decoder=decoder)

    @abstractmethod
    def unit_of(self, delivery: SQSDelivery) -> Any:
        """A unit of one message."""


def _with_successors(action: SettleAction, deliveries: Sequence[SQSDelivery]) -> SettleAction:
    """Retry also what follows a failed message in its group, so that the group stays in order."""
    failed, groups = set(action.failed), set()
    for delivery in deliveries:
        if delivery.message_id in failed or delivery.group_id in groups:
            failed.add(delivery.message_id)
            groups.add(delivery.group_id)
    return replace(action, failed=frozenset(failed))


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

    def unit_of(self, delivery: SQSDelivery) -> SQSDelivery:
        """See `QueueSubscriber.unit_of`."""
        return delivery


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
        asked = min(MAX_ENTRIES, limit)
        batch += await session.receive(asked, self.config.wait_time)
        deadline = time.monotonic() + self.config.max_wait
        full = len(batch) == asked
        while batch and len(batch) < limit and self._poll_limiter.open:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            # SQS waits whole seconds. With less than one left the wait is made here: a poll at once would bring one
            # message or none, and cost as much as one that brings ten.
            wait = min(int(remaining), self.config.wait_time)
            if wait == 0 and not full:
                await asyncio.sleep(min(remaining, 1.0))
            asked = min(MAX_ENTRIES, limit - len(batch))
            more = await session.receive(asked, wait)
            if not more and wait == 0:
                return
            full = len(more) == asked
            batch += more

    def _members(self, unit: tuple[SQSDelivery, ...]) -> Sequence[SQSDelivery]:
        return unit

    def _claimable(self, unit: tuple[SQSDelivery, ...]) -> Sequence[str]:
        return [delivery.message_id for delivery in unit]

    def unit_of(self, delivery: SQSDelivery) -> tuple[SQSDelivery, ...]:
        """See `QueueSubscriber.unit_of`."""
        return (delivery,)
