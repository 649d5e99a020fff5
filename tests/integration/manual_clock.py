"""A clock that moves when the test says so."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.integration.events import NOW


class ManualClock:
    """Satisfies `switchyard.runtime.core.clock.Clock`."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds
