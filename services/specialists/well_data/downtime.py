"""Downtime and deferred oil, wells that are shut in, and allocated against metered volumes."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import Field

from services.specialists.well_data.field_data import STREAM_UNITS, FieldData, Outage, SourceRow, Stream, Well
from services.specialists.well_data.months import describe_limits, format_months
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import (
    DayText,
    MonthText,
    ToolArguments,
    WellSelection,
    check_period,
    day_of,
    month_of,
    select_wells,
)


class DowntimeArguments(ToolArguments):
    """Hours down and oil deferred between two days, both included."""

    selection: WellSelection = WellSelection()
    first_day: DayText
    last_day: DayText
    group_by: Literal["total", "cause", "well"] = "cause"
    count: Annotated[int, Field(ge=1, le=50)] = Field(default=20, description="Groups, most deferred oil first.")


class ShutInArguments(ToolArguments):
    """The wells that are shut in at the end of the data."""

    selection: WellSelection = WellSelection()


class AllocationArguments(ToolArguments):
    """Volumes of wells against what the meter of their lease measured."""

    selection: WellSelection = WellSelection()
    stream: Stream = "oil"
    first_month: MonthText | None = None
    last_month: MonthText | None = None


def compute_downtime(data: FieldData, given: DowntimeArguments) -> ToolResult:
    """Hours and deferred oil of the part of each outage within the period. Raises `NotComputable`."""
    check_period(given.first_day, given.last_day)
    start, last = day_of(given.first_day, "first_day"), day_of(given.last_day, "last_day")
    if start is None or last is None:
        raise NotComputable("bad_period", "a period needs a first and a last day")
    wells = {well.api: well for well in select_wells(data.wells, given.selection)}
    window = (datetime.combine(start, time()), datetime.combine(last, time()) + timedelta(days=1))
    groups: dict[str, list[tuple[Outage, float]]] = defaultdict(list)
    for outage in data.outages:
        hours = _hours_between(outage, *window)
        if outage.api in wells and hours > 0:
            name = {"total": "total", "cause": outage.cause, "well": wells[outage.api].label}[given.group_by]
            groups[name].append((outage, hours))
    period = f"{given.first_day} to {given.last_day}"
    result = ToolResult(f"Downtime of {given.selection.describe()}, {period}, by {given.group_by}")
    if not groups:
        result.add("downtime", "total", 0.0, "h", period, ())
    ordered = sorted(groups, key=lambda name: (-sum(_deferred(*each) or 0.0 for each in groups[name]), name))
    for name in ordered[: given.count]:
        parts = groups[name]
        sources = [outage.source for outage, _ in parts]
        deferred = [_deferred(outage, hours) for outage, hours in parts]
        result.add("downtime", name, sum(hours for _, hours in parts), "h", period, sources)
        result.add("outages, count", name, len(parts), "", period, sources)
        result.add("deferred oil", name, sum(each or 0.0 for each in deferred), "bbl", period, sources)
        if None in deferred:
            result.not_known.append(f"{name}: {deferred.count(None)} outages have no estimate of deferred oil")
    if len(ordered) > given.count:
        result.not_known.append(f"{len(ordered) - given.count} more groups are not shown")
    result.not_known.append(
        "deferred oil is the operator's estimate, spread evenly over each outage; gas is not estimated"
    )
    if data.as_of is not None and last > data.as_of:
        result.not_known.append(f"the data end on {data.as_of}: outages after that day are not known")
    return result


def compute_shut_ins(data: FieldData, given: ShutInArguments) -> ToolResult:
    """Each well that is shut in: since when, why, and the oil deferred since. Raises `NotComputable`."""
    wells = select_wells(data.wells, given.selection)
    shut = [well for well in wells if well.status == "shut_in"]
    at = f"{data.as_of}" if data.as_of else "the end of the data"
    result = ToolResult(f"Wells shut in at {at}, of {given.selection.describe()}")
    result.add("shut-in wells, count", "total", len(shut), "", at, (well.source for well in shut))
    months = data.months_by_well()
    total, rows = 0.0, list[SourceRow]()
    for well in shut:
        mine = [each for each in data.outages if each.api == well.api]
        last = max(mine, key=lambda each: each.started_at, default=None)
        if last is None or (last.ended_at is not None and data.as_of is not None and last.ended_at.date() < data.as_of):
            produced = [month for month in months.get(well.api, ()) if (month.oil or 0) > 0 or (month.gas or 0) > 0]
            since = f"after {produced[-1].month:%Y-%m}, its last month with production" if produced else None
            result.add("shut in since", well.label, since, "", at, [month.source for month in produced[-1:]])
            result.not_known.append(
                f"{well.label}: no open outage is recorded, so neither the day nor the cause is known"
            )
            continue
        result.add("shut in since", well.label, f"{last.started_at:%Y-%m-%d}", "", at, (last.source,))
        result.add("cause", well.label, last.cause, "", at, (last.source,))
        result.add(
            "deferred oil", well.label, last.deferred_oil, "bbl", f"{last.started_at:%Y-%m-%d} to {at}", (last.source,)
        )
        total, rows = total + (last.deferred_oil or 0.0), [*rows, last.source]
    result.add("deferred oil of all shut-in wells", "total", total, "bbl", f"since each shut-in to {at}", rows)
    result.not_known.append(
        "deferred oil is the operator's estimate; whether the reservoir gives it back later is not known"
    )
    if unknown := sum(well.status is None for well in wells):
        result.not_known.append(f"the status of {unknown} wells is not known")
    return result


def compute_allocation(data: FieldData, given: AllocationArguments) -> ToolResult:
    """The wells of each lease added up, the lease's meter, and the difference. Raises `NotComputable`."""
    check_period(given.first_month, given.last_month)
    wells = select_wells(data.wells, given.selection)
    first, last = month_of(given.first_month), month_of(given.last_month)
    leases: dict[str, list[Well]] = defaultdict(list)
    for well in data.wells:
        if well.lease and well.lease in {each.lease for each in wells}:
            leases[well.lease].append(well)
    if not leases:
        raise NotComputable("no_meter", "no selected well has a lease in its header: nothing to compare with a meter")
    result = ToolResult(f"Allocated against metered {given.stream} of {given.selection.describe()}")
    unit = STREAM_UNITS[given.stream]
    for lease, members in sorted(leases.items()):
        metered = {
            each.month: each
            for each in data.lease_months
            if each.lease == lease
            and _inside(each.month, first, last)
            and _lease_volume(each, given.stream) is not None
        }
        apis = {well.api for well in members}
        mine = [
            month
            for month in data.months
            if month.api in apis and month.month in metered and month.volume(given.stream) is not None
        ]
        if not mine:
            result.not_known.append(f"lease {lease}: no month has both wells and meter")
            continue
        compared = sorted({month.month for month in mine})
        at_meter = [metered[month] for month in compared]
        period = format_months(compared)
        by_wells = sum(month.volume(given.stream) or 0.0 for month in mine)
        by_meter = sum(_lease_volume(each, given.stream) or 0.0 for each in at_meter)
        sources, meters = [month.source for month in mine], [each.source for each in at_meter]
        of = f"lease {lease}, {len(members)} wells"
        result.add(f"{given.stream} of the wells", of, by_wells, unit, period, sources)
        result.add(f"{given.stream} at the meter", of, by_meter, unit, period, meters)
        result.add("wells less meter", of, by_wells - by_meter, unit, period, [*sources, *meters])
        if by_meter:
            result.add(
                "wells less meter, relative", of, 100 * (by_wells / by_meter - 1), "%", period, [*sources, *meters]
            )
        result.not_known += describe_limits(mine, data.as_of)
    if not result.figures:
        raise NotComputable("no_meter", "no selected lease has metered volumes in that period")
    result.not_known = list(dict.fromkeys(result.not_known))
    result.not_known.append("the difference does not say which well is wrong, nor whether stock changed between")
    return result


def _inside(month: date, first: date | None, last: date | None) -> bool:
    return (first is None or month >= first) and (last is None or month <= last)


def _lease_volume(month: object, stream: Stream) -> float | None:
    found: float | None = getattr(month, stream)
    return found


def _hours_between(outage: Outage, start: datetime, end: datetime) -> float:
    until = min(outage.ended_at or end, end)
    return max(0.0, (until - max(outage.started_at, start)).total_seconds() / 3_600)


def _deferred(outage: Outage, hours: float) -> float | None:
    """The part of an outage's deferred oil that falls to so many of its hours."""
    if outage.deferred_oil is None or outage.ended_at is None:
        return None if outage.deferred_oil is None else outage.deferred_oil
    whole = (outage.ended_at - outage.started_at).total_seconds() / 3_600
    return outage.deferred_oil * hours / whole if whole > 0 else 0.0
