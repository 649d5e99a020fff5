"""Tables that fit a terminal of 80 columns."""

from __future__ import annotations

from rich import box
from rich.table import Table

WIDTH = 80


def demo_table(*columns: str) -> Table:
    """A table whose last column takes what is left; long cells are wrapped."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
