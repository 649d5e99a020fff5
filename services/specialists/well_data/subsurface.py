"""A deviation survey at a depth, by minimum curvature, and a log curve at a depth."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, TypeVar

from pydantic import Field

from services.specialists.well_data.field_data import FieldData, LogCurve, SourceRow, Station
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import ToolArguments, select_one
from services.specialists.well_data.well_numbers import is_well_number, parse_well_number

T = TypeVar("T")
Depth = Annotated[float, Field(ge=0, le=50_000, allow_inf_nan=False)]
_STRAIGHT = 1e-9


class SurveyArguments(ToolArguments):
    """Where a wellbore is at a measured depth."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name, or API number; 12 digits name a sidetrack.")
    measured_depth_ft: Depth


class LogArguments(ToolArguments):
    """A log curve at a measured depth, or its mean over an interval."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name, or API number; 12 digits name a sidetrack.")
    curve: Annotated[str, Field(min_length=1, max_length=30)] = Field(description="Mnemonic, such as GR.")
    depth_ft: Depth
    base_ft: Depth | None = Field(default=None, description="Base of an interval that starts at depth_ft.")


@dataclass(frozen=True, slots=True)
class Position:
    """A point of a wellbore, in ft from the surface location."""

    tvd_ft: float
    north_ft: float
    east_ft: float


def compute_position(data: FieldData, given: SurveyArguments) -> ToolResult:
    """Vertical depth, offsets, inclination and azimuth. Raises `NotComputable`."""
    of, stations = _wellbore(data, given.well, data.surveys, "a deviation survey")
    depth = given.measured_depth_ft
    check_stations(stations)
    if not 0 <= depth <= stations[-1].md_ft:
        message = f"the survey of {of} ends at {stations[-1].md_ft:,.1f} ft: {depth:,.1f} ft would be extrapolation"
        raise NotComputable("outside_the_survey", message)
    position, inclination, azimuth = locate(stations, depth)
    period = f"at {depth:,.1f} ft measured depth"
    next_one = bisect_left([station.md_ft for station in stations], depth)
    rows: list[SourceRow] = [station.source for station in stations[: next_one + 1]]
    result = ToolResult(f"Deviation of {of}, minimum curvature")
    result.add("true vertical depth", of, position.tvd_ft, "ft", period, rows)
    result.add("north offset", of, position.north_ft, "ft", period, rows)
    result.add("east offset", of, position.east_ft, "ft", period, rows)
    result.add("inclination", of, inclination, "degrees", period, rows)
    result.add("azimuth", of, azimuth, "degrees", period, rows)
    result.not_known.append("depths are from the survey's own datum; the tool's error is not loaded")
    if stations[0].md_ft > 0:
        result.not_known.append(f"above the first station ({stations[0].md_ft:,.1f} ft) the hole is taken as vertical")
    return result


def check_stations(stations: Sequence[Station]) -> None:
    """Raise `NotComputable` unless depths rise."""
    for before, after in pairwise(stations):
        if after.md_ft <= before.md_ft:
            raise NotComputable("broken_survey", f"the survey's depths do not rise at {after.md_ft:,.1f} ft")


def locate(stations: Sequence[Station], depth: float) -> tuple[Position, float, float]:
    """The position at a measured depth, with inclination and azimuth in degrees, by minimum curvature.

    Above the first station the hole is vertical. Between stations the direction follows the same arc.
    """
    north = east = tvd = md = 0.0
    inclination, azimuth = 0.0, stations[0].azimuth
    for station in stations:
        if station.md_ft == md == 0.0:
            inclination, azimuth = station.inclination, station.azimuth
            continue
        first = md == 0.0 and station is stations[0]
        to = (0.0, station.azimuth) if first else (station.inclination, station.azimuth)
        length = station.md_ft - md
        part = min(1.0, (depth - md) / length)
        end = _along(inclination, azimuth, *to, part)
        step = _arc((inclination, azimuth), end, part * length)
        north, east, tvd = north + step[0], east + step[1], tvd + step[2]
        if depth <= station.md_ft:
            return Position(tvd, north, east), *end
        md, inclination, azimuth = station.md_ft, station.inclination, station.azimuth
    return Position(tvd, north, east), inclination, azimuth


def compute_log_value(data: FieldData, given: LogArguments) -> ToolResult:
    """A curve's value, straight between samples, or its mean. Raises `NotComputable`."""
    by_bore: dict[str, list[LogCurve]] = {}
    for curve in data.curves:
        by_bore.setdefault(curve.wellbore, []).append(curve)
    of, curves = _wellbore(data, given.well, by_bore, "a log")
    named = [curve for curve in curves if curve.mnemonic.casefold() == given.curve.strip().casefold()]
    if not named:
        listed = ", ".join(sorted({curve.mnemonic for curve in curves}))
        raise NotComputable("no_such_curve", f"the logs of {of} have no curve {given.curve}: they have {listed}")
    if len(named) > 1:
        files = ", ".join(sorted(curve.file for curve in named))
        raise NotComputable("ambiguous_curve", f"{len(named)} logs of {of} have {given.curve}: {files}")
    curve = named[0]
    base = given.base_ft
    if base is not None and base <= given.depth_ft:
        raise NotComputable("bad_interval", "the interval's base is not below its top")
    low, high = curve.depths_ft[0], curve.depths_ft[-1]
    if not low <= given.depth_ft <= high or (base is not None and base > high):
        raise NotComputable("outside_the_log", f"{curve.file} has {given.curve} from {low:,.1f} to {high:,.1f} ft only")
    lead = ToolResult(f"{curve.mnemonic} ({curve.description or 'no description'}) of {of}")
    if base is None:
        value, note = _value_at(curve, given.depth_ft)
        where = f"at {given.depth_ft:,.1f} ft"
    else:
        inside = [v for d, v in zip(curve.depths_ft, curve.values, strict=True) if given.depth_ft <= d <= base]
        known = [v for v in inside if v is not None]
        if not known:
            raise NotComputable("null_values", f"{given.curve} is null from {given.depth_ft:,.1f} to {base:,.1f} ft")
        value, where = sum(known) / len(known), f"{given.depth_ft:,.1f} to {base:,.1f} ft"
        note = f"{len(inside) - len(known)} of {len(inside)} samples are null" if len(known) < len(inside) else ""
    name = curve.mnemonic if base is None else f"mean {curve.mnemonic}"
    lead.add(name, of, value, curve.unit, where, (), digits=4)
    lead.figures[-1] = lead.figures[-1].model_copy(update={"sources": (f"{curve.file}:~A {curve.mnemonic}",)})
    lead.not_known += [note] if note else []
    lead.not_known.append("depths are those of the log; a shift against the driller's depth is not known")
    if not curve.unit:
        lead.not_known.append(f"the file does not say the unit of {curve.mnemonic}")
    return lead


def _value_at(curve: LogCurve, depth: float) -> tuple[float, str]:
    at = bisect_left(curve.depths_ft, depth)
    if curve.depths_ft[at] == depth:
        exact = curve.values[at]
        if exact is None:
            raise NotComputable("null_values", f"{curve.mnemonic} is null at {depth:,.1f} ft")
        return exact, ""
    (d0, d1), (v0, v1) = curve.depths_ft[at - 1 : at + 1], curve.values[at - 1 : at + 1]
    if v0 is None or v1 is None:
        raise NotComputable("null_values", f"{curve.mnemonic} is null beside {depth:,.1f} ft")
    return v0 + (v1 - v0) * (depth - d0) / (d1 - d0), f"between the samples at {d0:,.1f} and {d1:,.1f} ft"


def _wellbore(data: FieldData, name: str, found: dict[str, T], what: str) -> tuple[str, T]:
    well = select_one(data.wells, name)
    bores = sorted(bore for bore in found if bore.startswith(well.api))
    if is_well_number(name) and (number := parse_well_number(name)).sidetrack:
        bores = [bore for bore in bores if bore == number.wellbore]
    if not bores:
        raise NotComputable("not_in_the_data", f"{name} has no {what.removeprefix('a ')} in the loaded data")
    if len(bores) > 1:
        message = f"{well.label} has {what} in {len(bores)} wellbores: {', '.join(bores)}; give the 12-digit number"
        raise NotComputable("ambiguous_wellbore", message)
    return f"{well.name} ({bores[0]})", found[bores[0]]


def _direction(inclination: float, azimuth: float) -> tuple[float, float, float]:
    i, a = math.radians(inclination), math.radians(azimuth)
    return math.sin(i) * math.cos(a), math.sin(i) * math.sin(a), math.cos(i)


def _angle(one: tuple[float, float, float], two: tuple[float, float, float]) -> float:
    return math.acos(max(-1.0, min(1.0, sum(x * y for x, y in zip(one, two, strict=True)))))


def _along(i1: float, a1: float, i2: float, a2: float, part: float) -> tuple[float, float]:
    """Inclination and azimuth at a part of the arc between two directions."""
    one, two = _direction(i1, a1), _direction(i2, a2)
    angle = _angle(one, two)
    if part >= 1.0 or angle < _STRAIGHT:
        return (i2, a2) if part >= 1.0 else (i1, a1)
    weights = math.sin((1 - part) * angle) / math.sin(angle), math.sin(part * angle) / math.sin(angle)
    n, e, v = (weights[0] * x + weights[1] * y for x, y in zip(one, two, strict=True))
    return math.degrees(math.acos(max(-1.0, min(1.0, v)))), math.degrees(math.atan2(e, n)) % 360


def _arc(start: tuple[float, float], end: tuple[float, float], length: float) -> tuple[float, float, float]:
    one, two = _direction(*start), _direction(*end)
    angle = _angle(one, two)
    factor = 1.0 if angle < _STRAIGHT else 2 / angle * math.tan(angle / 2)
    n, e, v = (length / 2 * (x + y) * factor for x, y in zip(one, two, strict=True))
    return n, e, v
