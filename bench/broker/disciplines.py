"""The phases of a run. Contenders take turns, round by round, first forwards and then backwards."""

import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from .contenders import BASELINE, CONTENDERS, OUR_BROKER, ContenderQueues
from .emulator import BenchAdmin
from .figures import compare_contenders, delivery_delay, memory_growth
from .worker import run_worker

_TICK = 0.1  # seconds between two looks of ministack's long poll
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class BenchSize:
    """Rounds and messages per round of the yardstick and ours, and of the others, which cost up to ten times as much;
    pairs of latencies; messages of the memory run."""

    rounds: int = 21
    messages: int = 400
    other_rounds: int = 4
    other_messages: int = 100
    pairs: int = 120
    memory_messages: int = 200_000


QUICK_SIZE = BenchSize(rounds=5, messages=500, other_rounds=2, pairs=30, memory_messages=10_000)


class ContenderProcess:
    """One contender in a process of its own."""

    def __init__(self, name: str, site: ContenderQueues, admin: BenchAdmin, pipe: Connection) -> None:
        self.name = name
        self._site = site
        self._admin = admin
        self._pipe = pipe
        self._stored: str = pipe.recv()

    def order(self, order: str, *arguments: Any) -> Any:
        """Execute a method of the worker, and return its result."""
        self._pipe.send((order, arguments))
        return self._pipe.recv()

    def consume(self, count: int) -> dict[str, Any]:
        """Let it handle and delete messages that wait in its queue; returns the resources used."""
        self.order("block")
        self.feed(count)
        self.order("go")
        self.wait_for_backlog(0)
        used: dict[str, Any] = self.order("report")
        if used["seen"] != count:
            raise RuntimeError(f"{self.name} handled {used['seen']} of {count} messages")
        return used

    def publish(self, count: int, kind: str) -> dict[str, Any]:
        """Let it publish to a queue or to a bus; returns the resources used."""
        used: dict[str, Any] = self.order("publish", count, kind)
        self._admin.purge_sink(self._site)
        return used

    def feed(self, count: int) -> None:
        """Put messages into its queue."""
        self._admin.fill(self._site, self._stored, count)

    def wait_for_backlog(self, most: int) -> None:
        """Wait until at most so many messages are left in its queue."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._admin.count_left(self._site) > most:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} left more than {most} messages in its queue for {_PATIENCE_S} s")
            time.sleep(0.02)


@contextmanager
def start_contender(name: str, loop: str, admin: BenchAdmin) -> Iterator[ContenderProcess]:
    """A contender at work; it stops when its pipe is closed."""
    site = admin.create_site(f"{name.replace(' ', '-').replace('_', '-')}-{uuid.uuid4().hex[:8]}")
    context = multiprocessing.get_context("spawn")
    pipe, other_end = context.Pipe()
    process = context.Process(target=run_worker, args=(name, loop, site, other_end), daemon=True)
    process.start()
    other_end.close()
    try:
        yield ContenderProcess(name, site, admin, pipe)
    finally:
        pipe.close()
        process.join(30)
        process.kill()


@contextmanager
def _start_contenders(names: Sequence[str], loop: str, admin: BenchAdmin) -> Iterator[list[ContenderProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(start_contender(name, loop, admin)) for name in names]


_DISCIPLINES: dict[str, Callable[[ContenderProcess, int], dict[str, Any]]] = {
    "consume and delete": lambda child, count: child.consume(count),
    "send to a queue": lambda child, count: child.publish(count, "queue"),
    "put events": lambda child, count: child.publish(count, "events"),
}
_PAIR = (BASELINE, OUR_BROKER)
_OTHERS = tuple(name for name in CONTENDERS if name != OUR_BROKER)


def measure_cpu(admin: BenchAdmin, size: BenchSize) -> tuple[dict[str, Any], dict[str, Any]]:
    """CPU per message of consuming and publishing, and the batch sizes that were seen."""
    figures: dict[str, dict[str, Any]] = {}
    batches: dict[str, dict[str, Any]] = {}
    series = (
        (_PAIR, "asyncio", size.rounds, size.messages),
        (_PAIR, "uvloop", size.rounds, size.messages),
        (_OTHERS, "asyncio", size.other_rounds, size.other_messages),
    )
    for names, loop, rounds, count in series:
        with _start_contenders(names, loop, admin) as children:
            for discipline, run in _DISCIPLINES.items():
                able = [each for each in children if discipline != "put events" or each.name in _PAIR]
                used = _take_turns(able, run, rounds, count)
                samples = {name: [each["cpu"] / count * 1e6 for each in some] for name, some in used.items()}
                key = f"{discipline}, {loop}"
                for name, figure in compare_contenders(samples, BASELINE).items():
                    # The yardstick runs again with the slower ones; its figures stay those of the longer series.
                    figures.setdefault(key, {}).setdefault(name, figure)
                    requests = used[name][-1]["requests"].items()
                    sizes = {operation: round(count / made, 1) for operation, made in requests if made}
                    batches.setdefault(key, {}).setdefault(name, sizes)
                    print(f"{key:32} {name:26} {figure['median']:8.0f} us  x {figure['ratio']:.2f}", flush=True)
    return figures, batches


def _take_turns(
    children: Sequence[ContenderProcess],
    run: Callable[[ContenderProcess, int], dict[str, Any]],
    rounds: int,
    count: int,
) -> dict[str, list[dict[str, Any]]]:
    used: dict[str, list[dict[str, Any]]] = {child.name: [] for child in children}
    for child in children:
        run(child, 100)  # connections, caches, first-time imports
    for number in range(rounds):
        for child in children if number % 2 else reversed(children):
            used[child.name].append(run(child, count))
    return used


def measure_latency(admin: BenchAdmin, size: BenchSize) -> dict[str, Any]:
    """The time of a message from its sender's call to its handler, with nothing else under way."""
    results = {}
    for loop in ("asyncio", "uvloop"):
        with _start_contenders(_PAIR, loop, admin) as pair:
            times: dict[str, list[float]] = {child.name: [] for child in pair}
            for child in pair:
                child.order("go")
                for _ in range(3):
                    child.order("send")
            for number in range(size.pairs):
                for child in pair if number % 2 else reversed(pair):
                    # ministack looks every tenth of a second whether a waiting poll can be answered. A random pause
                    # keeps the sends from falling in step with that.
                    time.sleep(random.uniform(0, _TICK))
                    times[child.name].append(child.order("send"))
            results[loop] = delivery_delay(times[OUR_BROKER], times[BASELINE])
            print(f"latency on {loop}: {results[loop]}", flush=True)
    return results


def measure_memory(admin: BenchAdmin, size: BenchSize) -> dict[str, Any]:
    """Resident memory of a consumer that is kept busy, sampled 20 times."""
    backlog, resident = 1_000, []
    with start_contender(OUR_BROKER, "asyncio", admin) as child:
        child.order("go")
        for fed in range(backlog, size.memory_messages + 1, backlog):
            child.feed(backlog)
            child.wait_for_backlog(backlog)
            if fed % (size.memory_messages // 20) < backlog:
                resident.append(child.order("memory"))
                print(f"memory after {fed} messages: {resident[-1] / 2**20:.1f} MiB", flush=True)
        child.wait_for_backlog(0)
        seen = child.order("report")["seen"]
        if seen != fed:
            raise RuntimeError(f"{seen} of {fed} messages were handled")
        resident.append(child.order("memory"))
    return {
        "messages": fed,
        "growth_bytes": memory_growth(resident),
        "resident_mib": [round(each / 2**20, 1) for each in resident],
    }
