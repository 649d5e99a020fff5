"""A background loop survives every exception; the one back-off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from switchyard.runtime.core import periodic
from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.periodic import SetAside, run_periodically


@dataclass
class Ticks:
    """A tick that raises these errors in turn and then ends the loop."""

    errors: list[Exception | None]

    async def __call__(self) -> None:
        if not self.errors:
            raise asyncio.CancelledError
        if (error := self.errors.pop(0)) is not None:
            raise error


@dataclass
class Breaker:
    """A circuit breaker that stays as it is set."""

    available: bool = True
    trips: int = 0

    def trip(self) -> None:
        """Count."""
        self.trips += 1


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the loop sleeps; no time passes."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("switchyard.runtime.core.periodic.asyncio.sleep", sleep)
    return slept


async def run(ticks: Ticks, breaker: Breaker | None = None, every_s: float = 0.5) -> list[str]:
    """The alarms and warnings of a loop that ends by cancellation."""
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await run_periodically("test", ticks, breaker, every_s=every_s)
    return [line["event"] for line in lines]


async def test_loop_continues_after_any_error_with_an_alarm_and_growing_delays(delays: list[float]) -> None:
    lines = await run(Ticks([ValueError(), KeyError(), ZeroDivisionError(), None]))
    assert lines == ["tick.failed"] * 3
    first, second, third, usual = delays
    assert 0.5 <= first <= 1.0 <= second <= 2.0 <= third <= 4.0
    assert usual == 0.5


async def test_loop_failing_after_a_long_tick_restarts_its_delays(
    delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that leads for hours and then fails is not punished for failures of last week."""
    times = iter([0.0, 0.1, 1.0, 1.1, 2.0, 2.0 + periodic.LONGEST_BACKOFF_S, 100.0])
    monkeypatch.setattr(periodic, "_now", lambda: next(times))
    await run(Ticks([ValueError(), ValueError(), ValueError()]))
    first, second, third = delays
    assert first <= 1.0 <= second <= 2.0
    assert 0.5 <= third <= 1.0


async def test_loop_with_an_unreachable_database_trips_the_breaker_at_its_pace(delays: list[float]) -> None:
    breaker = Breaker()
    assert await run(Ticks([Unavailable("database_unreachable", "away")]), breaker) == ["tick.deferred"]
    assert (breaker.trips, delays) == (1, [0.5])


async def test_loop_that_ticks_rarely_is_repeated_soon_after_an_outage(delays: list[float]) -> None:
    await run(Ticks([Unavailable("publish_failed", "away")]), every_s=3_600.0)
    assert delays == [periodic.DEFERRED_S]


def test_failing_row_is_skipped_for_growing_times_with_an_alarm_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(periodic, "_now", lambda: now[0])
    rows = SetAside("rows")
    pauses: list[float] = []
    with capture_logs() as lines:
        for _ in range(12):
            with rows.guard("a"):
                raise RecursionError
            assert rows.names() == ["a"]
            began = now[0]
            while rows.names():
                now[0] += 5.0
            pauses.append(now[0] - began)
    assert [line["alarm"] for line in lines] == ["tick"] * 12
    assert pauses[0] <= periodic.FIRST_ASIDE_S + 5 < pauses[3] < pauses[-1] <= periodic.LONGEST_ASIDE_S + 5


def test_row_is_cleared_by_success_and_not_blamed_for_unavailability() -> None:
    rows = SetAside("rows")
    with capture_logs(), rows.guard("a"):
        raise KeyError
    with rows.guard("a"):
        pass
    assert rows.names() == []
    with pytest.raises(Unavailable), rows.guard("b"):
        raise Unavailable("database_unreachable", "away")
    assert rows.names() == []


def test_rows_set_aside_are_bounded() -> None:
    rows = SetAside("rows")
    with capture_logs():
        for number in range(periodic.MAX_SET_ASIDE + 10):
            with rows.guard(str(number)):
                raise ValueError
    assert len(rows.names()) == periodic.MAX_SET_ASIDE


def test_backoff_doubles_up_to_its_limit_and_is_jittered() -> None:
    assert [backoff_s(n, longest=10.0, jitter=False) for n in range(6)] == [1.0, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert all(5.0 <= backoff_s(1_000_000, longest=10.0) <= 10.0 for _ in range(100))


async def test_tick_that_stays_deferred_raises_an_alarm(delays: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    time = iter(range(0, 10_000, 10))
    monkeypatch.setattr(periodic, "_now", lambda: float(next(time)))
    away: list[Exception | None] = [Unavailable("publish_failed", "the bus refused an event") for _ in range(9)]
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await run_periodically("outbox", Ticks(away), every_s=1.0)
    alarms = [line.get("alarm") for line in lines]
    assert alarms[0] is None
    assert alarms[-1] == "deferred"
    assert lines[-1]["of"] == "outbox"
