"""Wells for the tests: headers, and months that follow a known decline."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from services.specialists.well_data.field_data import FieldData, SourceRow, Well, WellMonth
from services.specialists.well_data.months import add_months, days_in

NEW_MEXICO, TEXAS_API = "30-015-90001", "42-329-90001"
AS_OF = date(2026, 6, 30)


def well(api: str = NEW_MEXICO, name: str = "Cutbow 1H", **facts: Any) -> Well:
    """A well that produces since 2023."""
    known: dict[str, Any] = {"basin": "Permian", "status": "producing", "first_production": date(2023, 1, 1)} | facts
    return Well(api=api, name=name, source=SourceRow("wells.csv", 2), **known)


def arps(qi: float, nominal: float, b: float) -> Callable[[float], float]:
    """The rate at a time in years. Written out here: the tests do not ask petbox-dca for the truth."""
    if b == 0:
        return lambda years: qi * math.exp(-nominal * years)
    return lambda years: qi / (1 + b * nominal * years) ** (1 / b)


def declining(
    rate: Callable[[float], float],
    count: int = 36,
    *,
    api: str = NEW_MEXICO,
    noise: float = 0.0,
    seed: int = 1,
    first: date = date(2023, 1, 1),
    down: Sequence[int] = (),
) -> tuple[WellMonth, ...]:
    """Months of a decline; those with an index in `down` are shut in."""
    chance = random.Random(seed)
    months = []
    for index in range(count):
        month = add_months(first, index)
        middle = ((month - first).days + days_in(month) / 2) / 365.25
        factor = math.exp(chance.gauss(0, noise)) if noise else 1.0
        oil = 0.0 if index in down else rate(middle) * days_in(month) * factor
        days = 0.0 if index in down else float(days_in(month))
        months.append(
            WellMonth(api, month, oil, 3 * oil, 2 * oil, days, "reported", SourceRow("production.csv", index + 2))
        )
    return tuple(months)


def field_data(*months: WellMonth, wells: Sequence[Well] = (), as_of: date | None = AS_OF, **more: Any) -> FieldData:
    """Data of one well, or of those given."""
    return FieldData(as_of, tuple(wells) or (well(),), months, **more)
