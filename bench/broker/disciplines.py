"""What is measured, and in which order: contenders take turns, round by round, first forwards and then backwards."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .child import ContenderProcess, CostSample, start_contender
from .emulator import BenchAdmin
from .figures import compare_contenders, delivery_delay, memory_growth

BASELINE = "bare"
OUR_BROKER = "faststream_sqs"
OTHER_CONTENDERS = ("bare one by one", "taskiq-aio-sqs", "dramatiq-sqs")

_TICK = 0.1  # seconds between two looks of ministack's long poll


@dataclass(frozen=True, slots=True)
class BenchSize:
    """How much is measured.

    Attributes:
        rounds: repeats of the yardstick and ours.
        messages: in each of these.
        other_rounds: repeats of the others, which cost up to ten times as much.
        other_messages: in each of these.
        pairs: of latencies.
        memory_messages: in the memory run.
    """

    rounds: int = 21
    messages: int = 400
    other_rounds: int = 4
    other_messages: int = 100
    pairs: int = 120
    memory_messages: int = 200_000


QUICK_SIZE = BenchSize(rounds=5, messages=500, other_rounds=2, other_messages=100, pairs=30, memory_messages=10_000)


def measure_cpu(bench_admin: BenchAdmin, extent: BenchSize) -> tuple[dict[str, Any], dict[str, Any]]:
    """CPU per message of consuming and publishing, and the batch sizes that were seen."""
    figures: dict[str, Any] = {}
    batches: dict[str, Any] = {}
    for loop in ("asyncio", "uvloop"):
        with ExitStack() as stack:
            pair = [stack.enter_context(start_contender(name, loop, bench_admin)) for name in (BASELINE, OUR_BROKER)]
            for discipline, run in _DISCIPLINES.items():
                samples = _take_turns(pair, run, extent.rounds, extent.messages)
                _note(figures, batches, f"{discipline}, {loop}", samples)
    with ExitStack() as stack:
        names = (BASELINE, *OTHER_CONTENDERS)
        all_of_them = [stack.enter_context(start_contender(name, "asyncio", bench_admin)) for name in names]
        for discipline, run in _DISCIPLINES.items():
            able = [child for child in all_of_them if discipline != "put events" or child.name.startswith("bare")]
            samples = _take_turns(able, run, extent.other_rounds, extent.other_messages)
            _note(figures, batches, f"{discipline}, asyncio", samples)
    return figures, batches


_DISCIPLINES: dict[str, Callable[[ContenderProcess, int], CostSample]] = {
    "consume and delete": lambda child, count: child.consume(count),
    "send to a queue": lambda child, count: child.publish(count, "queue"),
    "put events": lambda child, count: child.publish(count, "events"),
}


def _take_turns(
    children: Sequence[ContenderProcess], run: Callable[[ContenderProcess, int], CostSample], rounds: int, count: int
) -> dict[str, list[CostSample]]:
    samples: dict[str, list[CostSample]] = {child.name: [] for child in children}
    for child in children:
        run(child, 100)  # connections, caches, first-time imports
    for number in range(rounds):
        for child in children if number % 2 else reversed(children):
            samples[child.name].append(run(child, count))
    return samples


def _note(
    figures: dict[str, Any], batches: dict[str, Any], discipline: str, samples: dict[str, list[CostSample]]
) -> None:
    compared = compare_contenders({name: [each.cpu_us for each in some] for name, some in samples.items()}, BASELINE)
    for name, figure in compared.items():
        # The yardstick runs again beside the slower ones; its figures stay those of the longer series.
        figures.setdefault(discipline, {}).setdefault(name, figure.as_json())
        seen = {operation: round(size, 1) for operation, size in samples[name][-1].batch.items()}
        batches.setdefault(discipline, {}).setdefault(name, seen)
        print(f"{discipline:32} {name:26} {figure.median:8.0f} us  x {figure.ratio:.2f}", flush=True)


def measure_latency(bench_admin: BenchAdmin, extent: BenchSize) -> dict[str, Any]:
    """How long a message takes from its sender's call to its handler, with nothing else under way."""
    results = {}
    for loop in ("asyncio", "uvloop"):
        with ExitStack() as stack:
            pair = [stack.enter_context(start_contender(name, loop, bench_admin)) for name in (BASELINE, OUR_BROKER)]
            times: dict[str, list[float]] = {child.name: [] for child in pair}
            for child in pair:
                child.order("go")
                for _ in range(3):
                    child.order("send")
            for number in range(extent.pairs):
                for child in pair if number % 2 else reversed(pair):
                    # ministack looks every tenth of a second whether a waiting poll can be answered. A random pause
                    # keeps the sends from falling in step with that.
                    time.sleep(random.uniform(0, _TICK))
                    times[child.name].append(child.order("send")["ns"] / 1e6)
            results[loop] = delivery_delay(times[OUR_BROKER], times[BASELINE])
            print(f"latency on {loop}: {results[loop]}", flush=True)
    return results


def measure_memory(bench_admin: BenchAdmin, extent: BenchSize) -> dict[str, Any]:
    """Resident memory of a consumer that is kept busy."""
    backlog = 1_000
    resident: list[int] = []
    with start_contender(OUR_BROKER, "asyncio", bench_admin) as child:
        child.order("go")
        fed = 0
        while fed < extent.memory_messages:
            child.feed(backlog)
            fed += backlog
            while bench_admin.left(child.site) > backlog:
                time.sleep(0.02)
            if fed % (extent.memory_messages // 20) < backlog:
                resident.append(child.order("memory")["rss"])
                print(f"memory after {fed} messages: {resident[-1] / 2**20:.1f} MiB", flush=True)
        while bench_admin.left(child.site):
            time.sleep(0.1)
        last = child.order("memory")
        if last["seen"] != fed:
            raise RuntimeError(f"{last['seen']} of {fed} messages were handled")
        resident.append(last["rss"])
    return {
        "messages": fed,
        "growth_bytes": memory_growth(resident),
        "resident_mib": [round(each / 2**20, 1) for each in resident],
    }
