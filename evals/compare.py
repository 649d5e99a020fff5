"""Whether two results are the same answer.

Rows are compared as multisets, and in order only if the gold query orders. Columns are matched by content, since their
names and order are a matter of taste; columns beyond the gold's are allowed, rows are not. Numbers may differ in the
sixth significant digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import product

ResultValue = str | int | bool | None
ResultRow = Sequence[ResultValue]

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-6


def same_result(gold: Sequence[ResultRow], found: Sequence[ResultRow], *, ordered: bool) -> bool:
    """Whether `found` holds the gold's rows."""
    if not gold or len(gold) != len(found):
        return len(gold) == len(found)

    def equal_columns(column: int) -> list[int]:
        wanted = _columns(gold, [column])
        return [other for other in range(len(found[0])) if _agree(wanted, _columns(found, [other]), ordered)]

    # Every way to take a column of `found` for each of the gold's, by content.
    choices = product(*map(equal_columns, range(len(gold[0]))))
    return any(
        len(set(columns)) == len(columns) and _agree(gold, _columns(found, columns), ordered) for columns in choices
    )


def same_value(left: ResultValue, right: ResultValue) -> bool:
    """Whether two values are equal, numbers within the tolerance."""
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    # In Python, True == 1.
    return left == right and isinstance(left, bool) is isinstance(right, bool)


def _columns(rows: Sequence[ResultRow], columns: Sequence[int]) -> list[ResultRow]:
    return [[row[column] for column in columns] for row in rows]


def _agree(left: Sequence[ResultRow], right: Sequence[ResultRow], ordered: bool) -> bool:
    if ordered:
        return all(map(_same_row, left, right))
    rest = list(right)
    for row in left:
        # Comparing each with each, because sorting would part values that differ within the tolerance.
        place = next((index for index, other in enumerate(rest) if _same_row(row, other)), None)
        if place is None:
            return False
        rest.pop(place)
    return True


def _same_row(left: ResultRow, right: ResultRow) -> bool:
    return all(map(same_value, left, right))


def _number(value: ResultValue) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(Decimal(value))
    except (InvalidOperation, ValueError):
        return None
