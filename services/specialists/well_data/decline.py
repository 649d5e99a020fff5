"""Decline fit and 30-year EUR, and the months after a fit against its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from services.specialists.well_data.chart import Band, Series, draw_lines
from services.specialists.well_data.decline_data import (
    DAYS_PER_YEAR,
    RESAMPLES,
    TERMINAL_DECLINE,
    DeclineData,
    DeclineModel,
    collect_decline_data,
)
from services.specialists.well_data.field_data import STREAM_UNITS, FieldData, Stream, WellMonth
from services.specialists.well_data.months import add_months, describe_limits, format_months, months_between
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import MonthText, ToolArguments, check_period, month_of, select_one

if TYPE_CHECKING:
    from services.specialists.well_data.decline_fit import Decline, DeclineFit

EUR_YEARS = 30
_STEPS = 60


class DeclineArguments(ToolArguments):
    """A decline of one well's rate per producing day."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name or API number.")
    stream: Stream = "oil"
    model: DeclineModel = "modified_hyperbolic"
    first_month: MonthText | None = Field(default=None, description="Start of the fit; by default the peak.")
    last_month: MonthText | None = None


class ForecastArguments(ToolArguments):
    """A fit through a month, and what was made in the months after it."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name or API number.")
    stream: Stream = "oil"
    model: DeclineModel = "modified_hyperbolic"
    fit_through: MonthText


def compute_decline(data: FieldData, given: DeclineArguments) -> ToolResult:
    """qi, Di, b, diagnostics and the 30-year EUR with an interval. Raises `NotComputable`."""
    from services.specialists.well_data.decline_fit import fit_decline

    check_period(given.first_month, given.last_month)
    found = _collect(data, given.well, given.stream, month_of(given.first_month), month_of(given.last_month))
    fit = fit_decline(found, given.model)
    unit, of, sources = STREAM_UNITS[given.stream], found.well.label, [month.source for month in found.window]
    period = format_months(point.month for point in found.points)
    terminal = f", terminal decline {TERMINAL_DECLINE:.0%} a year" if fit.decline.terminal else ""
    name = given.model.replace("_", " ")
    result = ToolResult(f"{name.capitalize()} decline of {given.stream}{terminal}, {of}, fitted to {period}")
    for label, value, low_high, its_unit, digits in (
        ("initial rate", fit.decline.qi, fit.interval(lambda each: each.qi), f"{unit}/d", 2),
        (
            "initial effective decline",
            100 * fit.decline.effective,
            fit.interval(lambda each: 100 * each.effective),
            "% a year",
            2,
        ),
        ("b exponent", fit.decline.b, fit.interval(lambda each: each.b), "", 3),
    ):
        result.add(label, of, value, its_unit, period, sources, digits=digits)
        result.add(
            f"{label}, 80 % interval",
            of,
            f"{low_high[0]:.{digits}f} to {low_high[1]:.{digits}f}",
            its_unit,
            period,
            sources,
        )
    _add_eur(result, found, fit, unit)
    result.add("months in the fit, count", of, len(found.points), "", period, sources)
    result.add("scatter of ln q", of, fit.scatter, "", period, sources, digits=4)
    result.add("R squared of ln q", of, fit.r_squared, "", period, sources, digits=4)
    result.not_known += _limits(data, found)
    result.chart = _draw(found, fit, unit)
    return result


def estimate_eur(found: DeclineData, decline: Decline) -> float:
    """Made in the loaded months up to the fit's end, and forecast from there to 30 years after its start."""
    made = sum(month.volume(found.stream) or 0.0 for month in (*found.before, *found.window))
    return made + decline.volume(found.end_days, EUR_YEARS * DAYS_PER_YEAR)


def compute_forecast(data: FieldData, given: ForecastArguments) -> ToolResult:
    """Actual against forecast volume of every month after the fit. Raises `NotComputable`."""
    from services.specialists.well_data.decline_fit import fit_decline

    through = date.fromisoformat(f"{given.fit_through}-01")
    found = _collect(data, given.well, given.stream, None, through)
    months = [month for month in data.months_by_well()[found.well.api] if month.month > through]
    later = [month for month in months if month.volume(given.stream) is not None]
    if not later:
        raise NotComputable("no_data", f"{found.well.label} has no reported {given.stream} after {given.fit_through}")
    fit = fit_decline(found, given.model)
    unit, of = STREAM_UNITS[given.stream], found.well.label
    result = ToolResult(f"Actual against forecast {given.stream}, {of}, fitted through {given.fit_through}")

    def forecast(decline: Decline) -> float:
        return sum(_month_volumes(decline, found, later).values())

    actual = sum(month.volume(given.stream) or 0.0 for month in later)
    expected, (low, high) = forecast(fit.decline), fit.interval(forecast)
    period, sources = format_months(month.month for month in later), [month.source for month in later]
    fitted = [month.source for month in found.window]
    result.add("actual", of, actual, unit, period, sources)
    result.add("forecast", of, expected, unit, period, fitted)
    result.add("forecast, 80 % interval", of, f"{low:.0f} to {high:.0f}", unit, period, fitted)
    result.add("actual less forecast", of, actual - expected, unit, period, [*sources, *fitted])
    result.add("actual less forecast, relative", of, 100 * (actual / expected - 1), "%", period, [*sources, *fitted])
    monthly = _month_volumes(fit.decline, found, later)
    for month in later:
        name = f"{month.month:%Y-%m}"
        result.add("monthly actual", of, month.volume(given.stream), unit, name, (month.source,))
        result.add("monthly forecast", of, monthly[month.month], unit, name, fitted)
    result.not_known.append(
        "the forecast assumes that the well is on production all the time; outages are not taken out"
    )
    result.not_known += _limits(data, found)
    return result


def _collect(data: FieldData, name: str, stream: Stream, first: date | None, last: date | None) -> DeclineData:
    well = select_one(data.wells, name)
    if well.status == "plugged":
        raise NotComputable("plugged", f"{well.label} is plugged: it has no future production to forecast")
    return collect_decline_data(data, well, stream, first=first, last=last)


def _month_volumes(decline: Decline, found: DeclineData, months: Sequence[WellMonth]) -> dict[date, float]:
    """The forecast of each month."""
    known = [month.month for month in months]
    span = [add_months(known[0], n) for n in range(months_between(known[0], known[-1]) + 2)]
    volumes = decline.volumes([float((month - found.first).days) for month in span])
    return {month: volume for month, volume in zip(span, volumes, strict=False) if month in set(known)}


def _add_eur(result: ToolResult, found: DeclineData, fit: DeclineFit, unit: str) -> None:
    of, rows = found.well.label, [month.source for month in (*found.before, *found.window)]
    period = f"{found.first:%Y-%m} and {EUR_YEARS} years on"
    low, high = fit.interval(lambda decline: estimate_eur(found, decline))
    result.add(f"EUR of {EUR_YEARS} years", of, estimate_eur(found, fit.decline), unit, period, rows, digits=0)
    result.add(f"EUR of {EUR_YEARS} years, 80 % interval", of, f"{low:.0f} to {high:.0f}", unit, period, rows)


def _limits(data: FieldData, found: DeclineData) -> list[str]:
    notes = [
        f"months left out, {reason}: {', '.join(f'{at:%Y-%m}' for at in months)}"
        for reason, months in found.excluded.items()
    ]
    notes.append(
        f"the interval is a bootstrap of {RESAMPLES} refits: it holds the scatter of the months, not what may change "
        "in the reservoir, the lift or the facilities"
    )
    well = found.well
    first = min(month.month for month in (*found.before, *found.window))
    if well.first_production is None or well.first_production.replace(day=1) < first:
        notes.append(f"production before {first:%Y-%m} is not loaded and not in the EUR")
    if well.status == "shut_in":
        notes.append("the well is shut in: the forecast assumes that it comes back")
    return notes + describe_limits([*found.before, *found.window], data.as_of)


def _draw(found: DeclineData, fit: DeclineFit, unit: str) -> str:
    start = found.first.year + (found.first.month - 1) / 12
    ends = found.end_days + 5 * DAYS_PER_YEAR
    days = [max(ends * n / _STEPS, 1.0) for n in range(_STEPS + 1)]
    lines, bands = [], []
    for at, rate, (low, high) in zip(days, fit.decline.rates(days), fit.rate_band(days), strict=True):
        lines.append((start + at / DAYS_PER_YEAR, float(rate)))
        bands.append((start + at / DAYS_PER_YEAR, low, high))
    dots = tuple((start + point.days / DAYS_PER_YEAR, point.rate) for point in found.points)
    years = range(int(start), int(start + ends / DAYS_PER_YEAR) + 1)
    return draw_lines(
        f"Decline of {found.stream}, {found.well.label}",
        "year",
        f"{unit} per producing day",
        [Series("fit", tuple(lines)), Series("months in the fit", dots, dots=True)],
        band=Band("80 % interval", tuple(bands)),
        ticks={year: str(year) for year in years if year >= start},
        log=True,
    )
