"""Loads files into the tables: each in one transaction, the same bytes once. A file that changed replaces its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.specialists.well_data.loading.csv_file import parse_csv
from services.specialists.well_data.loading.las_file import parse_las
from services.specialists.well_data.loading.records import FileKind, FileRefused, ParsedFile, RefusedRow
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)
_WORK_DATABASE = "the work database"
LOAD_TIMEOUT_S = 300
_COLUMNS: Mapping[FileKind, tuple[str, ...]] = {
    "wells": (
        "api", "name", "basin", "field", "formation", "county", "state", "operator", "pad", "lease", "status",
        "lift_type", "spud_date", "first_production", "completed_on", "latitude", "longitude", "lateral_length_ft",
        "perforated_top_ft", "perforated_base_ft", "stages", "proppant_lb",
    ),
    "production": ("api", "completion", "month", "oil_bbl", "gas_mcf", "water_bbl", "days_on", "basis"),
    "downtime": ("outage_id", "api", "started_at", "ended_at", "cause", "deferred_oil_bbl"),
    "lease_meters": ("lease", "month", "oil_bbl", "gas_mcf", "water_bbl"),
    "survey": ("api", "wellbore", "md_ft", "inclination", "azimuth"),
}  # fmt: skip
"""In the order of the arrays of `save_KIND` in load.sql."""

_CURVE_COLUMNS = ("api", "wellbore", "mnemonic", "unit", "description", "depths_ft", "samples")
_ORDER: Mapping[FileKind, int] = {"wells": 0}
"""Headers first: a row of a well without a header is refused."""


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """What became of one file. `problem` is set if the whole file was refused."""

    uri: str
    kind: FileKind | None
    accepted: int = 0
    refused: tuple[RefusedRow, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class InputFile:
    """The bytes of a file and where they come from."""

    uri: str
    data: bytes


async def load_files(pool: Pool, tenant: str, files: Sequence[InputFile], *, as_of: date) -> list[LoadedFile]:
    """Load all that can be used; headers first. Raises `Unavailable`."""
    reports: list[LoadedFile] = []
    parsed: list[tuple[InputFile, ParsedFile]] = []
    for file in files:
        try:
            parsed.append((file, parse_file(file)))
        except FileRefused as refused:
            reports.append(LoadedFile(file.uri, None, problem=str(refused)))
    parsed.sort(key=lambda each: (_ORDER.get(each[1].kind, 1), each[0].uri))
    for file, content in parsed:
        reports.append(await _load(pool, tenant, file, content, as_of))
    return reports


def parse_file(file: InputFile) -> ParsedFile:
    """The records of a file, by its name: `.las` is a log, all else CSV. Raises `FileRefused`."""
    return parse_las(file.data) if file.uri.lower().endswith(".las") else parse_csv(file.data)


async def _load(pool: Pool, tenant: str, file: InputFile, parsed: ParsedFile, as_of: date) -> LoadedFile:
    sha256 = hashlib.sha256(file.data).hexdigest()
    scope = SessionScope(tenant, user="operator", session="load")
    async with Database(pool, _WORK_DATABASE, _SQL).transaction(scope) as database:
        await database.rows("all_basins")
        # One load of a tenant at a time: each sees the headers that the one before brought.
        await database.rows("lock", tenant)
        before = await database.row("loaded", tenant, file.uri)
        records, strangers = await _known_only(database, tenant, parsed)
        refused = (*parsed.refused, *strangers)
        same = before is not None and (before["sha256"], before["as_of"]) == (sha256, as_of)
        if same and (before["accepted"], before["refused"]) == (len(records), len(refused)):
            return LoadedFile(file.uri, parsed.kind, len(records), refused, tuple(parsed.notes), unchanged=True)
        found = await database.value(
            "record_file", tenant, file.uri, parsed.kind, sha256, as_of, len(records), len(refused)
        )
        await _replace(database, parsed.kind, tenant, int(found), records)
    return LoadedFile(file.uri, parsed.kind, len(records), refused, tuple(parsed.notes))


async def _known_only(
    database: Database, tenant: str, parsed: ParsedFile
) -> tuple[list[Mapping[str, Any]], list[RefusedRow]]:
    if parsed.kind == "wells":
        return parsed.records, []
    column, statement, what = (
        ("lease", "known_leases", "no loaded header names this lease")
        if parsed.kind == "lease_meters"
        else ("api", "known_wells", "this well has no loaded header")
    )
    known = {row[0] for row in await database.rows(statement, tenant)}
    name = {"lease": "LEASE_ID", "api": "API_NUMBER"}[column]
    strangers = [
        RefusedRow(record.get("line", 0), name, f"{what}: load the file of wells first")
        for record in parsed.records
        if record[column] not in known
    ]
    return [record for record in parsed.records if record[column] in known], strangers


async def _replace(
    database: Database, kind: FileKind, tenant: str, file_id: int, records: Sequence[Mapping[str, Any]]
) -> None:
    """The rows of a file in place of those that it had. A row that another file had is now this file's."""
    await database.rows("delete_rows", file_id)
    if kind == "log":
        for record in records:
            await database.execute("save_log", tenant, file_id, *(record[name] for name in _CURVE_COLUMNS))
        return
    arrays = [[record[name] for record in records] for name in _COLUMNS[kind]]
    lines = [record["line"] for record in records]
    await database.execute(f"save_{kind}", tenant, file_id, lines, *arrays, timeout_s=LOAD_TIMEOUT_S)
