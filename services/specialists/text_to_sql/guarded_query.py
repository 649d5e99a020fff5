"""What the guard answers, without the parser: the agent's process imports this, and only the guard's process parses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the result, with its unit of measure if the schema determines one."""

    name: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class GuardedQuery:
    """A query that may run, and the tables and columns that it reads."""

    sql: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    """TABLE.COLUMN, sorted."""
    output: tuple[OutputColumn, ...]
    filters: tuple[str, ...]
    """The conditions of the outermost query, as SQL."""
    ordered: bool
