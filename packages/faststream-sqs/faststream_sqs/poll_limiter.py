"""When to poll: only with a free place, not while paused, and never again once stopped."""

import asyncio
from collections.abc import Callable

# After a standstill, the wait for more places before polling again, in seconds. A poll costs the same for one message
# as for ten, and handlers that started together tend to end together.
_REGROUP_S = 0.005


class PollLimiter:
    """Counts the free places of one subscriber and lets its pollers through.

    Args:
        places: handler calls at a time.
        patience: seconds without a successful poll after which the subscriber counts as unhealthy.
        clock: the time in seconds.
    """

    def __init__(self, places: int, *, unhealthy_after: float, clock: Callable[[], float]) -> None:
        self._places = places
        self._free = places
        self._patience = unhealthy_after
        self._clock = clock
        self._wake = asyncio.Event()
        self._polling_since: float | None = None
        self.stopped = False
        self.paused: str | None = None

    @property
    def open(self) -> bool:
        """Whether messages may be taken on."""
        return not self.stopped and self.paused is None

    @property
    def healthy(self) -> bool:
        """Whether polls succeed. A subscriber that need not poll, being paused or fully busy, is healthy."""
        if self.stopped:
            return False
        return self._polling_since is None or self._clock() - self._polling_since <= self._patience

    async def acquire(self, limit: int) -> int:
        """Wait for free places and take up to `limit` of them; 0 when the subscriber has stopped."""
        stood_still = False
        while not self.stopped:
            if self.paused is None and self._free:
                if stood_still and self._free < min(limit, self._places) // 2:
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

    def release_slots(self, places: int = 1) -> None:
        """Give places back."""
        self._free += places
        self._wake.set()

    def succeeded(self) -> None:
        """A poll returned."""
        self._polling_since = self._clock()

    async def wait_unless_stopped(self, seconds: float) -> None:
        """Wait, but not beyond the stop."""
        deadline = self._clock() + seconds
        while not self.stopped and (remaining := deadline - self._clock()) > 0:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), remaining)
            except TimeoutError:
                return

    def pause(self, reason: str) -> None:
        """Poll no more until `resume`."""
        self.paused = reason

    def resume(self) -> None:
        """Poll again."""
        self.paused = None
        self._wake.set()

    def stop(self) -> None:
        """Poll never again."""
        self.stopped = True
        self._wake.set()
