"""What a contender must be able to do, and what all of them share."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

BENCH_REGION = "us-east-1"
BENCH_CREDENTIALS = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
CLIENT_OPTIONS = {"region_name": BENCH_REGION, **BENCH_CREDENTIALS}


@dataclass(frozen=True, slots=True)
class ContenderQueues:
    """Where a contender works.

    Attributes:
        endpoint: the emulator's address.
        queue: the name of the queue it consumes.
        queue_url: the URL of that queue.
        sink: the name of a queue that it publishes to and nobody reads.
        sink_url: the URL of that queue.
        bus: the name of an event bus without rules.
    """

    endpoint: str
    queue: str
    queue_url: str
    sink: str
    sink_url: str
    bus: str


class CountingHandler:
    """The handler's body: counts, and waits while the queue is being filled.

    Attributes:
        seen: messages handled since the last `shut`.
        began_at: when the last call began, `time.monotonic_ns`, which all processes of a machine share.
        error: the first that a handler met.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.began_at = 0
        self._open = asyncio.Event()
        self._open_for_threads = threading.Event()
        self._lock = threading.Lock()

    def block(self) -> None:
        """Let handlers wait from now on, and count from nothing."""
        self._open.clear()
        self._open_for_threads.clear()
        self.seen = 0

    def open(self) -> None:
        """Let handlers through."""
        self._open.set()
        self._open_for_threads.set()

    async def do(self, detail: Any) -> None:
        """What an async handler does."""
        _check(detail)
        self.began_at = time.monotonic_ns()
        if not self._open.is_set():
            await self._open.wait()
        self.seen += 1

    def do_in_thread(self, detail: Any) -> None:
        """What a handler in a worker thread does."""
        _check(detail)
        self.began_at = time.monotonic_ns()
        self._open_for_threads.wait()
        with self._lock:
            self.seen += 1


def _check(detail: Any) -> None:
    # That the work was skipped must not look like speed.
    if detail["seq"] != 4:
        raise RuntimeError("the handler did not get the decoded detail")


class RequestCounter:
    """Counts the requests of a client by operation; one dictionary update a request, for every contender alike."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def watch(self, target: Any) -> None:
        """Count what `target`, a session or the events of a client, sends from now on."""
        target.register("before-call", self._count)

    def _count(self, model: Any, **_: Any) -> None:
        self.counts[model.name] += 1


class BrokerContender(Protocol):
    """One way of consuming and publishing."""

    def stored(self) -> str:
        """The body of one message as this contender finds it in its queue."""
        ...

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Begin to consume."""
        ...

    async def stop(self) -> None:
        """Consume no more."""
        ...

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send so many messages to a queue and return when all have been accepted."""
        ...

    async def publish_events(self, details: Sequence[Any]) -> None:
        """Put so many events on the bus and return when all have been accepted.

        Raises:
            NotImplementedError: it cannot.
        """
        ...
