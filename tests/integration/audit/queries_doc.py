"""docs/audit/queries.md: its queries, its outputs, and what the database answers, as psql would print it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

DOC = Path(__file__).resolve().parents[3] / "docs" / "audit" / "queries.md"
_BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """A query of the page and the output that the page shows."""

    sql: str
    output: str

    @property
    def of_one_case(self) -> bool:
        """Whether it narrows to one case."""
        return "case_id = '" in self.sql


def questions(text: str) -> list[Question]:
    """Every query of the page, in order."""
    return [Question(found["sql"].strip().removesuffix(";"), found["output"]) for found in _BLOCK.finditer(text)]


def rewrite(text: str, answer: Callable[[str], str]) -> str:
    """The page with every output replaced by the answer to its query."""

    def block(found: re.Match[str]) -> str:
        return f"```sql\n{found['sql']}```\n\n```text\n{answer(found['sql'].strip().removesuffix(';'))}```"

    return _BLOCK.sub(block, text)


def table(columns: Sequence[str], rows: Sequence[asyncpg.Record]) -> str:
    """As psql prints it with `\\pset border 0`: numbers to the right, nulls empty."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)]
    right = [
        any(row[index] is not None for row in rows)
        and all(isinstance(row[index], int | None) and not isinstance(row[index], bool) for row in rows)
        for index in range(len(columns))
    ]

    def line(values: Sequence[str]) -> str:
        places = zip(values, widths, right, strict=True)
        return "  ".join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in places)

    lines = [line(columns), "  ".join("-" * width for width in widths), *map(line, cells)]
    count = f"({len(rows)} row{'' if len(rows) == 1 else 's'})"
    return "\n".join(text.rstrip() for text in [*lines, count]) + "\n"


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "t" if value else "f"
        case date():
            return value.isoformat()
        case list():
            return "{" + ",".join(map(str, value)) + "}"
        case _:
            return str(value)
