"""A background loop that survives every exception."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import structlog

from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
LONGEST_BACKOFF_S = 60.0
DEFERRED_S = 30.0
"""How soon at the latest a tick is repeated that something unavailable prevented."""

_now = time.monotonic


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
    while True:
        delay, ticked = every_s, False
        if breaker is None or breaker.available:
            started = _now()
            try:
                await tick()
                failures, ticked = 0, True
            except Unavailable as error:
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
