"""Months: the calendar, and which of them are not complete yet."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from services.specialists.well_data.field_data import WellMonth
from services.specialists.well_data.well_numbers import TEXAS

PROVISIONAL_MONTHS = 1
PROVISIONAL_MONTHS_TEXAS = 3
"""The last months before the data's end that operators still complete; Texas gets corrections for months."""


def days_in(month: date) -> int:
    """Days of a calendar month."""
    return calendar.monthrange(month.year, month.month)[1]


def add_months(month: date, count: int) -> date:
    """The first day of a month so many months later."""
    index = month.year * 12 + month.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def months_between(first: date, last: date) -> int:
    """Calendar months from one month to another."""
    return (last.year - first.year) * 12 + last.month - first.month


def format_months(months: Iterable[date]) -> str:
    """`2026-01` or `2025-01 to 2026-06`."""
    known = sorted(set(months))
    if not known:
        return ""
    first, last = (f"{month:%Y-%m}" for month in (known[0], known[-1]))
    return first if first == last else f"{first} to {last}"


def first_provisional(api: str, as_of: date | None) -> date | None:
    """The first month of a well whose figures are still being completed; None if the data's end is unknown."""
    if as_of is None:
        return None
    ends = date(as_of.year, as_of.month, 1) if as_of.day == 1 else add_months(as_of.replace(day=1), 1)
    return add_months(ends, -(PROVISIONAL_MONTHS_TEXAS if api.startswith(TEXAS) else PROVISIONAL_MONTHS))


def describe_limits(months: Sequence[WellMonth], as_of: date | None) -> list[str]:
    """What must be said with any figure from these months: allocation and provisional months."""
    notes = []
    used = {month.api for month in months}
    allocated = {month.api for month in months if month.basis == "allocated"}
    if allocated:
        notes.append(
            f"{len(allocated)} of {len(used)} wells have allocated, not measured, volumes: Texas reports oil by lease"
        )
    provisional = sorted(
        {
            month.month
            for month in months
            if (first := first_provisional(month.api, as_of)) is not None and month.month >= first
        }
    )
    if provisional:
        notes.append(f"{format_months(provisional)} may be incomplete for some wells: late reports raise it later")
    if as_of is None:
        notes.append("the day up to which the data are complete is not known")
    return notes


def last_day(month: date) -> date:
    """The last day of a month."""
    return add_months(month, 1) - timedelta(days=1)
