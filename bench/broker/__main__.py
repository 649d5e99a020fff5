"""`python -m bench.broker`: measure, write results/broker.json and broker.md, and fail if a target is missed."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BROKER_RESULTS = Path(__file__).parents[1] / "results" / "broker.json"
_PACKAGES = ("aiobotocore", "botocore", "faststream", "uvloop", "taskiq-aio-sqs", "dramatiq-sqs", "ministack")


def main() -> int:
    """Run all phases."""
    # Imported here: the contenders' processes import this module again, and their memory is measured.
    from .contenders import OUR_BROKER
    from .disciplines import QUICK_SIZE, BenchSize, measure_cpu, measure_latency, measure_memory
    from .emulator import BenchAdmin, run_emulator
    from .figures import missed_targets
    from .layers import measure_layers

    # As an interrupt does, so that the emulator is stopped when this is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = argparse.ArgumentParser(prog="python -m bench.broker", description=__doc__)
    options.add_argument("--quick", action="store_true", help="few repeats, for trying it out; writes no results")
    quick = options.parse_args().quick
    size = QUICK_SIZE if quick else BenchSize()
    layers = {name: min(costs) for name, costs in asyncio.run(measure_layers()).items()}
    results: dict[str, Any] = {"layers": layers, "conditions": _conditions()}
    with TemporaryDirectory(prefix="bench-broker-") as home:
        for phase, measure in (("cpu", measure_cpu), ("latency", measure_latency), ("memory", measure_memory)):
            with run_emulator(Path(home)) as endpoint:
                results[phase] = measure(BenchAdmin(endpoint), size)
    results["cpu"], results["batches"] = results["cpu"]
    results["conditions"]["load after"] = round(os.getloadavg()[0], 1)
    misses = missed_targets(results, OUR_BROKER)
    if not quick:
        BROKER_RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        BROKER_RESULTS.with_suffix(".md").write_text(_as_markdown(results, misses))
    print("\n".join(misses) or "every target is met")
    return 1 if misses else 0


def _conditions() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "Python": platform.python_version(),
        "CPUs": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 1),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _as_markdown(results: dict[str, Any], misses: list[str]) -> str:
    lines = [
        "# The broker, measured",
        "",
        "Written by `make bench-broker`; its meaning is in ../README.md, the rest in",
    ]
    lines += ["broker.json.", "", "## CPU of the client process", ""]
    lines += ["Microseconds per message, and times the bare loop (quartiles).", ""]
    for discipline, contenders in results["cpu"].items():
        figures = (
            f"{name} {each['median']:.0f}, {each['ratio']:.2f} ({each['ratio_low']:.2f}-{each['ratio_high']:.2f})"
            for name, each in contenders.items()
        )
        lines += [f"- {discipline}: {'; '.join(figures)}."]
    lines += ["", "## One-way latency at idle", "", "Median and mean are of paired differences.", ""]
    lines += [
        f"- {loop}: bare {each['bare_median_ms']} ms, ours {each['ours_median_ms']} ms; median "
        f"{each['median_difference_ms']} ms, mean {each['mean_difference_ms']} ± {each['standard_error_ms']} ms."
        for loop, each in results["latency"].items()
    ]
    memory = results["memory"]
    lines += ["", f"## Memory over {memory['messages']:,} messages", ""]
    lines += [f"{memory['growth_bytes'] / 1024:.0f} KiB more in the last quarter than in the second.", ""]
    lines += ["## Layers above the AWS client, without network", "", "Microseconds of CPU per message.", ""]
    lines += [f"- {name}: {cost}" for name, cost in results["layers"].items()]
    lines += ["", "## Missed targets", "", *(misses or ["None."]), "", "## Conditions", ""]
    lines += [f"- {name}: {value}" for name, value in results["conditions"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
