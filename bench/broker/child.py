"""The process of a contender as the run sees it."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from .contender import ContenderQueues
from .emulator import BenchAdmin

_PATIENCE = 120.0  # seconds until a queue must be empty


@dataclass(frozen=True, slots=True)
class CostSample:
    """One measurement: CPU in microseconds per message, and messages per request by operation."""

    cpu_us: float
    batch: dict[str, float]


class ContenderProcess:
    """Gives orders to one contender."""

    def __init__(
        self, name: str, process: "subprocess.Popen[str]", site: ContenderQueues, bench_admin: BenchAdmin
    ) -> None:
        self.name = name
        self.site = site
        self._process = process
        self._outsider = bench_admin
        self._stored: str = self._read()["stored"]

    def consume(self, count: int) -> CostSample:
        """Let it handle and settle so many messages that wait in its queue."""
        self.order("block")
        self._outsider.fill(self.site, self._stored, count)
        self.order("go")
        deadline = time.monotonic() + _PATIENCE
        while self._outsider.left(self.site):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not empty its queue of {count} within {_PATIENCE} s")
            time.sleep(0.02)
        answer = self.order("report")
        if answer["seen"] != count:
            raise RuntimeError(f"{self.name} handled {answer['seen']} of {count} messages")
        return _sample(answer, count)

    def publish(self, count: int, kind: str) -> CostSample:
        """Let it publish so many messages to a queue, or events to a bus."""
        answer = self.order("publish", count=count, kind=kind)
        self._outsider.empty_sink(self.site)
        return _sample(answer, count)

    def feed(self, count: int) -> None:
        """Put messages into its queue while it works."""
        self._outsider.fill(self.site, self._stored, count)

    def order(self, what: str, **options: Any) -> dict[str, Any]:
        """Have it do something, and return its answer."""
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment] # it is a pipe
        stdin.write(json.dumps({"do": what, **options}) + "\n")
        stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        stdout: IO[str] = self._process.stdout  # type: ignore[assignment] # it is a pipe
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def start_contender(name: str, loop: str, bench_admin: BenchAdmin) -> Iterator[ContenderProcess]:
    """A contender at work, in a process of its own."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in name)
    site = bench_admin.site(f"{slug}-{uuid.uuid4().hex[:8]}")
    given = json.dumps({"contender": name, "loop": loop, "site": asdict(site)})
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.broker.worker", given],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield ContenderProcess(name, process, site, bench_admin)
    finally:
        if process.stdin:
            process.stdin.close()  # it ends by itself when nobody can give it orders any more
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _sample(answer: dict[str, Any], count: int) -> CostSample:
    batch = {name: count / requests for name, requests in answer["requests"].items() if requests}
    return CostSample(answer["cpu"] / count * 1e6, batch)
