"""The process of one contender. It obeys lines of JSON and answers each with one; only its own CPU counts."""

import asyncio
import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .bare import BareLoop
from .contender import BrokerContender, ContenderQueues, CountingHandler, RequestCounter
from .payload import DETAIL

_BURST = 100  # publishes that a burst has under way at once


def _lazily(module: str, name: str, **options: Any) -> Callable[[], BrokerContender]:
    def make() -> BrokerContender:
        made: BrokerContender = getattr(importlib.import_module(f"bench.broker.{module}"), name)(**options)
        return made

    return make


CONTENDERS: dict[str, Callable[[], BrokerContender]] = {
    "bare": lambda: BareLoop(10),
    "bare one by one": lambda: BareLoop(1),
    "faststream_sqs": _lazily("ours", "FastStreamSQS"),
    "taskiq-aio-sqs": _lazily("taskiq_sqs", "Taskiq"),
    "dramatiq-sqs": _lazily("dramatiq_sqs_", "Dramatiq"),
}


class ContenderWorker:
    """One contender at work."""

    def __init__(self, contender: BrokerContender, site: ContenderQueues) -> None:
        self._contender = contender
        self._site = site
        self._work = CountingHandler()
        self._requests = RequestCounter()
        self._cpu = 0.0

    async def start(self) -> dict[str, Any]:
        """Begin to consume, with the gate shut."""
        await self._contender.start(self._site, self._work, self._requests)
        return {"stored": self._contender.stored()}

    async def do_block(self) -> dict[str, Any]:
        """Let handlers wait, so that the queue can be filled."""
        self._work.block()
        return {}

    async def do_go(self) -> dict[str, Any]:
        """Let handlers through, and count CPU from here."""
        gc.collect()
        self._requests.counts.clear()
        self._cpu = _cpu()
        self._work.open()
        return {}

    async def do_report(self) -> dict[str, Any]:
        """What was used since `go`."""
        return {"cpu": _cpu() - self._cpu, "seen": self._work.seen, "requests": dict(self._requests.counts)}

    async def do_publish(self, count: int, kind: str) -> dict[str, Any]:
        """Publish `count` messages in bursts, and say what it cost."""
        gc.collect()
        self._requests.counts.clear()
        before = _cpu()
        for _ in range(0, count, _BURST):
            details = [DETAIL] * _BURST
            if kind == "events":
                await self._contender.publish_events(details)
            else:
                await self._contender.publish(details, self._site.sink)
        return {"cpu": _cpu() - before, "requests": dict(self._requests.counts)}

    async def do_send(self) -> dict[str, Any]:
        """Send one message to oneself, and say how long it took to reach the handler."""
        loop = asyncio.get_running_loop()
        seen, before = self._work.seen, time.monotonic_ns()
        await self._contender.publish([DETAIL], self._site.queue)
        deadline = loop.time() + 30
        while self._work.seen == seen:
            if loop.time() > deadline:
                raise TimeoutError("the message did not come back within 30 s")
            await asyncio.sleep(0.0005)
        return {"ns": self._work.began_at - before}

    async def do_memory(self) -> dict[str, Any]:
        """The resident memory, in bytes, and what has been handled."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - nothing else is under way
        return {"rss": pages * resource.getpagesize(), "seen": self._work.seen}

    async def stop(self) -> None:
        """Consume no more."""
        await self._contender.stop()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _execute_commands(worker: ContenderWorker) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _answer(await worker.start())
    while line := await reader.readline():
        order = json.loads(line)
        _answer(await getattr(worker, f"do_{order.pop('do')}")(**order))


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _main(name: str, site: ContenderQueues) -> None:
    worker = ContenderWorker(CONTENDERS[name](), site)
    try:
        await _execute_commands(worker)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(15):
                await worker.stop()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given["loop"] == "uvloop":
        import uvloop

        uvloop.run(_main(given["contender"], ContenderQueues(**given["site"])))
    else:
        asyncio.run(_main(given["contender"], ContenderQueues(**given["site"])))
