"""The process of one contender: executes orders from a pipe. Only its own CPU counts."""

import asyncio
import gc
import resource
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS, DETAIL, Contender, ContenderQueues, CountingHandler, RequestCounter

_BURST = 100  # publishes that a burst has under way at once


class _Worker:
    """One contender at work; its public methods are the orders."""

    def __init__(self, contender: Contender, site: ContenderQueues) -> None:
        self._contender = contender
        self._site = site
        self._work = CountingHandler()
        self._requests = RequestCounter()
        self._cpu = 0.0

    async def start(self) -> str:
        """Start to consume, with the handlers blocked; returns a message body for its queue."""
        await self._contender.start(self._site, self._work, self._requests)
        return self._contender.stored

    async def block(self) -> None:
        """Let handlers wait, so that the queue can be filled."""
        self._work.block()

    async def go(self) -> None:
        """Let handlers through, and measure from here."""
        self._reset()
        self._work.open()

    async def report(self) -> dict[str, Any]:
        """The resources used since `go`."""
        return {"cpu": _cpu() - self._cpu, "seen": self._work.seen, "requests": dict(self._requests.counts)}

    async def publish(self, count: int, kind: str) -> dict[str, Any]:
        """Publish `count` messages in bursts; returns the resources used."""
        self._reset()
        details = [DETAIL] * _BURST
        for _ in range(0, count, _BURST):
            if kind == "events":
                await self._contender.publish_events(details)
            else:
                await self._contender.publish(details, self._site.sink)
        return await self.report()

    async def send(self) -> float:
        """Send one message to itself; returns the milliseconds until the handler's start."""
        loop = asyncio.get_running_loop()
        seen, before = self._work.seen, time.monotonic_ns()
        await self._contender.publish([DETAIL], self._site.queue)
        deadline = loop.time() + 30
        while self._work.seen == seen:
            if loop.time() > deadline:
                raise TimeoutError("the message did not come back within 30 s")
            await asyncio.sleep(0.0005)
        return (self._work.began_at - before) / 1e6

    async def memory(self) -> int:
        """The resident memory, in bytes."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - nothing else is under way
        return pages * resource.getpagesize()

    def _reset(self) -> None:
        gc.collect()
        self._requests.counts.clear()
        self._cpu = _cpu()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_worker(name: str, loop: str, site: ContenderQueues, pipe: Connection) -> None:
    """The main function of the process; it ends when the pipe is closed."""
    if loop == "uvloop":
        import uvloop

        uvloop.run(_execute_orders(name, site, pipe))
    else:
        asyncio.run(_execute_orders(name, site, pipe))


async def _execute_orders(name: str, site: ContenderQueues, pipe: Connection) -> None:
    contender = CONTENDERS[name]()
    worker = _Worker(contender, site)
    pipe.send(await worker.start())
    try:
        with suppress(EOFError):
            while True:
                order, arguments = await asyncio.to_thread(pipe.recv)
                pipe.send(await getattr(worker, order)(*arguments))
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(15):
                await contender.stop()
