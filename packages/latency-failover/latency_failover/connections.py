"""The open connections of an attempt, so that blocked reads can be ended from another thread.

An SDK on asyncio is cancelled with its task. boto3 is not: it reads in a worker thread, which a cancelled task leaves
behind until the read times out. So a transport that knows its socket (`latency_failover.bedrock`) registers how to cut
it, and the attempt cuts it when it is abandoned.
"""

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar


class ConnectionCut(ConnectionError):
    """The attempt was abandoned before its request was sent."""


class AttemptConnections:
    """The open connections of one attempt. Thread-safe: transports register from worker threads."""

    def __init__(self, limit_s: float) -> None:
        """`limit_s`: seconds from now after which no read of this attempt is waited for."""
        self._deadline = time.monotonic() + limit_s
        self._lock = threading.Lock()
        self._cutters: list[Callable[[], None]] = []
        self._cut = False
        self.answered = False
        """Whether the vendor has begun to answer: set by a transport that can tell."""

    def remaining_s(self) -> float:
        """Seconds a blocking call may still take; never 0, which means "do not block" for sockets."""
        return max(0.05, self._deadline - time.monotonic())

    def attach(self, cut: Callable[[], None]) -> None:
        """Register how to end a connection's blocked reads.

        Raises:
            ConnectionCut: the attempt was abandoned already; do not send.
        """
        with self._lock:
            self._raise_if_cut()
            self._cutters.append(cut)

    def check(self) -> None:
        """Raise `ConnectionCut` if the attempt was abandoned."""
        with self._lock:
            self._raise_if_cut()

    def cut(self) -> None:
        """End every registered connection and reject new ones. Safe to repeat."""
        with self._lock:
            self._cut = True
            cutters, self._cutters = self._cutters, []
        for cut in cutters:
            cut()

    def release(self) -> None:
        """Forget the connections: the attempt is over, and they belong to the pool again."""
        with self._lock:
            self._cutters.clear()

    def _raise_if_cut(self) -> None:
        if self._cut:
            raise ConnectionCut("the attempt was abandoned before its request was sent")


current_connections: ContextVar[AttemptConnections | None] = ContextVar("failover_connections", default=None)
"""The connections of the current attempt; worker threads started through anyio inherit them."""
