"""`python -m bench.broker`: measure, write results/broker.json and results/broker.md, and fail if a mark is missed."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .disciplines import OUR_BROKER, QUICK_SIZE, BenchSize, measure_cpu, measure_latency, measure_memory
from .emulator import BenchAdmin, run_emulator
from .figures import missed_targets
from .layers import measure_layers
from .report import as_markdown

BROKER_RESULTS = Path(__file__).parents[1] / "results"
PHASES = ("layers", "cpu", "latency", "memory")
_PACKAGES = (
    "aiobotocore",
    "botocore",
    "aiohttp",
    "faststream",
    "uvloop",
    "taskiq-aio-sqs",
    "dramatiq-sqs",
    "ministack",
)


def main() -> int:
    """Run the phases that were asked for."""
    # As an interrupt does, so that the emulator is stopped when this is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = argparse.ArgumentParser(prog="python -m bench.broker", description=__doc__)
    options.add_argument("--quick", action="store_true", help="few repeats, for trying it out; writes no results")
    options.add_argument("--only", choices=PHASES, action="append", help="this phase; the others keep their results")
    chosen = options.parse_args()
    path = BROKER_RESULTS / "broker.json"
    results: dict[str, Any] = json.loads(path.read_text()) if chosen.only and path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="bench-broker-") as home:
        for phase in chosen.only or PHASES:
            load = os.getloadavg()[0]
            results |= _run(phase, Path(home) / phase, QUICK_SIZE if chosen.quick else BenchSize())
            results.setdefault("conditions", {})[phase] = _conditions(load)
            if not chosen.quick:
                BROKER_RESULTS.mkdir(exist_ok=True)
                path.write_text(json.dumps(results, indent=2) + "\n")
                path.with_suffix(".md").write_text(as_markdown(results, OUR_BROKER))
    misses = missed_targets(results, OUR_BROKER)
    print("\n".join(misses) or "every mark is reached")
    return 1 if misses else 0


def _run(phase: str, home: Path, extent: BenchSize) -> dict[str, Any]:
    if phase == "layers":
        return {"layers": asyncio.run(measure_layers())}
    with run_emulator(home) as endpoint:
        bench_admin = BenchAdmin(endpoint)
        if phase == "cpu":
            figures, batches = measure_cpu(bench_admin, extent)
            return {"cpu": figures, "batches": batches}
        if phase == "latency":
            return {"latency": measure_latency(bench_admin, extent)}
        return {"memory": measure_memory(bench_admin, extent)}


def _conditions(load: float) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "packages": {name: version(name) for name in _PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
