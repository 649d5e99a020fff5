"""The figures of the bench, from its rounds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

REFERENCE = "saver"
"""LangGraph with its saver and an audit row per node: what a case costs elsewhere with comparable records."""
OURS_NAME = "switchyard"


def summarize(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Medians of each contender, and of its ratio to LangGraph with its saver within a round."""
    cpu = {name: [sum(each["cpu_ms"].values()) for each in found] for name, found in rounds.items()}
    pace = {name: [1 / each["seconds"] for each in found] for name, found in rounds.items()}
    return {
        name: {
            "cpu_ms": median(cpu[name]),
            "cpu_ratio": median(mine / other for mine, other in zip(cpu[name], cpu[REFERENCE], strict=True)),
            "pace_ratio": median(mine / other for mine, other in zip(pace[name], pace[REFERENCE], strict=True)),
            "seconds": median(each["seconds"] for each in found),
            "cpu_ms_by_process": _medians(found, "cpu_ms"),
            "shared_cpu_ms": _medians(found, "shared_cpu_ms"),
        }
        for name, found in rounds.items()
    }


def _medians(found: Sequence[Mapping[str, Any]], what: str) -> dict[str, float]:
    return {name: median(each[what][name] for each in found) for name in found[0][what]}
