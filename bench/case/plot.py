"""`python -m bench.case.plot case.json case.svg`: CPU per case by process, stacked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import pyplot


def draw(data: Path, image: Path) -> None:
    """Draw the figures of a run."""
    summary = json.loads(data.read_text(encoding="utf-8"))["summary"]
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    names = list(summary)
    parts = sorted(
        {part for each in summary.values() for part in each["cpu_ms_by_process"]},
        key=lambda part: -max(each["cpu_ms_by_process"].get(part, 0) for each in summary.values()),
    )
    left = [0.0] * len(names)
    for part in parts:
        widths = [summary[name]["cpu_ms_by_process"].get(part, 0.0) for name in names]
        axes.barh(names, widths, left=left, label=part)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("CPU per answered case, ms (median of the rounds)")
    axes.legend(fontsize="x-small", ncols=2)
    figure.savefig(image, metadata={"Date": None})


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:3]))
