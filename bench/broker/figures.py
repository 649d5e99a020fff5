"""From samples to figures, and from figures to a verdict: pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median, quantiles
from typing import Any

MAX_RATIO = 1.3
"""CPU per message, at most so many times that of the bare loop in tens."""

MAX_DELAY_MS = 10.0
"""One-way latency at idle, at most so much more than the bare loop's."""

MAX_MEMORY_GROWTH_BYTES = 4 * 1024 * 1024
"""Resident bytes that may be added between the second and the last quarter of the memory run."""


@dataclass(frozen=True, slots=True)
class CostFigure:
    """One contender in one discipline. CPU in microseconds per message.

    Attributes:
        median: of all rounds.
        low: the first quartile.
        high: the third quartile.
        ratio: the median of its ratios to the yardstick, round by round.
        ratio_low: the first quartile of these ratios.
        ratio_high: the third quartile.
    """

    median: float
    low: float
    high: float
    ratio: float
    ratio_low: float
    ratio_high: float

    def as_json(self) -> dict[str, float]:
        """All of it, rounded to what means something."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def compare_contenders(samples: Mapping[str, Sequence[float]], yardstick: str) -> dict[str, CostFigure]:
    """The figures of all contenders; the samples of one round stand at the same place in each sequence."""
    figures = {}
    for name, values in samples.items():
        ratios = [value / base for value, base in zip(values, samples[yardstick], strict=True)]
        low, _, high = quantiles(values, n=4)
        ratio_low, _, ratio_high = quantiles(ratios, n=4)
        figures[name] = CostFigure(median(values), low, high, median(ratios), ratio_low, ratio_high)
    return figures


def delivery_delay(ours: Sequence[float], bare: Sequence[float]) -> dict[str, float]:
    """How much later ours arrives, in milliseconds: the median and the mean of paired differences, and its error."""
    differences = [a - b for a, b in zip(ours, bare, strict=True)]
    centre = mean(differences)
    spread = (sum((each - centre) ** 2 for each in differences) / (len(differences) - 1)) ** 0.5
    return {
        "median_difference_ms": round(median(differences), 2),
        "mean_difference_ms": round(centre, 2),
        "standard_error_ms": round(spread / len(differences) ** 0.5, 2),
        "bare_median_ms": round(median(bare), 2),
        "ours_median_ms": round(median(ours), 2),
        "pairs": len(differences),
    }


def memory_growth(resident: Sequence[int]) -> int:
    """Bytes that the median of the last quarter lies above that of the second."""
    quarter = len(resident) // 4
    if not quarter:
        raise ValueError("too few samples for quarters: at least 4 are needed")
    return round(median(resident[-quarter:]) - median(resident[quarter : 2 * quarter]))


def missed_targets(results: Mapping[str, Any], ours: str) -> list[str]:
    """What misses its mark, a line each; only what was measured is judged."""
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
