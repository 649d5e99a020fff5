"""Rows of a query as values for an event: no floats, dates as text."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from switchyard.protocol.canonical import MAX_SAFE_INTEGER

CellValue = str | int | bool | None
SIGNIFICANT_DIGITS = 14
MAX_TEXT = 500
TYPE_NAMES = {
    "FIXED": "number", "REAL": "number", "DECFLOAT": "number", "TEXT": "text", "DATE": "date", "TIME": "time",
    "BOOLEAN": "boolean", "TIMESTAMP": "timestamp", "TIMESTAMP_NTZ": "timestamp", "TIMESTAMP_LTZ": "timestamp",
    "TIMESTAMP_TZ": "timestamp",
}  # fmt: skip
"""Our names for the types in snowflake.connector.constants.FIELD_TYPES."""


class ResultColumn(BaseModel):
    """A column of a result."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str
    unit: str | None = None


class Rows(BaseModel):
    """A result. Whole numbers are ints, other numbers and all dates are strings."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[ResultColumn, ...]
    rows: tuple[tuple[CellValue, ...], ...]
    row_count: int
    truncated: bool
    """Whether the result has more rows."""
    sql: str
    """The query that ran."""
    elapsed_ms: int


def safe_value(value: Any) -> CellValue:
    """A value that JSON represents exactly; text over 500 characters is cut and marked."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) <= MAX_SAFE_INTEGER else str(value)
        case float():
            return _number(value)
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            text = str(value).replace("\x00", "")
            return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    # A sum of binary fractions is exact to about fifteen digits; more digits would be noise.
    return f"{Decimal(f'{value:.{SIGNIFICANT_DIGITS}g}').normalize():f}"
