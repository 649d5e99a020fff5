"""Rows of a query as values for an event: no floats, dates as text."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.documents.findings import CellValue, ResultColumn
from switchyard.protocol.canonical import MAX_SAFE_INTEGER

SIGNIFICANT_DIGITS = 14
MAX_TEXT = 500
MAX_EXPONENT = 400
TYPE_NAMES = {
    "FIXED": "number", "REAL": "number", "DECFLOAT": "number", "TEXT": "text", "DATE": "date", "TIME": "time",
    "BOOLEAN": "boolean", "TIMESTAMP": "timestamp", "TIMESTAMP_NTZ": "timestamp", "TIMESTAMP_LTZ": "timestamp",
    "TIMESTAMP_TZ": "timestamp",
}  # fmt: skip
"""Our names for the types in snowflake.connector.constants.FIELD_TYPES."""


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
    size: int = 0
    """Bytes of the values."""


def safe_value(value: Any) -> CellValue:
    """A value that JSON represents exactly; text over 500 characters is cut and marked. Never raises."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= MAX_SAFE_INTEGER:
        return int(value)
    try:
        text = _text(value)
    except Exception:  # noqa: BLE001 - a class of the connector's, or of a driver below it, may fail to show itself
        return "(a value that cannot be shown)"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _text(value: Any) -> str:
    match value:
        case float():
            return _number(value)
        case Decimal():
            # Written out, a number with a large exponent would be as long as its value.
            short = value.is_finite() and abs(value.adjusted()) <= MAX_EXPONENT
            return f"{value:f}" if short else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value[:MAX_TEXT]).hex()
        case dict() | list() | tuple():
            return clean_text(json.dumps(value, default=str, ensure_ascii=False))
        case _:
            return clean_text(str(value))


def clean_text(text: str) -> str:
    """Text that UTF-8 and PostgreSQL hold: without NUL, and without halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    # A sum of binary fractions is exact to about fifteen digits; more digits would be noise.
    return f"{Decimal(f'{value:.{SIGNIFICANT_DIGITS}g}').normalize():f}"
