"""The days that the data covers, and random choice that a change elsewhere does not disturb."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from random import Random

FIRST_MONTH = date(2023, 1, 1)
PERIOD_END = datetime(2026, 7, 1)
"""Without a zone, as the warehouse's TIMESTAMP_NTZ is; its column comments say UTC."""

LAST_DAY = date(2026, 6, 30)


def months() -> Iterator[date]:
    """First days of all months of the data."""
    month = FIRST_MONTH
    while month < PERIOD_END.date():
        yield month
        month = next_month(month)


def next_month(month: date) -> date:
    """First day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def add_months(month: date, count: int) -> date:
    """First day of the month that is `count` months later, or earlier if negative."""
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def months_between(earlier: date, later: date) -> int:
    """Months from one first day to another."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def random_source(seed: int, *purpose: str) -> Random:
    """Random numbers for one purpose: more wells or a new table leave every other value as it was."""
    return Random(":".join((str(seed), *purpose)))  # noqa: S311 - synthetic data, not a secret
