"""Gas-oil ratio, water cut and water-oil ratio: trend, and the months where the level breaks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from services.specialists.well_data.chart import Series, draw_lines
from services.specialists.well_data.field_data import FieldData, WellMonth
from services.specialists.well_data.months import describe_limits, first_provisional, format_months, months_between
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import MonthText, ToolArguments, check_period, month_of, select_one

Ratio = Literal["gor", "water_cut", "wor"]
RATIO_UNITS: dict[Ratio, str] = {"gor": "scf/bbl", "water_cut": "fraction", "wor": "bbl/bbl"}
MIN_RATIO_MONTHS = 12
MIN_SEGMENT = 6
"""Months between two breaks."""
PENALTY = 6.0
"""In units of variance times ln n: twice that of the BIC for a line and its place, as months are correlated."""


class RatioArguments(ToolArguments):
    """A ratio of one well by month."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name or API number.")
    ratio: Ratio
    first_month: MonthText | None = None
    last_month: MonthText | None = None


def compute_ratio_trend(data: FieldData, given: RatioArguments) -> ToolResult:
    """First and last year's level, change per year, breakpoints. Raises `NotComputable`."""
    check_period(given.first_month, given.last_month)
    well = select_one(data.wells, given.well)
    first, last = month_of(given.first_month), month_of(given.last_month)
    months = [
        month
        for month in data.months_by_well().get(well.api, [])
        if (first is None or month.month >= first) and (last is None or month.month <= last)
    ]
    open_from = first_provisional(well.api, data.as_of)
    pairs = [
        (month, ratio)
        for month in months
        if (open_from is None or month.month < open_from) and (ratio := ratio_of(month, given.ratio)) is not None
    ]
    if len(pairs) < MIN_RATIO_MONTHS:
        message = (
            f"{well.label} has {len(pairs)} complete months with a {given.ratio}: a trend needs {MIN_RATIO_MONTHS}"
        )
        raise NotComputable("too_few_months", message)
    used, values = [month for month, _ in pairs], [ratio for _, ratio in pairs]
    unit, of = RATIO_UNITS[given.ratio], well.label
    name = {"gor": "GOR", "water_cut": "water cut", "wor": "WOR"}[given.ratio]
    period, sources = format_months(month.month for month in used), [month.source for month in used]
    result = ToolResult(f"{name} of {of}, {period}")
    result.add(f"first {name}", of, values[0], unit, f"{used[0].month:%Y-%m}", sources[:1], digits=4)
    result.add(f"last {name}", of, values[-1], unit, f"{used[-1].month:%Y-%m}", sources[-1:], digits=4)
    at = [months_between(used[0].month, month.month) for month in used]
    result.add(f"trend of {name}", of, 12 * _slope(at, values), f"{unit} a year", period, sources, digits=4)
    breaks = find_breaks(values)
    result.add(f"breaks of {name}, count", of, len(breaks), "", period, sources)
    edges = [0, *breaks, len(values)]
    for start, end in pairwise(edges):
        part = used[start:end]
        level = sum(values[start:end]) / (end - start)
        name_of_part = f"{name} between breaks, mean"
        result.add(
            name_of_part, of, level, unit, format_months(month.month for month in part), sources[start:end], digits=4
        )
    left_out = len(months) - len(pairs)
    if left_out:
        result.not_known.append(
            f"{left_out} months have no {name}: no production, a stream not reported, or incomplete"
        )
    result.not_known.append("a break says when the level changed, not why")
    result.not_known += describe_limits(used, data.as_of)
    ticks = {months_between(used[0].month, month.month): f"{month.month:%Y-%m}" for month in used}
    levels = [
        Series(
            "mean between breaks" if n == 0 else "",
            tuple((float(at[i]), sum(values[s:e]) / (e - s)) for i in (s, e - 1)),
        )
        for n, (s, e) in enumerate(pairwise(edges))
    ]
    dots = Series(name, tuple((float(x), y) for x, y in zip(at, values, strict=True)), dots=True)
    result.chart = draw_lines(result.lead, "month", f"{name}, {unit}", [dots, *levels], ticks=ticks)
    return result


def ratio_of(month: WellMonth, ratio: Ratio) -> float | None:
    """The ratio of a month; None where the streams do not give one."""
    oil, gas, water = month.oil, month.gas, month.water
    if ratio == "gor":
        return 1_000 * gas / oil if gas is not None and oil else None
    if oil is None or water is None or oil + water <= 0:
        return None
    if ratio == "water_cut":
        return water / (oil + water)
    return water / oil if oil else None


def find_breaks(values: list[float]) -> list[int]:
    """Where one straight line ends and another begins: indexes of the first month of each new line."""
    import numpy as np
    import ruptures

    signal = np.array(values)
    # Second differences hold the noise and neither level nor slope; the median passes over the breaks themselves.
    second = np.diff(signal, 2)
    scale = float(np.median(np.abs(second))) * 1.4826 / math.sqrt(6)
    if scale <= 0:
        scale = float(np.std(second)) / math.sqrt(6)
    if scale <= 0:
        return []
    months = np.arange(len(signal)) / len(signal)
    lines = np.column_stack([signal / scale, months, np.ones(len(signal))])
    found: Any = ruptures.Pelt(model="linear", min_size=MIN_SEGMENT, jump=1).fit(lines)
    return [int(each) for each in found.predict(pen=PENALTY * math.log(len(values)))[:-1]]


def _slope(xs: list[int], ys: list[float]) -> float:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
