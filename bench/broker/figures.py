"""Figures from samples, and the targets they must meet. Pure."""

from collections.abc import Mapping, Sequence
from statistics import mean, median, quantiles, stdev
from typing import Any

MAX_RATIO = 1.3
"""CPU per message, at most so many times that of the bare loop in tens."""

MAX_DELAY_MS = 10.0
"""One-way latency at idle, at most so much more than the bare loop's."""

MAX_MEMORY_GROWTH_BYTES = 4 * 1024 * 1024
"""Resident bytes that may be added between the second and the last quarter of the memory run."""


def compare_contenders(samples: Mapping[str, Sequence[float]], yardstick: str) -> dict[str, dict[str, float]]:
    """Each contender's median, and the quartiles of its ratios to the yardstick, round by round.

    The samples of one round have the same index in each sequence.
    """
    figures = {}
    for name, values in samples.items():
        ratios = [value / base for value, base in zip(values, samples[yardstick], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        found = {"median": median(values), "ratio": middle, "ratio_low": low, "ratio_high": high}
        figures[name] = {figure: round(value, 3) for figure, value in found.items()}
    return figures


def delivery_delay(ours: Sequence[float], bare: Sequence[float]) -> dict[str, float]:
    """The delay of ours, in milliseconds: median and mean of paired differences, and the standard error."""
    differences = [a - b for a, b in zip(ours, bare, strict=True)]
    return {
        "median_difference_ms": round(median(differences), 2),
        "mean_difference_ms": round(mean(differences), 2),
        "standard_error_ms": round(stdev(differences) / len(differences) ** 0.5, 2),
        "bare_median_ms": round(median(bare), 2),
        "ours_median_ms": round(median(ours), 2),
        "pairs": len(differences),
    }


def memory_growth(resident: Sequence[int]) -> int:
    """The median of the last quarter minus that of the second, in bytes."""
    quarter = len(resident) // 4
    if not quarter:
        raise ValueError("too few samples for quarters: at least 4 are needed")
    return round(median(resident[-quarter:]) - median(resident[quarter : 2 * quarter]))


def missed_targets(results: Mapping[str, Any], ours: str) -> list[str]:
    """The missed targets, one line each; only measured phases are judged."""
    misses = []
    for discipline, per_contender in results.get("cpu", {}).items():
        ratio = per_contender[ours]["ratio"]
        if ratio > MAX_RATIO:
            misses.append(f"{discipline}: {ratio} times the bare loop's CPU, more than {MAX_RATIO}")
    for loop, latency in results.get("latency", {}).items():
        if latency["median_difference_ms"] > MAX_DELAY_MS:
            misses.append(f"latency on {loop}: {latency['median_difference_ms']} ms more, over {MAX_DELAY_MS}")
    if (memory := results.get("memory")) and memory["growth_bytes"] > MAX_MEMORY_GROWTH_BYTES:
        misses.append(
            f"memory: {memory['growth_bytes']} bytes more in the last quarter, over {MAX_MEMORY_GROWTH_BYTES}"
        )
    return misses
