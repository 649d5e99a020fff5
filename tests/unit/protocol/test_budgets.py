"""A spending limit has one form in which it is signed, and a wrong one is refused with what to write."""

from __future__ import annotations

import pytest

from switchyard.protocol.budgets import MoneyLimit, parse_dollars
from switchyard.protocol.errors import InvalidEvent


@pytest.mark.parametrize("limit", [MoneyLimit("a/b", "day", 50_000_001), MoneyLimit("every-tenant", "case", None)])
def test_limit_is_read_from_its_target(limit: MoneyLimit) -> None:
    assert MoneyLimit.from_target(limit.target) == limit


@pytest.mark.parametrize(("text", "micros"), [("50", 50_000_000), ("0.25", 250_000), ("0", 0), ("none", None)])
def test_amount_in_dollars_is_exact(text: str, micros: int | None) -> None:
    assert parse_dollars(text) == micros


@pytest.mark.parametrize("text", ["", "-1", "1e3", "NaN", "1.0000001", "1,50", "$5", "\u0665", "9999999999", "1 "])
def test_amount_that_is_none_names_the_form(text: str) -> None:
    with pytest.raises(InvalidEvent, match="at most six decimals") as problem:
        parse_dollars(text)
    assert problem.value.remedy


@pytest.mark.parametrize(
    "target", ["harbor/day/50", "harbor/week/1.000000", "/day/1.000000", "bad tenant/day/none", ""]
)
def test_target_in_another_form_is_refused(target: str) -> None:
    with pytest.raises(InvalidEvent):
        MoneyLimit.from_target(target)
