"""Limits polling: only with a free slot, not while paused, and not after the stop."""

import asyncio
from collections.abc import Callable

# Seconds to wait for more free slots after all were busy: a poll costs the same for one message as for ten, and
# handlers that started together tend to end together.
_REGROUP_S = 0.005


class PollLimiter:
    """Counts the free slots of one subscriber and admits its pollers.

    Args:
        slots: handler calls at a time.
        unhealthy_after: seconds without a successful poll after which the subscriber counts as unhealthy.
        clock: the time in seconds.
    """

    def __init__(self, slots: int, *, unhealthy_after: float, clock: Callable[[], float]) -> None:
        self._slots = slots
        self._free = slots
        self._unhealthy_after = unhealthy_after
        self._clock = clock
        self._wake = asyncio.Event()
        self._polling_since: float | None = None
        self.stopped = False
        self.paused: str | None = None

    @property
    def open(self) -> bool:
        """Whether messages may be received."""
        return not self.stopped and self.paused is None

    @property
    def healthy(self) -> bool:
        """Whether polls succeed. A subscriber that need not poll, being paused or fully busy, is healthy."""
        if self.stopped:
            return False
        return self._polling_since is None or self._clock() - self._polling_since <= self._unhealthy_after

    async def acquire(self, limit: int) -> int:
        """Wait for free slots and take up to `limit` of them; 0 once the subscriber has stopped."""
        stood_still = False
        while not self.stopped:
            if self.paused is None and self._free:
                if stood_still and self._free < min(limit, self._slots) // 2:
                    stood_still = False
                    await asyncio.sleep(_REGROUP_S)
                    continue
                taken = min(limit, self._free)
                self._free -= taken
                if self._polling_since is None:
                    self._polling_since = self._clock()
                return taken
            stood_still = self.paused is None
            self._polling_since = None
            self._wake.clear()
            await self._wake.wait()
        return 0

    def release_slots(self, slots: int = 1) -> None:
        """Return slots."""
        self._free += slots
        self._wake.set()

    def succeeded(self) -> None:
        """Record a successful poll."""
        self._polling_since = self._clock()

    async def wait_unless_stopped(self, seconds: float) -> None:
        """Wait, at most until the stop."""
        deadline = self._clock() + seconds
        while not self.stopped and (remaining := deadline - self._clock()) > 0:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), remaining)
            except TimeoutError:
                return

    def pause(self, reason: str) -> None:
        """Stop polling until `resume`."""
        self.paused = reason

    def resume(self) -> None:
        """Resume polling."""
        self.paused = None
        self._wake.set()

    def stop(self) -> None:
        """Stop polling for good."""
        self.stopped = True
        self._wake.set()
