"""The picture: how long the slowest one in a hundred waited, and how many deadlines were met."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.failover.report import ScenarioOutcome
from bench.failover.virtual import OUR_CONTENDER, OURS_WITHOUT_SNAPSHOT

_MARKS = {
    "primary only": "s",
    "fixed 2 s": "^",
    "pydantic-ai FallbackModel": "v",
    OUR_CONTENDER: "o",
    OURS_WITHOUT_SNAPSHOT: ".",
}


def draw_plot(outcomes: Sequence[ScenarioOutcome], path: Path) -> None:
    """Write the plot of the virtual-time replay as SVG."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "failover"
    from matplotlib import pyplot as plt

    figure, (latency, deadlines) = plt.subplots(1, 2, figsize=(12, 5.5), sharey=True, layout="constrained")
    rows = range(len(outcomes))
    latency.barh(
        rows, [o.allowed_p99_ms for o in outcomes], color="#e8f0e8", label="allowed: 1.25 * oracle + detection"
    )
    latency.plot([o.oracle.p99_ms for o in outcomes], rows, "k|", markersize=16, label="oracle")
    for name, mark in _MARKS.items():
        found = [(row, o.contenders[name]) for row, o in zip(rows, outcomes, strict=True) if name in o.contenders]
        at = [row for row, _ in found]
        latency.plot([each.p99_ms for _, each in found], at, mark, label=name)
        deadlines.plot([each.deadlines_met for _, each in found], at, mark, label=name)
    latency.set_xscale("log")
    latency.set_xlabel("P99 latency in ms (60,000: no answer)")
    latency.set_yticks(list(rows), [o.scenario for o in outcomes])
    latency.invert_yaxis()
    deadlines.set_xlabel("deadlines met in %")
    figure.legend(*latency.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
