"""Rates and cumulative volumes by well, pad, bench, operator or month; and the wells that moved most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from services.specialists.well_data.chart import Series, draw_lines
from services.specialists.well_data.field_data import STREAM_UNITS, FieldData, Stream, Well, WellMonth
from services.specialists.well_data.months import add_months, days_in, describe_limits, format_months, months_between
from services.specialists.well_data.results import NotComputable, ToolResult, format_number
from services.specialists.well_data.selection import (
    GroupBy,
    MonthText,
    ToolArguments,
    WellSelection,
    check_period,
    month_of,
    select_wells,
)


class ProductionArguments(ToolArguments):
    """Volumes and rates of the selected wells over whole months."""

    selection: WellSelection = WellSelection()
    first_month: MonthText | None = None
    last_month: MonthText | None = None
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)] = ("oil", "gas", "water")
    group_by: GroupBy = "total"
    limit: Annotated[int, Field(ge=1, le=100)] = Field(default=50, description="Groups, the largest first.")


class MoversArguments(ToolArguments):
    """The wells whose rate per calendar day changed most from the month before."""

    selection: WellSelection = WellSelection()
    stream: Stream = "oil"
    month: MonthText
    direction: Literal["lost", "gained", "both"] = "lost"
    count: Annotated[int, Field(ge=1, le=50)] = 5


class CumulativeArguments(ToolArguments):
    """What the selected wells have made up to the end of a month."""

    selection: WellSelection = WellSelection()
    last_month: MonthText | None = None
    group_by: Literal["total", "well", "pad", "formation", "operator"] = "total"


def compute_production(data: FieldData, given: ProductionArguments) -> ToolResult:
    """Volume, rate per calendar day and rate per producing day. Raises `NotComputable`."""
    check_period(given.first_month, given.last_month)
    wells = select_wells(data.wells, given.selection)
    months = _months_of(data, wells, month_of(given.first_month), month_of(given.last_month))
    period = format_months(month.month for month in months)
    groups = _grouped(wells, months, given.group_by)
    result = ToolResult(f"Production of {given.selection.describe()}, {period}, by {given.group_by}")
    order = sorted(groups) if given.group_by == "month" else sorted(groups, key=lambda name: _rank(groups[name], given))
    for name in order[: given.limit]:
        _add_volumes(result, name, groups[name], given.streams)
    if len(order) > given.limit:
        result.not_known.append(f"{len(order) - given.limit} more groups are not shown")
    silent = len(wells) - len({month.api for month in months})
    if silent:
        result.not_known.append(f"{silent} of {len(wells)} wells have no reported month in the period")
    result.not_known += describe_limits(months, data.as_of)
    if len({month.month for month in months}) > 2:
        result.chart = _draw(result.lead, months, given.streams)
    return result


def compute_cumulative(data: FieldData, given: CumulativeArguments) -> ToolResult:
    """Cumulative volumes since the data start, which may be after the well's first production."""
    wells = select_wells(data.wells, given.selection)
    months = _months_of(data, wells, None, month_of(given.last_month))
    result = ToolResult(f"Cumulative production of {given.selection.describe()}, by {given.group_by}")
    first = {api: min(month.month for month in found) for api, found in _by_api(months).items()}
    for name, found in sorted(_grouped(wells, months, given.group_by).items()):
        period = format_months(month.month for month in found)
        for stream in STREAM_UNITS:
            rows = [month for month in found if month.volume(stream) is not None]
            if rows:
                total = sum(month.volume(stream) or 0.0 for month in rows)
                result.add(f"cumulative {stream}", name, total, STREAM_UNITS[stream], period, (m.source for m in rows))
    late = [
        well
        for well in wells
        if well.api in first
        and (well.first_production is None or well.first_production.replace(day=1) < first[well.api])
    ]
    if late:
        result.not_known.append(
            f"{len(late)} of {len(wells)} wells produced before the first loaded month, or it is not known since when: "
            "that production is not in the figures"
        )
    result.not_known += describe_limits(months, data.as_of)
    return result


def compute_movers(data: FieldData, given: MoversArguments) -> ToolResult:
    """Wells by the change of their rate per calendar day from the month before. Raises `NotComputable`."""
    wells = {well.api: well for well in select_wells(data.wells, given.selection)}
    month = date.fromisoformat(f"{given.month}-01")
    before = add_months(month, -1)
    rates: dict[date, dict[str, WellMonth]] = {month: {}, before: {}}
    for each in data.months:
        if each.api in wells and each.month in rates and each.volume(given.stream) is not None:
            rates[each.month][each.api] = each
    both = sorted(rates[month].keys() & rates[before].keys())
    if not both:
        raise NotComputable(
            "no_data", f"no selected well has reported {given.stream} in {before:%Y-%m} and {month:%Y-%m}"
        )
    changes = {
        api: _calendar_rate(rates[month][api], given.stream) - _calendar_rate(rates[before][api], given.stream)
        for api in both
    }
    ordered = sorted(both, key=lambda api: (changes[api], api))
    lost = [api for api in ordered if changes[api] < 0][: given.count]
    gained = [api for api in reversed(ordered) if changes[api] > 0][: given.count]
    chosen = {"lost": lost, "gained": gained, "both": lost + gained}[given.direction]
    unit = f"{STREAM_UNITS[given.stream]}/d"
    result = ToolResult(f"Change of {given.stream} per calendar day, {before:%Y-%m} to {month:%Y-%m}, by well")
    for api in chosen:
        rows = (rates[before][api], rates[month][api])
        result.add(
            f"change of {given.stream} rate", wells[api].label, changes[api], unit,
            format_months(row.month for row in rows), (row.source for row in rows),
        )  # fmt: skip
    missing = len(wells) - len(both)
    if missing:
        result.not_known.append(f"{missing} of {len(wells)} wells lack one of the two months and are not compared")
    result.not_known.append("monthly data: changes within a month, such as week by week, are not known")
    result.not_known += describe_limits([rates[at][api] for at in rates for api in both], data.as_of)
    return result


def _months_of(data: FieldData, wells: Sequence[Well], first: date | None, last: date | None) -> list[WellMonth]:
    apis = {well.api for well in wells}
    found = [
        month
        for month in data.months
        if month.api in apis and (first is None or month.month >= first) and (last is None or month.month <= last)
    ]
    if not found:
        raise NotComputable("no_data", "the selected wells have no reported production in that period")
    return sorted(found, key=lambda month: (month.month, month.api))


def _by_api(months: Sequence[WellMonth]) -> dict[str, list[WellMonth]]:
    found: dict[str, list[WellMonth]] = defaultdict(list)
    for month in months:
        found[month.api].append(month)
    return found


def _grouped(wells: Sequence[Well], months: Sequence[WellMonth], by: str) -> dict[str, list[WellMonth]]:
    known = {well.api: well for well in wells}
    named: Callable[[WellMonth], str]
    if by == "total":
        named = lambda month: "total"  # noqa: E731
    elif by == "month":
        named = lambda month: f"{month.month:%Y-%m}"  # noqa: E731
    elif by == "well":
        named = lambda month: known[month.api].label  # noqa: E731
    else:
        if all(getattr(well, by) is None for well in wells):
            raise NotComputable("not_in_the_data", f"the loaded headers do not say the {by} of these wells")
        named = lambda month: getattr(known[month.api], by) or f"unknown {by}"  # noqa: E731
    groups: dict[str, list[WellMonth]] = defaultdict(list)
    for month in months:
        groups[named(month)].append(month)
    return groups


def _rank(months: Sequence[WellMonth], given: ProductionArguments) -> float:
    return -sum(month.volume(given.streams[0]) or 0.0 for month in months)


def _add_volumes(result: ToolResult, name: str, months: Sequence[WellMonth], streams: Sequence[Stream]) -> None:
    period = format_months(month.month for month in months)
    span = sorted({month.month for month in months})
    calendar_days = sum(days_in(add_months(span[0], n)) for n in range(months_between(span[0], span[-1]) + 1))
    for stream in streams:
        unit = STREAM_UNITS[stream]
        rows = [month for month in months if month.volume(stream) is not None]
        if not rows:
            result.add(f"{stream} volume", name, None, unit, period, ())
            continue
        total = sum(month.volume(stream) or 0.0 for month in rows)
        sources = [month.source for month in rows]
        result.add(f"{stream} volume", name, total, unit, period, sources)
        result.add(f"{stream} per calendar day", name, total / calendar_days, f"{unit}/d", period, sources)
        on = [month for month in rows if month.days_on is not None]
        days = sum(month.days_on or 0.0 for month in on)
        if days > 0 and len(on) == len(rows):
            result.add(f"{stream} per producing well-day", name, total / days, f"{unit}/d", period, sources)
        if len(rows) < len(months):
            gone = format_number(len(months) - len(rows))
            result.not_known.append(f"{name}: {gone} well-months have no reported {stream}")


def _calendar_rate(month: WellMonth, stream: Stream) -> float:
    return (month.volume(stream) or 0.0) / days_in(month.month)


def _draw(title: str, months: Sequence[WellMonth], streams: Sequence[Stream]) -> str:
    known = sorted({month.month for month in months})
    series = []
    for stream in streams:
        totals = [
            sum(month.volume(stream) or 0.0 for month in months if month.month == at) / days_in(at) for at in known
        ]
        series.append(
            Series(
                f"{stream}, {STREAM_UNITS[stream]}/d", tuple(zip(map(float, range(len(known))), totals, strict=True))
            )
        )
    return draw_lines(
        title, "month", "rate per calendar day", series, ticks={n: f"{at:%Y-%m}" for n, at in enumerate(known)}
    )
