from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents.findings import ResultColumn
from services.specialists.text_to_sql.findings import SqlFindings, build_findings
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.rows import MAX_TEXT, Rows, safe_value
from services.specialists.text_to_sql.schema import Schema


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**53, "9007199254740992"),
        (Decimal("2.50"), "2.50"),
        (Decimal("1E+3"), "1000"),
        (38573683.850000046, "38573683.85"),
        (0.1 + 0.2, "0.3"),
        (1e-9, "0.000000001"),
        (float("inf"), "inf"),
        (date(2026, 6, 1), "2026-06-01"),
        (datetime(2026, 6, 1, 2, 3), "2026-06-01T02:03:00"),
        (time(2, 3), "02:03:00"),
        ("a\x00b", "ab"),
        ("x" * 600, "x" * (MAX_TEXT - 1) + "…"),
    ],
)
def test_warehouse_value_becomes_its_exact_json_value(value: Any, expected: Any) -> None:
    assert safe_value(value) == expected
    assert type(safe_value(value)) is type(expected)


@given(st.one_of(st.floats(), st.decimals(allow_nan=False, allow_infinity=False), st.integers(), st.text(), st.dates()))
def test_warehouse_value_is_never_a_float_and_survives_json(value: Any) -> None:
    kept = safe_value(value)
    assert not isinstance(kept, float)
    assert json.loads(json.dumps(kept)) == kept


def nested_list(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


class Unshowable:
    """A value of a driver that fails when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")


ODD_VALUES = [
    float("nan"),
    float("-inf"),
    1.7976931348623157e308,
    5e-324,
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    Decimal("1E+999999"),
    Decimal("1E-999999"),
    Decimal("9" * 38),
    Decimal("-0." + "9" * 37),
    10**38 - 1,
    10**4_000,
    10**5_000,
    date(1, 1, 1),
    date(9999, 12, 31),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-23, minutes=-59))),
    time(23, 59, 59, 999999),
    timedelta.max,
    b"\xff\x00",
    bytearray(b"x" * 10_000),
    "\x00",
    "\ud800",
    "a\udfff" * 1_000,
    "\U0010ffff" * 1_000,
    {"a": [1, {"b": float("nan")}], "c": date(2026, 1, 1), "\ud800": "\x00"},
    ["x"] * 1_000,
    nested_list(2_000),
    Unshowable(),
]
"""What Snowflake's connector returns for its types, at their ends and beyond."""


@pytest.mark.parametrize("value", ODD_VALUES, ids=[f"{type(v).__name__}-{n}" for n, v in enumerate(ODD_VALUES)])
def test_value_of_any_type_becomes_storable_findings(value: Any, schema: Schema) -> None:
    kept = safe_value(value)
    assert kept is None or isinstance(kept, str | int)
    assert len(str(kept)) <= MAX_TEXT
    columns = tuple(ResultColumn(name=name, type=name, unit="bbl") for name in ("number", "text", "date", "other"))
    rows = Rows(columns=columns, rows=((kept,) * 4,) * 2, row_count=2, truncated=False, sql="", elapsed_ms=1)
    query = GuardedQuery(sql="", tables=("WELLS",), columns=(), output=(), filters=(), ordered=False)
    findings = build_findings(query, rows, schema=schema, explanation="", role="")
    assert "\x00" not in findings.model_dump_json()
    assert SqlFindings.model_validate_json(findings.model_dump_json()) == findings


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.decimals() | st.integers() | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_variant_of_any_shape_becomes_a_short_text(value: Any) -> None:
    kept = safe_value(value)
    assert len(str(kept).encode()) <= 4 * MAX_TEXT
