"""Hours of latency in seconds: an event loop whose time jumps to the next timer when nothing else is left to do.

For tests and benchmarks of a policy. Nothing that waits for a socket or a thread works on it.
"""

import asyncio
import selectors

from latency_failover.clock import SystemMonotonicClock


class _JumpingSelector(selectors.DefaultSelector):
    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits and no timer is set: the code under test would hang for ever")
        self.loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio without waiting: an hour of timers takes as long as running their callbacks."""

    def __init__(self) -> None:
        self.now = 1_000.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now


class VirtualClock(SystemMonotonicClock):
    """The failover's clock on the loop's virtual time."""

    def monotonic(self) -> float:
        """The running loop's seconds."""
        return asyncio.get_running_loop().time()
