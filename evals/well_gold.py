"""Gold of the well-data questions, computed apart from the specialist: SQL in DuckDB, and plain Python.

Nothing here imports the specialist, numpy, scipy or petbox-dca: a fault of theirs cannot be in both.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

from demo.oil_field.warehouse import BASINS_BY_ROLE
from demo.oil_field.well_files import WELL_FILES

TERMINAL = -math.log(1 - 0.06)
"""Nominal, per year."""
YEAR = 365.25
FILES = {path.name: path for path in WELL_FILES}
TABLES = {"wells": "headers", "production": "monthly_production", "downtime": "downtime", "meters": "lease_meters"}
Point = tuple[float, float]
GoldRows = list[tuple[str, str]]
"""What each figure is of (empty: any well), and its value."""


def sql_gold(query: str, role: str) -> GoldRows:
    """The rows of a query over the role's rows: of and value, or the value alone."""
    import duckdb

    basins = BASINS_BY_ROLE[role]
    among = "true" if not basins else f"BASIN in ({', '.join(repr(each) for each in basins)})"
    of_role = "API_NUMBER in (select API_NUMBER from wells)"
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for table, name in TABLES.items():
            condition = {"wells": among, "meters": "true"}.get(table, of_role)
            path = FILES[f"{name}.csv.gz"]
            made = f"create table {table} as select * from read_csv('{path}', header = true) where {condition}"  # noqa: S608
            connection.execute(made)
        rows = connection.execute(query).fetchall()
    return [("", _text(row[0])) if len(row) == 1 else (str(row[0]), _text(row[1])) for row in rows]


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


@cache
def rows_of(name: str) -> tuple[Mapping[str, str], ...]:
    """A CSV file's rows."""
    with gzip.open(FILES[f"{name}.csv.gz"], "rt", encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def api_of(name: str) -> str:
    """The API number of a well by name."""
    (found,) = (row["API_NUMBER"] for row in rows_of("headers") if row["WELL_NAME"] == name)
    return found


@cache
def usable_points(name: str, through: str = "9999-12") -> tuple[tuple[Point, ...], date, date, float]:
    """Days and rates from the peak on; first month, end of the last, and what was made up to then."""
    api = api_of(name)
    complete = "2026-04" if api.startswith("42") else "2026-06"
    months = sorted((row for row in rows_of("monthly_production") if row["API_NUMBER"] == api), key=_at)
    good = []
    for row in months:
        at = date.fromisoformat(row["PRODUCTION_MONTH"])
        days, on, oil = _days(at), float(row["DAYS_ON"]), float(row["OIL_BBL"])
        if _at(row) >= complete or _at(row) > through or oil <= 0 or on < days / 2 or _limited(api, at) > 2.4 * days:
            continue
        good.append((at, oil / on))
    peak = max(rate for _, rate in good)
    first = next(at for at, rate in good if rate == peak)
    points = tuple(((at - first).days + _days(at) / 2, rate) for at, rate in good if at >= first)
    last = good[-1][0]
    end = date(last.year + last.month // 12, last.month % 12 + 1, 1)
    made = sum(float(row["OIL_BBL"]) for row in months if date.fromisoformat(row["PRODUCTION_MONTH"]) < end)
    return points, first, end, made


def _at(row: Mapping[str, str]) -> str:
    return row["PRODUCTION_MONTH"][:7]


def _days(month: date) -> int:
    return (date(month.year + month.month // 12, month.month % 12 + 1, 1) - month).days


def _limited(api: str, month: date) -> float:
    """Hours of a month that a gathering limit took."""
    hours = 0.0
    for row in rows_of("downtime"):
        if row["API_NUMBER"] == api and row["CAUSE"] == "gathering_limit":
            start, end = date.fromisoformat(row["STARTED_AT"][:10]), date.fromisoformat(row["ENDED_AT"][:10])
            if start <= month + timedelta(days=_days(month)) and end >= month:
                inside = min(end, month + timedelta(days=_days(month))) - max(start, month)
                hours += min(float(row["HOURS"]), max(0, inside.days + 1) * 24)
    return hours


def rate_at(day: float, parameters: Sequence[float]) -> float:
    """The rate of a modified hyperbolic: ln qi, ln D, b."""
    qi, nominal, b = math.exp(parameters[0]), math.exp(parameters[1]), parameters[2]
    years = day / YEAR
    if b < 1e-6:
        return qi * math.exp(-nominal * years)
    switch = (nominal / TERMINAL - 1) / (b * nominal)
    if years <= switch:
        return float(qi * (1 + b * nominal * years) ** (-1 / b))
    return float(qi * (1 + b * nominal * switch) ** (-1 / b) * math.exp(-TERMINAL * (years - switch)))


@cache
def fitted(points: tuple[Point, ...]) -> list[float]:
    """The least squares of ln q, by a simplex that walks downhill from several starts."""

    def misfit(parameters: Sequence[float]) -> float:
        if not 0 <= parameters[2] <= 2 or not math.log(TERMINAL) <= parameters[1] <= math.log(40):
            return math.inf
        return sum((math.log(rate) - math.log(rate_at(day, parameters))) ** 2 for day, rate in points)

    starts = [[math.log(points[0][1]), math.log(d), b] for d in (0.3, 1.0, 3.0) for b in (0.3, 0.9, 1.6)]
    return min((_simplex(misfit, start) for start in starts), key=misfit)


def _simplex(misfit: Callable[[Sequence[float]], float], start: list[float]) -> list[float]:
    """Nelder and Mead (1965)."""
    corners = [start, *([*start[:n], start[n] + 0.1, *start[n + 1 :]] for n in range(3))]
    values = [misfit(corner) for corner in corners]
    for _ in range(600):
        order = sorted(range(4), key=values.__getitem__)
        corners, values = [corners[n] for n in order], [values[n] for n in order]
        if abs(values[-1] - values[0]) < 1e-14:
            break
        middle = [sum(corner[n] for corner in corners[:3]) / 3 for n in range(3)]

        def along(
            factor: float, middle: list[float] = middle, worst: list[float] = corners[-1]
        ) -> tuple[list[float], float]:
            point = [m + factor * (m - w) for m, w in zip(middle, worst, strict=True)]
            return point, misfit(point)

        best = along(1.0)
        if best[1] < values[0]:
            best = min(best, along(2.0), key=lambda each: each[1])
        elif best[1] >= values[-2]:
            best = along(0.5) if best[1] < values[-1] else along(-0.5)
        if best[1] < values[-1]:
            corners[-1], values[-1] = best
        else:
            corners = [corners[0], *([(a + b) / 2 for a, b in zip(corners[0], c, strict=True)] for c in corners[1:])]
            values = [misfit(corner) for corner in corners]
    return corners[0]


def volume_between(first: float, last: float, parameters: Sequence[float]) -> float:
    """The volume between two days, by Simpson's rule in steps of a day."""
    steps = max(2, 2 * math.ceil(last - first))
    width = (last - first) / steps
    total = rate_at(first, parameters) + rate_at(last, parameters)
    total += sum((4 if n % 2 else 2) * rate_at(first + n * width, parameters) for n in range(1, steps))
    return total * width / 3


def decline(well: str, what: str) -> GoldRows:
    """`qi`, `b`, `effective` (percent a year) or `eur` (bbl)."""
    points, first, end, made = usable_points(well)
    found = fitted(points)
    values: dict[str, Callable[[], float]] = {
        "qi": lambda: math.exp(found[0]),
        "b": lambda: found[2],
        "effective": lambda: 100 * (1 - (1 + found[2] * math.exp(found[1])) ** (-1 / found[2])),
        "eur": lambda: made + volume_between((end - first).days, 30 * YEAR, found),
        "count": lambda: float(len(points)),
    }
    return [("", repr(values[what]()))]


def forecast(well: str, through: str, what: str) -> GoldRows:
    """`actual`, `forecast` (bbl) or `relative` (percent) after a month."""
    points, first, _, _ = usable_points(well, through)
    found = fitted(points)
    api = api_of(well)
    later = [row for row in rows_of("monthly_production") if row["API_NUMBER"] == api and _at(row) > through]
    actual = sum(float(row["OIL_BBL"]) for row in later)
    expected = 0.0
    for row in later:
        month = date.fromisoformat(row["PRODUCTION_MONTH"])
        start = (month - first).days
        expected += volume_between(start, start + _days(month), found)
    values = {"actual": actual, "forecast": expected, "relative": 100 * (actual / expected - 1)}
    return [("", repr(values[what]))]


def economic(well: str, limit: float, what: str) -> GoldRows:
    """`remaining` (bbl) or `day`, down to a limit in bbl per day."""
    points, first, end, _ = usable_points(well)
    found = fitted(points)
    day = float((end - first).days)
    start = day
    while rate_at(day, found) > limit:
        day += 1
    low, high = day - 1, day
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rate_at(middle, found) > limit else (low, middle)
    if what == "day":
        return [("", str(first + timedelta(days=math.floor(high))))]
    return [("", repr(volume_between(start, high, found)))]


def survey(bore: str, depth: float, what: str) -> GoldRows:
    """`tvd`, `north`, `east` in ft: the unit tangent turned evenly from station to station, added up in small steps."""
    stations = []
    for name in ("surveys", "survey_metric"):
        for row in rows_of(name):
            if row["API_NUMBER"] == bore:
                md = float(row["MD_FT"]) if "MD_FT" in row else float(row["MD_M"]) / 0.3048
                stations.append((md, math.radians(float(row["INCLINATION"])), math.radians(float(row["AZIMUTH"]))))
    stations.sort()
    position = [0.0, 0.0, 0.0]
    for (md1, i1, a1), (md2, i2, a2) in pairwise(stations):
        if md1 >= depth:
            break
        one = (math.sin(i1) * math.cos(a1), math.sin(i1) * math.sin(a1), math.cos(i1))
        two = (math.sin(i2) * math.cos(a2), math.sin(i2) * math.sin(a2), math.cos(i2))
        angle = math.acos(max(-1.0, min(1.0, sum(x * y for x, y in zip(one, two, strict=True)))))
        length, parts = min(md2, depth) - md1, 400
        for part in range(parts):
            at = (part + 0.5) / parts * length / (md2 - md1)
            if angle > 1e-9:
                weights = math.sin((1 - at) * angle) / math.sin(angle), math.sin(at * angle) / math.sin(angle)
            else:
                weights = 1 - at, at
            for axis in range(3):
                position[axis] += (weights[0] * one[axis] + weights[1] * two[axis]) * length / parts
    return [("", repr(position[{"north": 0, "east": 1, "tvd": 2}[what]]))]


def log(api: str, curve: str, depth: float, base: float | None = None) -> GoldRows:
    """A curve at a depth in ft, or its mean down to another."""
    lines = FILES[f"{api}.las"].read_text(encoding="utf-8").splitlines()
    header, samples = lines[: lines.index("~ASCII")], lines[lines.index("~ASCII") + 1 :]
    names = [line.split(".")[0].strip() for line in header[header.index("~Curve") + 1 :]]
    factor = 1 / 0.3048 if any(line.startswith("DEPT.M") for line in header) else 1.0
    at = names.index(curve)
    pairs = []
    for line in samples:
        values = line.split()
        if values and float(values[at]) != -999.25:
            pairs.append((float(values[0]) * factor, float(values[at])))
    if base is not None:
        inside = [value for md, value in pairs if depth <= md <= base]
        return [("", repr(sum(inside) / len(inside)))]
    above = max(pair for pair in pairs if pair[0] <= depth)
    below = min(pair for pair in pairs if pair[0] >= depth)
    if above[0] == below[0]:
        return [("", repr(above[1]))]
    return [("", repr(above[1] + (below[1] - above[1]) * (depth - above[0]) / (below[0] - above[0])))]


PYTHON_GOLD: Mapping[str, Callable[..., GoldRows]] = {
    "decline": decline,
    "forecast": forecast,
    "economic": economic,
    "survey": survey,
    "log": log,
}
