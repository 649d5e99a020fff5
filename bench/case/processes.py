"""CPU and memory of processes, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, those of the children that it has waited for included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def memory_mb(pid: int) -> float:
    """The proportional set size of a process, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def tree_cpu_s(pid: int) -> float:
    """`cpu_s` of a process and its descendants."""
    return sum(map(cpu_s, tree(pid)))


def tree_memory_mb(pid: int) -> float:
    """`memory_mb` of a process and its descendants."""
    return sum(map(memory_mb, tree(pid)))
