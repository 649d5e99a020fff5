"""What the computations read: wells, their months, outages, meters, surveys and logs, each with its source row.

Volumes are in bbl and Mcf, depths in ft, as stored: the loader converts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

Basis = Literal["measured", "reported", "allocated"]
"""`measured` at the well; `reported` by well, with no word on how; `allocated` from a lease's volume."""

Stream = Literal["oil", "gas", "water"]
STREAM_UNITS: dict[Stream, str] = {"oil": "bbl", "gas": "Mcf", "water": "bbl"}


@dataclass(frozen=True, order=True, slots=True)
class SourceRow:
    """A line of a loaded file; `also` are further lines that were added to it."""

    file: str
    line: int
    also: tuple[SourceRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Well:
    """Header and completion facts. None is unknown."""

    api: str
    name: str
    basin: str
    source: SourceRow
    field: str | None = None
    formation: str | None = None
    county: str | None = None
    state: str | None = None
    operator: str | None = None
    pad: str | None = None
    lease: str | None = None
    status: str | None = None
    lift_type: str | None = None
    spud_date: date | None = None
    first_production: date | None = None
    completed_on: date | None = None
    latitude: float | None = None
    longitude: float | None = None
    lateral_length_ft: float | None = None
    perforated_top_ft: float | None = None
    perforated_base_ft: float | None = None
    stages: float | None = None
    proppant_lb: float | None = None

    @property
    def label(self) -> str:
        """Name and API number, for a reader."""
        return f"{self.name} ({self.api})"


@dataclass(frozen=True, slots=True)
class WellMonth:
    """What a well made in a month. A stream of None was not reported. Completions of one well are added up."""

    api: str
    month: date
    oil: float | None
    gas: float | None
    water: float | None
    days_on: float | None
    basis: Basis
    source: SourceRow

    def volume(self, stream: Stream) -> float | None:
        """The volume of a stream: bbl, or Mcf of gas."""
        return {"oil": self.oil, "gas": self.gas, "water": self.water}[stream]


@dataclass(frozen=True, slots=True)
class Outage:
    """A time that a well was down."""

    api: str
    started_at: datetime
    ended_at: datetime | None
    """None: it is still down."""
    cause: str
    deferred_oil: float | None
    """bbl that were not made over the whole time, as the operator estimates."""
    source: SourceRow


@dataclass(frozen=True, slots=True)
class LeaseMonth:
    """What the meter of a lease measured in a month."""

    lease: str
    month: date
    oil: float | None
    gas: float | None
    water: float | None
    source: SourceRow


@dataclass(frozen=True, order=True, slots=True)
class Station:
    """A station of a deviation survey, in degrees and ft along hole."""

    md_ft: float
    inclination: float
    azimuth: float
    source: SourceRow


@dataclass(frozen=True, slots=True)
class LogCurve:
    """A curve of a log. None is a null of the file."""

    wellbore: str
    mnemonic: str
    unit: str
    description: str
    depths_ft: tuple[float, ...]
    values: tuple[float | None, ...]
    file: str


@dataclass(frozen=True, slots=True)
class FieldData:
    """What one computation may read: no more than the user may see."""

    as_of: date | None
    """The day up to which the data were complete when they were loaded."""
    wells: tuple[Well, ...] = ()
    months: tuple[WellMonth, ...] = ()
    outages: tuple[Outage, ...] = ()
    lease_months: tuple[LeaseMonth, ...] = ()
    surveys: dict[str, tuple[Station, ...]] = field(default_factory=dict)
    """By wellbore, in order of depth."""
    curves: tuple[LogCurve, ...] = ()

    def months_by_well(self) -> dict[str, list[WellMonth]]:
        """The months of each well in order; a well without months is missing."""
        found: dict[str, list[WellMonth]] = defaultdict(list)
        for month in sorted(self.months, key=lambda each: each.month):
            found[month.api].append(month)
        return dict(found)

    def well(self, api: str) -> Well:
        """The well of a number. Raises `KeyError`."""
        return {well.api: well for well in self.wells}[api]


def cite_rows(rows: Iterable[SourceRow]) -> tuple[str, ...]:
    """`file:lines` for each file, runs of lines drawn together."""
    by_file: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        for each in (row, *row.also):
            by_file[each.file].add(each.line)
    return tuple(f"{file}:{_runs(sorted(lines))}" for file, lines in sorted(by_file.items()))


def _runs(lines: list[int]) -> str:
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
