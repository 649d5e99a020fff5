"""Monthly volumes: the decline's rate over the days that the well was on, with noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from demo.oil_field.downtime import Downtime, days_on
from demo.oil_field.period import months, months_between, random_source
from demo.oil_field.wells import Well

VOLUME_NOISE = 0.05
"""Standard deviation of the logarithm of a month's volume."""


@dataclass(frozen=True, slots=True)
class MonthlyProduction:
    """What one well made in one month."""

    well: Well
    month: date
    oil: float
    gas: float
    water: float
    days: float


def make_production(seed: int, wells: list[Well], downtime: list[Downtime]) -> list[MonthlyProduction]:
    """All wells' months, well by well."""
    by_well: dict[str, list[Downtime]] = {}
    for event in downtime:
        by_well.setdefault(event.well.api_number, []).append(event)
    return [row for well in wells for row in _rows(seed, well, by_well.get(well.api_number, []))]


def _rows(seed: int, well: Well, events: list[Downtime]) -> Iterator[MonthlyProduction]:
    if well.first_production is None:
        return
    rng = random_source(seed, "production", well.api_number)
    plugged = well.stopped if well.status == "plugged" else None
    for month in months():
        noise = [math.exp(rng.gauss(0, VOLUME_NOISE)) for _ in range(3)]
        if month < well.first_production or (plugged and month >= plugged):
            continue
        months_on = months_between(well.first_production, month) + 0.5
        days = days_on(month, [event for event in events if event.hours_in(month)])
        oil = well.decline.rate(months_on) * days * noise[0]
        # Gas and water rise against oil as the reservoir empties.
        gas = oil * well.area.gas_oil_ratio * (1 + 0.006 * months_on) * noise[1]
        water = oil * well.area.water_oil_ratio * (1 + 0.004 * months_on) * noise[2]
        yield MonthlyProduction(well, month, round(oil, 2), round(gas, 2), round(water, 2), days)
