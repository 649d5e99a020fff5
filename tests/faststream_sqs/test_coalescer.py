"""The coalescer: batches without waiting, and to everyone their own result."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faststream_sqs import Coalescer, CoalescerClosed


class Sink:
    """A place to flush to whose batches land when the test says so.

    Attributes:
        batches: what was flushed, in order.
        in_flight: how many batches are under way.
        most_in_flight: the most that were under way at once.
        second: set when the second batch has left.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.second = asyncio.Event()
        self._gates: list[asyncio.Event] = []
        self._held = held

    async def flush(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        gate = asyncio.Event()
        self._gates.append(gate)
        if len(self._gates) == 2:
            self.second.set()
        if not self._held:
            gate.set()
        try:
            await gate.wait()
        finally:
            self.in_flight -= 1
        return [ValueError(item) if item < 0 else item * 10 for item in items]

    def land(self, batch: int) -> None:
        """Let the batch with this position finish."""
        self._gates[batch].set()

    def land_all(self) -> None:
        """Let all batches finish, those to come too."""
        self._held = False
        for gate in self._gates:
            gate.set()


async def _turn() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_burst_is_flushed_in_one_batch_without_a_wait() -> None:
    sink = Sink()
    coalescer = Coalescer(sink.flush, max_items=10)
    assert await asyncio.gather(*map(coalescer.submit, range(10))) == [i * 10 for i in range(10)]
    assert sink.batches == [list(range(10))]


async def test_items_behind_batch_in_flight_leave_together() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=10, max_in_flight=1)
    first = coalescer.put(0)
    await _turn()
    others = [coalescer.put(item) for item in range(1, 6)]
    await _turn()
    assert sink.batches == [[0]]
    sink.land(0)
    await _turn()
    assert sink.batches == [[0], [1, 2, 3, 4, 5]]
    sink.land_all()
    assert await asyncio.gather(first, *others) == [0, 10, 20, 30, 40, 50]


async def test_full_batch_does_not_wait_for_one_in_flight() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=3, max_in_flight=2)
    waiting = [coalescer.put(0)]
    await _turn()
    waiting += [coalescer.put(item) for item in range(1, 4)]
    await _turn()
    assert sink.batches == [[0], [1, 2, 3]]
    sink.land_all()
    await asyncio.gather(*waiting)


async def test_hanging_batch_delays_others_for_a_limited_time() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=10, max_in_flight=2, max_wait=0.02)
    hanging = coalescer.put(0)
    await _turn()
    overdue = coalescer.put(1)
    await _turn()
    assert sink.batches == [[0]]
    await asyncio.wait_for(sink.second.wait(), 2)
    sink.land(1)
    assert await overdue == 10
    sink.land_all()
    await hanging


async def test_error_among_the_results_reaches_its_own_caller_only() -> None:
    coalescer = Coalescer(Sink().flush, max_items=10)
    results = await asyncio.gather(*map(coalescer.submit, [1, -2, 3]), return_exceptions=True)
    assert results[0] == 10
    assert isinstance(results[1], ValueError)
    assert results[2] == 30


async def test_failing_flush_fails_its_own_batch_only() -> None:
    async def flush(items: list[int]) -> list[int]:
        if 0 in items:
            raise OSError("the line is down")
        return items

    coalescer = Coalescer(flush, max_items=2)
    results = await asyncio.gather(*map(coalescer.submit, range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError, int, int]


async def test_flush_with_a_wrong_number_of_results_fails_its_batch() -> None:
    async def flush(items: list[int]) -> list[int]:
        return items[1:]

    with pytest.raises(RuntimeError, match="returned 0 results for 1 items"):
        await Coalescer(flush, max_items=2).submit(1)


async def test_caller_cancelled_in_the_queue_withdraws_its_own_item_only() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=10)
    first = coalescer.put(0)
    await _turn()
    callers = [asyncio.ensure_future(coalescer.submit(item)) for item in (1, 2, 3)]
    await _turn()
    callers[1].cancel()
    await _turn()
    sink.land_all()
    results = await asyncio.gather(first, *callers, return_exceptions=True)
    assert sink.batches == [[0], [1, 3]]
    assert results[:2] == [0, 10]
    assert isinstance(results[2], asyncio.CancelledError)
    assert results[3] == 30


async def test_caller_cancelled_in_flight_does_not_disturb_others() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=10)
    callers = [asyncio.ensure_future(coalescer.submit(item)) for item in (1, 2, 3)]
    await _turn()
    callers[0].cancel()
    await _turn()
    sink.land_all()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [20, 30]


async def test_closing_coalescer_flushes_waiting_items_and_refuses_new_ones() -> None:
    sink = Sink(held=True)
    coalescer = Coalescer(sink.flush, max_items=2, max_in_flight=1)
    futures = [coalescer.put(item) for item in range(5)]
    closing = asyncio.ensure_future(coalescer.close())
    await _turn()
    with pytest.raises(CoalescerClosed):
        coalescer.put(9)
    assert not closing.done()
    sink.land_all()
    await closing
    assert all(future.done() for future in futures)
    assert coalescer.idle


async def test_invalid_limits_are_refused() -> None:
    sink = Sink()
    with pytest.raises(ValueError, match="at least 1"):
        Coalescer(sink.flush, max_items=0)
    with pytest.raises(ValueError, match="belong together"):
        Coalescer(sink.flush, max_items=1, max_weight=1)


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.integers(-20, 20).filter(bool), max_size=60),
    pauses=st.lists(st.booleans(), min_size=60, max_size=60),
    cancelled=st.sets(st.integers(0, 59)),
    max_items=st.integers(1, 12),
    max_weight=st.integers(1, 60),
    max_in_flight=st.integers(1, 4),
)
def test_coalescer_keeps_limits_order_and_results_under_any_load(
    items: list[int],
    pauses: list[bool],
    cancelled: set[int],
    max_items: int,
    max_weight: int,
    max_in_flight: int,
) -> None:
    sink = Sink()

    async def scenario() -> list[int | BaseException]:
        coalescer = Coalescer(
            sink.flush,
            max_items=max_items,
            max_weight=max_weight,
            weigh=abs,
            max_in_flight=max_in_flight,
        )
        callers = []
        for position, item in enumerate(items):
            callers.append(asyncio.ensure_future(coalescer.submit(item)))
            if pauses[position]:
                await asyncio.sleep(0)
            if position in cancelled:
                callers[-1].cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        await coalescer.close()
        return results

    results = asyncio.run(scenario())

    assert sink.most_in_flight <= max_in_flight
    assert all(len(batch) <= max_items for batch in sink.batches)
    assert all(len(batch) == 1 or sum(map(abs, batch)) <= max_weight for batch in sink.batches)
    flushed = [item for batch in sink.batches for item in batch]
    remaining = iter(items)
    assert all(item in remaining for item in flushed), "flushed in the order of submission"
    for position, (item, result) in enumerate(zip(items, results, strict=True)):
        if isinstance(result, asyncio.CancelledError):
            assert position in cancelled
        elif item < 0:
            assert isinstance(result, ValueError)
            assert result.args == (item,)
        else:
            assert result == item * 10
