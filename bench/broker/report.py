"""The results as Markdown."""

from collections.abc import Mapping
from typing import Any

from .figures import MAX_DELAY_MS, MAX_MEMORY_GROWTH_BYTES, MAX_RATIO, missed_targets


def as_markdown(results: Mapping[str, Any], ours: str) -> str:
    """One table for each phase that was run."""
    lines = [
        "# The broker, measured",
        "",
        "Written by `make bench-broker`; what it means is in ../README.md, the rest in broker.json.",
        "",
    ]
    if cpu := results.get("cpu"):
        lines += _cpu(cpu)
    if latency := results.get("latency"):
        lines += [
            "## One-way latency at idle",
            "",
            "| loop | bare, median | ours, median | paired difference, median |",
        ]
        lines += ["|---|---|---|---|"]
        lines += [
            f"| {loop} | {each['bare_median_ms']} ms | {each['ours_median_ms']} ms | "
            f"{each['median_difference_ms']} ms (mean {each['mean_difference_ms']} ± {each['standard_error_ms']}) |"
            for loop, each in latency.items()
        ]
        lines += [""]
    if memory := results.get("memory"):
        lines += [
            f"## Memory over {memory['messages']:,} messages",
            "",
            f"{memory['growth_bytes'] / 1024:.0f} KiB more in the last quarter than in the second.",
            "",
        ]
    if layers := results.get("layers"):
        lines += ["## Layers above the AWS client, without network", "", "| | CPU, us a message |", "|---|---|"]
        lines += [f"| {name} | {cost} |" for name, cost in layers.items()]
        lines += [""]
    marks = f"at most {MAX_RATIO} times the bare loop, {MAX_DELAY_MS:.0f} ms, {MAX_MEMORY_GROWTH_BYTES // 2**20} MiB"
    lines += [
        f"## Marks ({marks})",
        "",
        *(missed_targets(results, ours) or ["All that were measured are reached."]),
        "",
    ]
    lines += ["## Conditions", ""]
    for phase, each in results.get("conditions", {}).items():
        lines += [
            f"- {phase}: {each['at']}, Python {each['python']}, {each['cpus']} CPUs, "
            f"load {each['load'][0]} before and {each['load'][1]} after"
        ]
    return "\n".join(lines) + "\n"


def _cpu(cpu: Mapping[str, Any]) -> list[str]:
    lines = ["## CPU of the client process", "", "Microseconds a message, and times the bare loop (quartiles).", ""]
    for discipline, contenders in cpu.items():
        figures = (
            f"{name} {each['median']:.0f}, {each['ratio']:.2f} ({each['ratio_low']:.2f}-{each['ratio_high']:.2f})"
            for name, each in contenders.items()
        )
        lines += [f"- {discipline}: {'; '.join(figures)}."]
    return [*lines, ""]
