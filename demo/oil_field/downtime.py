"""When wells stood still, why, and what it cost."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

from demo.oil_field.period import FIRST_MONTH, PERIOD_END, months_between, next_month, random_source
from demo.oil_field.wells import Well

MEAN_DAYS_BETWEEN_EVENTS = 260
"""Mean days from the end of one event to the start of the next."""

DOWNTIME_HOURS_BY_CAUSE = {
    "lift_failure": (24, 260),
    "compressor_outage": (6, 72),
    "power_outage": (3, 36),
    "offset_frac": (96, 500),
    "weather": (12, 96),
    "workover": (48, 340),
    "gathering_limit": (12, 120),
}
"""Shortest and longest event by cause."""

LONG_TERM_SHUT_IN = "long_term_shut_in"
_SUMMER = (34, 14, 12, 6, 3, 12, 10)
_WINTER = (34, 14, 14, 6, 30, 8, 10)


@dataclass(frozen=True, slots=True)
class Downtime:
    """One event. Times are whole hours, UTC."""

    id: str
    well: Well
    started: datetime
    ended: datetime
    cause: str
    deferred_oil: float

    @property
    def hours(self) -> int:
        """How long it lasted."""
        return _hours(self.started, self.ended)

    def hours_in(self, month: date) -> int:
        """How many of its hours fall into the month."""
        start, end = _midnight(month), _midnight(next_month(month))
        return max(_hours(max(self.started, start), min(self.ended, end)), 0)


def make_downtime(seed: int, wells: list[Well]) -> list[Downtime]:
    """Events of all wells, well by well in order of time; those of one well never overlap."""
    found = [
        (well, well.first_production, *event)
        for well in wells
        if well.first_production
        for event in _events(seed, well, well.first_production)
    ]
    return [
        Downtime(f"DT-{number:06d}", well, started, ended, cause, _deferred(well, first, started, ended))
        for number, (well, first, started, ended, cause) in enumerate(found, 1)
    ]


def days_on(month: date, events: list[Downtime]) -> float:
    """Days on production in a month, given the well's events."""
    days = calendar.monthrange(month.year, month.month)[1]
    return round(days - sum(event.hours_in(month) for event in events) / 24, 2)


def _events(seed: int, well: Well, first: date) -> Iterator[tuple[datetime, datetime, str]]:
    rng = random_source(seed, "downtime", well.api_number)
    end = _midnight(well.stopped) if well.stopped else PERIOD_END
    now = _midnight(max(first, FIRST_MONTH))
    while (now := now + timedelta(hours=1 + int(rng.expovariate(1 / (24 * MEAN_DAYS_BETWEEN_EVENTS))))) < end:
        cause = _cause(rng, now)
        started, now = now, min(now + timedelta(hours=_duration(rng, cause)), end)
        yield started, now, cause
        now += timedelta(hours=24)
    if well.status == "shut_in" and well.stopped:
        yield _midnight(well.stopped), PERIOD_END, LONG_TERM_SHUT_IN


def _cause(rng: Random, at: datetime) -> str:
    return rng.choices(list(DOWNTIME_HOURS_BY_CAUSE), _WINTER if at.month in {12, 1, 2} else _SUMMER)[0]


def _duration(rng: Random, cause: str) -> int:
    shortest, longest = DOWNTIME_HOURS_BY_CAUSE[cause]
    # Most events are near the short end.
    return int(shortest + (longest - shortest) * rng.random() ** 2)


def _deferred(well: Well, first: date, started: datetime, ended: datetime) -> float:
    months_on = months_between(first, date(started.year, started.month, 1)) + 0.5
    return round(well.decline.rate(months_on) * _hours(started, ended) / 24, 2)


def _hours(started: datetime, ended: datetime) -> int:
    return int((ended - started).total_seconds()) // 3600


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())
