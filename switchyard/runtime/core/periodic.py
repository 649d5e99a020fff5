"""A background loop that survives every exception, and rows that must not block it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
LONGEST_BACKOFF_S = 60.0
DEFERRED_S = 30.0
"""How soon at the latest a tick is repeated that something unavailable prevented."""
DEFERRED_ALARM_S = 60.0
"""How long ticks may be prevented without an alarm; the database's circuit breaker has an alarm of its own."""

_now = time.monotonic


FIRST_ASIDE_S = 30.0
LONGEST_ASIDE_S = 3_600.0
MAX_SET_ASIDE = 1_000


@dataclass
class SetAside:
    """Rows of a table, or steps of a tick, that could not be processed: an alarm for each failure, and a growing pause
    before the next attempt, so that they do not block the others. A restart tries them at once.

    Leave the `names` out of the next read: a full batch of such rows would hide the rows after them.
    """

    of: str
    first_s: float = FIRST_ASIDE_S
    longest_s: float = LONGEST_ASIDE_S
    _failures: dict[str, tuple[int, float]] = field(default_factory=dict, init=False)
    """By name: how often it failed, and until when it is set aside."""

    def names(self) -> list[str]:
        """What is set aside now."""
        now = _now()
        return [name for name, (_, until) in self._failures.items() if until > now]

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Set `name` aside if this raises. `Unavailable` passes: it is no fault of a row."""
        try:
            yield
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (that is what it is for)
            self.add(name, error)
        else:
            self._failures.pop(name, None)

    def add(self, name: str, error: Exception) -> None:
        """Set aside what failed with `error`."""
        failures = self._failures.pop(name, (0, 0.0))[0] + 1
        pause = backoff_s(failures, base=self.first_s, longest=self.longest_s)
        self._failures[name] = failures, _now() + pause
        if len(self._failures) > MAX_SET_ASIDE:
            del self._failures[next(iter(self._failures))]
        log.error(
            "row.set_aside",
            alarm="tick",
            of=self.of,
            name=name,
            failures=failures,
            again_in_s=round(pause),
            exc_info=error,
        )


class Breaker(Protocol):
    """Says whether the database answers."""

    @property
    def available(self) -> bool:
        """Whether work may go on."""

    def trip(self) -> None:
        """Stop work until the database answers."""


async def run_periodically(
    name: str,
    tick: Callable[[], Awaitable[object]],
    breaker: Breaker | None = None,
    *,
    every_s: float,
    wake: asyncio.Event | None = None,
) -> None:
    """Tick every `every_s` seconds until cancelled, and when `wake` is set, which the tick clears; pause while the
    database is unavailable.

    A tick must be safe to repeat. One that raises `Unavailable` is repeated soon; any other exception is logged with an
    alarm, and the next tick follows after a back-off, which starts over after a tick that ran for `LONGEST_BACKOFF_S`.
    """
    failures = 0
    deferred_since: float | None = None
    while True:
        delay, ticked = every_s, False
        if breaker is None or breaker.available:
            started = _now()
            try:
                await tick()
                failures, ticked, deferred_since = 0, True, None
            except Unavailable as error:
                deferred_since = _now() if deferred_since is None else deferred_since
                if _now() - deferred_since >= DEFERRED_ALARM_S and error.code != "database_unreachable":
                    log.error("tick.deferred", alarm="deferred", of=name, code=error.code)  # noqa: TRY400 - the code is the whole of it
                else:
                    log.warning("tick.deferred", of=name, code=error.code)
                if breaker is not None and error.code == "database_unreachable":
                    breaker.trip()
                delay = min(every_s, DEFERRED_S)
            except Exception:
                failures = failures + 1 if _now() - started < LONGEST_BACKOFF_S else 1
                delay = backoff_s(failures, longest=LONGEST_BACKOFF_S)
                log.exception("tick.failed", alarm="tick", of=name, failures=failures, again_in_s=round(delay, 1))
        if wake is None or not ticked:
            await asyncio.sleep(delay)
            continue
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), delay)
