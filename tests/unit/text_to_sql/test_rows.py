from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.specialists.text_to_sql.rows import MAX_TEXT, safe_value


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
def test_values_become_what_json_carries_exactly(value: Any, expected: Any) -> None:
    assert safe_value(value) == expected
    assert type(safe_value(value)) is type(expected)


@given(st.one_of(st.floats(), st.decimals(allow_nan=False, allow_infinity=False), st.integers(), st.text(), st.dates()))
def test_no_value_is_a_float_or_loses_its_meaning_in_json(value: Any) -> None:
    kept = safe_value(value)
    assert not isinstance(kept, float)
    assert json.loads(json.dumps(kept)) == kept
