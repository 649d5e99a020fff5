"""Batching without waiting: flush at once when idle, otherwise coalesce behind the batches in flight."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class CoalescerClosed(RuntimeError):
    """The coalescer takes no more items. Submit before `close()`, or build a new one."""


class Coalescer(Generic[T, R]):
    """Gathers single items into batches for `flush`, and hands each caller the result of its own item.

    An idle coalescer does not wait: items submitted in one pass of the event loop are flushed in the next. While a
    batch is in flight, items queue behind it; another batch starts beside it once it is full, or after `max_wait`.
    Order is kept: items reach `flush` in the order of submission.

    `flush` returns one result per item, in order; an exception in that list is raised to that item's caller alone.
    If `flush` itself raises, all callers of that batch get the exception. `flush` runs in its own task: a caller
    that is cancelled before its batch left withdraws its item, later only its own wait.

    Args:
        flush: sends one batch.
        max_items: maximum items in a batch.
        max_weight: maximum weight of a batch, in the unit of `weigh`. A heavier item is sent alone.
        weigh: the weight of an item; required with `max_weight`.
        max_in_flight: maximum batches in flight at once.
        max_wait: seconds that a batch which is not full waits behind others while a place in flight is free.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]],
        *,
        max_items: int,
        max_weight: int | None = None,
        weigh: Callable[[T], int] | None = None,
        max_in_flight: int = 1,
        max_wait: float = 0.1,
    ) -> None:
        if max_items < 1 or max_in_flight < 1:
            raise ValueError("max_items and max_in_flight must be at least 1")
        if (max_weight is None) != (weigh is None):
            raise ValueError("max_weight and weigh belong together: give both or neither")
        self._flush = flush
        self._max_items = max_items
        self._max_weight = max_weight
        self._weigh = weigh
        self._max_in_flight = max_in_flight
        self._max_wait = max_wait
        self._pending: deque[tuple[T, int, asyncio.Future[R]]] = deque()
        self._pending_weight = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._scheduled: asyncio.Handle | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._closed = False
        # A batch belongs to all its callers, so it must not inherit the trace context of the first one.
        self._context = copy_context()

    @property
    def idle(self) -> bool:
        """Whether no item is pending or in flight."""
        return not self._pending and not self._in_flight

    async def submit(self, item: T) -> R:
        """Send `item` with its batch and return its own result.

        Raises:
            CoalescerClosed: after `close()`.
            BaseException: what `flush` returned for this item, or raised for its whole batch.
        """
        return await self.put(item)

    def put(self, item: T) -> asyncio.Future[R]:
        """Queue `item` without waiting; the future carries its result and must be awaited.

        Raises:
            CoalescerClosed: after `close()`.
        """
        if self._closed:
            raise CoalescerClosed("the coalescer is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        weight = self._weigh(item) if self._weigh else 0
        self._pending.append((item, weight, future))
        self._pending_weight += weight
        # Deferred by one pass of the loop, so that a burst becomes one batch instead of one item and the rest.
        if self._scheduled is None and len(self._in_flight) < self._max_in_flight:
            self._scheduled = loop.call_soon(self._pump, False)
        return future

    async def close(self) -> None:
        """Reject new items, flush pending ones, and return when every batch has settled."""
        self._closed = True
        while not self.idle:
            self._pump(overdue=True)
            if self._in_flight:
                await asyncio.wait(self._in_flight)

    def _pump(self, overdue: bool) -> None:
        self._scheduled = None
        while self._pending and len(self._in_flight) < self._max_in_flight:
            if self._in_flight and not overdue and not self._is_full():
                break
            self._launch(self._take())
        wants_timer = bool(self._pending) and 0 < len(self._in_flight) < self._max_in_flight
        if wants_timer and self._overdue is None:
            self._overdue = asyncio.get_running_loop().call_later(self._max_wait, self._pump_overdue)
        elif not wants_timer and self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _pump_overdue(self) -> None:
        self._overdue = None
        self._pump(overdue=True)

    def _is_full(self) -> bool:
        if len(self._pending) >= self._max_items:
            return True
        return self._max_weight is not None and self._pending_weight >= self._max_weight

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        total = 0
        while self._pending and len(batch) < self._max_items:
            item, weight, future = self._pending[0]
            if future.done():  # its caller was cancelled
                self._pending.popleft()
                self._pending_weight -= weight
                continue
            if batch and self._max_weight is not None and total + weight > self._max_weight:
                break
            self._pending.popleft()
            self._pending_weight -= weight
            total += weight
            batch.append((item, future))
        return batch

    def _launch(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        if not batch:
            return
        task = asyncio.get_running_loop().create_task(self._run(batch), context=self._context.copy())
        self._in_flight.add(task)
        task.add_done_callback(self._on_batch_done)

    def _on_batch_done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._pump(overdue=False)

    async def _run(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results: Sequence[R | BaseException] = await self._flush([item for item, _ in batch])
            if len(results) != len(batch):
                results = [RuntimeError(f"flush returned {len(results)} results for {len(batch)} items")] * len(batch)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(_as_result(error))
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(_as_result(result))
            else:
                future.set_result(result)


def _as_result(error: BaseException) -> BaseException:
    """The error for a caller: a cancelled flush must not look like a cancellation of the caller."""
    if isinstance(error, asyncio.CancelledError | StopIteration):
        return RuntimeError(f"the batch was not sent: {error!r}")
    return error
