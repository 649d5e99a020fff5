"""The clock of the failover, replaceable so that a test can run an hour in a millisecond."""

import asyncio
import contextlib
import math
import time
from typing import Protocol


class MonotonicClock(Protocol):
    """Monotonic time, and waiting for it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""
        ...

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Return when `event` is set or `monotonic()` has reached `until`, whichever happens first."""
        ...


class SystemMonotonicClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Seconds of `time.monotonic`; the event loop's own clock may be a cached millisecond (uvloop)."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, until: float) -> None:
        """Return when `event` is set or `until` has come; `math.inf` waits for the event alone."""
        delay = None if math.isinf(until) else max(0.0, until - self.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await event.wait()
