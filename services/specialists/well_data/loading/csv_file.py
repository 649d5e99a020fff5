"""CSV files of production, headers, downtime, lease meters and surveys. Columns say their units: OIL_BBL or OIL_M3."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from services.specialists.well_data.loading.records import FileKind, FileRefused, ParsedFile, RefusedRow
from services.specialists.well_data.months import days_in
from services.specialists.well_data.well_numbers import TEXAS, WellNumber, parse_well_number

BBL_PER_M3 = 1 / 0.158987294928
MCF_PER_M3 = 35.31466672148859 / 1_000
FEET_PER_METRE = 1 / 0.3048
LB_PER_KG = 1 / 0.45359237
MAX_FILE_BYTES = 200_000_000
MAX_MONTHLY = 10_000_000.0
"""A larger monthly volume of one well is an error of the unit or the column."""
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
"""A number as files write it. Python reads more: 1_0 and digits of other scripts, which are errors of the file."""
STATUSES = ("producing", "shut_in", "plugged", "drilling")
BASES = ("measured", "reported", "allocated")

Record = dict[str, Any]
_OIL_UNITS = {"BBL": 1.0, "M3": BBL_PER_M3}
_LENGTHS = {"FT": 1.0, "M": FEET_PER_METRE}
_QUANTITIES: tuple[tuple[str, str, Mapping[str, float]], ...] = (
    ("OIL", "oil_bbl", _OIL_UNITS),
    ("GAS", "gas_mcf", {"MCF": 1.0, "M3": MCF_PER_M3, "E3M3": 1_000 * MCF_PER_M3}),
    ("WATER", "water_bbl", _OIL_UNITS),
    ("DEFERRED_OIL", "deferred_oil_bbl", _OIL_UNITS),
    ("MD", "md_ft", _LENGTHS),
    ("LATERAL_LENGTH", "lateral_length_ft", _LENGTHS),
    ("PERFORATED_TOP", "perforated_top_ft", _LENGTHS),
    ("PERFORATED_BASE", "perforated_base_ft", _LENGTHS),
    ("PROPPANT", "proppant_lb", {"LB": 1.0, "KG": LB_PER_KG}),
)
"""Quantities: the column's name before its unit, the field, and the factor of each unit."""

_KINDS: tuple[tuple[FileKind, tuple[str, ...]], ...] = (
    ("survey", ("API_NUMBER", "INCLINATION", "AZIMUTH")),
    ("downtime", ("API_NUMBER", "STARTED_AT", "CAUSE")),
    ("production", ("API_NUMBER", "PRODUCTION_MONTH")),
    ("lease_meters", ("LEASE_ID", "PRODUCTION_MONTH")),
    ("wells", ("API_NUMBER", "WELL_NAME", "BASIN")),
)


class _Bad(Exception):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


def parse_csv(data: bytes) -> ParsedFile:
    """The records of a CSV file, plain or gzipped. Raises `FileRefused`."""
    rows = csv.reader(io.StringIO(_text(data), newline=""))
    try:
        header = [name.strip().upper() for name in next(rows, [])]
    except csv.Error as error:
        raise FileRefused(f"the first line is not CSV: {error}") from None
    kind = _kind_of(header)
    units = _units_of(header)
    parsed = ParsedFile(kind)
    read = _READERS[kind]
    seen: dict[Any, int] = {}
    for line, values in _lines(rows, parsed):
        try:
            record, key = read(_fields(header, values), units)
        except _Bad as bad:
            parsed.refused.append(RefusedRow(line, bad.field, bad.reason))
            continue
        if key in seen:
            parsed.refused.append(RefusedRow(line, "", f"repeats line {seen[key]}"))
            continue
        seen[key] = line
        parsed.records.append(record | {"line": line})
    return parsed


def _lines(rows: Any, parsed: ParsedFile) -> Iterator[tuple[int, list[str]]]:
    """Lines with their numbers; those that are not CSV are refused."""
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            parsed.refused.append(RefusedRow(rows.line_num, "", f"is not CSV: {error}"))
            continue
        if values is None:
            return
        if any(value.strip() for value in values):
            yield rows.line_num, values


def _fields(header: list[str], values: list[str]) -> dict[str, str]:
    if len(values) != len(header):
        raise _Bad("", f"has {len(values)} fields: the header has {len(header)}")
    return {name: value.strip() for name, value in zip(header, values, strict=True)}


def _text(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FileRefused(f"the gzip file is damaged ({type(error).__name__}): upload it again") from None
    if len(data) > MAX_FILE_BYTES:
        raise FileRefused(f"the file is larger than {MAX_FILE_BYTES:,} bytes: split it by year")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(f"byte {error.start} is not UTF-8: export the file as UTF-8") from None


def _kind_of(header: list[str]) -> FileKind:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise FileRefused(f"the header repeats {', '.join(repeated)}: name each column once")
    for kind, needed in _KINDS:
        if set(needed) <= set(header):
            return kind
    expected = "; ".join(f"{kind}: {', '.join(needed)}" for kind, needed in _KINDS)
    raise FileRefused(f"the header is of no known kind of file: expected the columns of one of ({expected})")


def _units_of(header: list[str]) -> Mapping[str, tuple[str, float]]:
    """The columns with a unit: the field of each, and the factor."""
    found: dict[str, tuple[str, float]] = {}
    for quantity, name, factors in _QUANTITIES:
        columns = {f"{quantity}_{unit}": (name, factor) for unit, factor in factors.items()}
        given = [column for column in header if column in columns]
        if quantity in header:
            raise FileRefused(f"the column {quantity} has no unit: name it {' or '.join(columns)}")
        if len(given) > 1:
            raise FileRefused(f"the columns {' and '.join(given)} give one quantity in two units: keep one")
        found |= {column: columns[column] for column in given}
    return found


def _read_well(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> tuple[Record, Any]:
    number = _api(row)
    status = row.get("STATUS", "").lower() or None
    if status is not None and status not in STATUSES:
        raise _Bad("STATUS", f"is {status[:20]!r}: expected {', '.join(STATUSES)}")
    record: Record = {
        "api": number.well,
        "name": _required(row, "WELL_NAME"),
        "basin": _required(row, "BASIN"),
        "status": status,
        "lease": _optional(row, "LEASE_ID"),
        "first_production": _day(row, "FIRST_PRODUCTION_DATE"),
        "spud_date": _day(row, "SPUD_DATE"),
        "completed_on": _day(row, "COMPLETION_DATE"),
        "latitude": _number(row, "LATITUDE", low=-90, high=90),
        "longitude": _number(row, "LONGITUDE", low=-180, high=180),
        "stages": _number(row, "STAGES", high=1_000),
    }
    for name in ("field", "formation", "county", "state", "operator", "pad", "lift_type"):
        record[name] = _optional(row, name.upper())
    for name in ("lateral_length_ft", "perforated_top_ft", "perforated_base_ft", "proppant_lb"):
        record[name] = None
    return record | _measured(row, units), number.well


def _read_production(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> tuple[Record, Any]:
    number, month = _api(row), _month(row)
    days = _number(row, "DAYS_ON")
    if days is not None and days > days_in(month):
        raise _Bad("DAYS_ON", f"is {days:g}: the month has {days_in(month)} days")
    basis = row.get("BASIS", "").lower()
    if basis and basis not in BASES:
        raise _Bad("BASIS", f"is {basis[:20]!r}: expected {', '.join(BASES)}")
    volumes = _volumes(row, units)
    if all(value is None for value in volumes.values()):
        raise _Bad("", "has no volume at all: leave the month out if it was not reported")
    completion = "-".join(part for part in (number.sidetrack, number.completion) if part)
    # Texas reports oil by lease: a volume of one well there is a share, unless the file says that it was measured.
    record = {
        "api": number.well,
        "completion": completion,
        "month": month,
        **volumes,
        "days_on": days,
        "basis": basis or ("allocated" if number.state == TEXAS else "reported"),
    }
    return record, (number, month)


def _read_lease(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> tuple[Record, Any]:
    lease, month = _required(row, "LEASE_ID"), _month(row)
    return {"lease": lease, "month": month, **_volumes(row, units)}, (lease, month)


def _read_downtime(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> tuple[Record, Any]:
    number = _api(row)
    started, ended = _moment(row, "STARTED_AT"), _moment(row, "ENDED_AT")
    if started is None:
        raise _Bad("STARTED_AT", "is missing")
    if ended is not None and ended < started:
        raise _Bad("ENDED_AT", "is before STARTED_AT")
    outage = _optional(row, "DOWNTIME_ID") or f"{number.well} {started:%Y-%m-%dT%H:%M:%S}"
    record = {
        "outage_id": outage,
        "api": number.well,
        "started_at": started,
        "ended_at": ended,
        "cause": _required(row, "CAUSE"),
        "deferred_oil_bbl": None,
    }
    return record | _measured(row, units), outage


def _read_station(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> tuple[Record, Any]:
    number, measured = _api(row), _measured(row, units)
    if measured.get("md_ft") is None:
        raise _Bad("MD_FT", "is missing: give MD_FT or MD_M")
    inclination, azimuth = _number(row, "INCLINATION", high=180), _number(row, "AZIMUTH", high=360)
    if inclination is None or azimuth is None:
        raise _Bad("INCLINATION" if inclination is None else "AZIMUTH", "is missing")
    record = {"api": number.well, "wellbore": number.wellbore, "inclination": inclination, "azimuth": azimuth}
    return record | measured, (number.wellbore, measured["md_ft"])


def _api(row: Mapping[str, str]) -> WellNumber:
    try:
        return parse_well_number(row["API_NUMBER"])
    except ValueError as error:
        raise _Bad("API_NUMBER", f"is invalid: {error}") from None


def _required(row: Mapping[str, str], name: str) -> str:
    value = row.get(name, "")
    if not value or len(value) > 200 or not value.isprintable():
        raise _Bad(name, "is missing" if not value else "is longer than 200 characters or not printable")
    return value


def _optional(row: Mapping[str, str], name: str) -> str | None:
    return _required(row, name) if row.get(name) else None


def _month(row: Mapping[str, str]) -> date:
    text = _required(row, "PRODUCTION_MONTH")
    day = _date(f"{text}-01" if len(text) == 7 else text, "PRODUCTION_MONTH")
    return day.replace(day=1)


def _day(row: Mapping[str, str], name: str) -> date | None:
    return _date(text, name) if (text := row.get(name, "")) else None


def _date(text: str, name: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _Bad(name, f"is {text[:30]!r}: expected YYYY-MM-DD") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise _Bad(name, f"is {text[:30]!r}: expected a year from 1900 to 2199")
    return day


def _moment(row: Mapping[str, str], name: str) -> datetime | None:
    text = row.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Bad(name, f"is {text[:30]!r}: expected YYYY-MM-DD HH:MM:SS in UTC") from None
    if moment.tzinfo is not None and (moment.utcoffset() or moment.tzinfo.utcoffset(moment)):
        raise _Bad(name, f"is {text[:40]!r}: expected a time in UTC")
    if not FIRST_DAY <= moment.date() <= LAST_DAY:
        raise _Bad(name, f"is {text[:30]!r}: expected a year from 1900 to 2199")
    return moment.replace(tzinfo=None)


def _number(row: Mapping[str, str], name: str, *, low: float = 0.0, high: float = math.inf) -> float | None:
    text = row.get(name, "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise _Bad(name, f"is {text[:30]!r}: expected a number")
    value = float(text)
    if not math.isfinite(value) or not low <= value <= high:
        raise _Bad(name, f"is {text[:30]}: expected a number {_range(low, high)}")
    return value


def _range(low: float, high: float) -> str:
    return f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"


def _measured(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> Record:
    found: Record = {}
    for column, (name, factor) in units.items():
        value = _number(row, column)
        found[name] = None if value is None else value * factor
    return found


def _volumes(row: Mapping[str, str], units: Mapping[str, tuple[str, float]]) -> Record:
    found = {"oil_bbl": None, "gas_mcf": None, "water_bbl": None} | _measured(row, units)
    for name, value in found.items():
        if value is not None and value > MAX_MONTHLY:
            raise _Bad(
                name.upper(), f"is {value:,.0f}, more than a well makes in a month: check the unit of the column"
            )
    return found


_READERS: Mapping[FileKind, Callable[[Mapping[str, str], Mapping[str, tuple[str, float]]], tuple[Record, Any]]] = {
    "wells": _read_well,
    "production": _read_production,
    "lease_meters": _read_lease,
    "downtime": _read_downtime,
    "survey": _read_station,
}
