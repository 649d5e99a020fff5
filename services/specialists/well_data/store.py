"""Reads loaded well data as one user: row-level security by tenant and basin, set for one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from services.specialists.well_data.field_data import (
    FieldData,
    LeaseMonth,
    LogCurve,
    Outage,
    SourceRow,
    Station,
    Well,
    WellMonth,
)
from services.specialists.well_data.results import NotComputable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

_SQL = load_queries(__file__)
MAX_ROWS = 400_000
ALL_BASINS = "*"
LoadedTable = Literal["months", "outages", "lease_months", "surveys", "curves"]
_WELL_FIELDS = (
    "api", "name", "basin", "field", "formation", "county", "state", "operator", "pad", "lease", "status", "lift_type",
    "spud_date", "first_production", "completed_on", "latitude", "longitude", "lateral_length_ft", "perforated_top_ft",
    "perforated_base_ft", "stages", "proppant_lb",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WellScope:
    """As whom a transaction reads, and the basins that the role allows. No basins: no rows."""

    session: SessionScope
    basins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What one computation reads; `choose` picks the wells, and may raise `NotComputable`."""

    tables: frozenset[LoadedTable]
    choose: Callable[[Sequence[Well]], Sequence[Well]]
    first_month: date | None = None
    last_month: date | None = None
    curve: str | None = None


class WellStore:
    """The loaded data of all tenants, each seen by its own users only."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", _SQL)

    async def read(self, scope: WellScope, request: DataRequest) -> FieldData:
        """The requested rows that this user may see. Raises `NotComputable` and `Unavailable`."""
        async with self._database.transaction(scope.session, isolation="repeatable_read", readonly=True) as database:
            await database.rows("basins", list(scope.basins))
            kinds = ["wells", *(["production"] if "months" in request.tables else [])]
            as_of = await database.value("as_of", kinds)
            headers = await database.rows("wells")
            chosen = request.choose([_well(row) for row in headers])
            apis = [well.api for well in chosen]
            leases = sorted({well.lease for well in chosen if well.lease})

            async def rows(table: LoadedTable, statement: str, *arguments: Any) -> list[Any]:
                if table not in request.tables:
                    return []
                found = await database.rows(statement, *arguments, MAX_ROWS + 1)
                if len(found) > MAX_ROWS:
                    message = f"the question needs more than {MAX_ROWS:,} rows: name a shorter period or fewer wells"
                    raise NotComputable("too_much_data", message)
                return found

            return build_field_data(
                as_of,
                wells=headers,
                months=await rows("months", "months", apis, request.first_month, request.last_month),
                outages=await rows("outages", "outages", apis),
                lease_months=await rows("lease_months", "lease_months", leases),
                stations=await rows("surveys", "stations", apis),
                curves=await self._curves(rows, apis, request.curve),
            )

    async def _curves(self, rows: Any, apis: list[str], curve: str | None) -> list[Any]:
        found: list[Any] = await rows("curves", "curves", apis, curve) if curve else []
        return found or await rows("curves", "curve_names", apis)


def build_field_data(
    as_of: date | None,
    *,
    wells: Sequence[Any],
    months: Sequence[Any] = (),
    outages: Sequence[Any] = (),
    lease_months: Sequence[Any] = (),
    stations: Sequence[Any] = (),
    curves: Sequence[Any] = (),
) -> FieldData:
    """What computations read, from rows of the tables with `uri` and `line` of their source."""
    return FieldData(
        as_of,
        tuple(_well(row) for row in wells),
        months=_months(months),
        outages=tuple(_outage(row) for row in outages),
        lease_months=tuple(_lease_month(row) for row in lease_months),
        surveys=_surveys(stations),
        curves=tuple(_curve(row) for row in curves),
    )


def add_completions(months: Sequence[WellMonth]) -> tuple[WellMonth, ...]:
    """One month per well: completions that report apart are added up. The sources are kept."""
    found: dict[tuple[str, date], WellMonth] = {}
    for month in months:
        key = (month.api, month.month)
        found[key] = month if (first := found.get(key)) is None else _added(first, month)
    return tuple(found.values())


def _added(one: WellMonth, two: WellMonth) -> WellMonth:
    def total(first: float | None, second: float | None) -> float | None:
        return second if first is None else first if second is None else first + second

    days = [each for each in (one.days_on, two.days_on) if each is not None]
    return WellMonth(
        one.api,
        one.month,
        total(one.oil, two.oil),
        total(one.gas, two.gas),
        total(one.water, two.water),
        max(days) if days else None,
        one.basis if one.basis == two.basis else "allocated",
        SourceRow(one.source.file, one.source.line, (*one.source.also, two.source)),
    )


def _source(row: Any) -> SourceRow:
    return SourceRow(row["uri"], row["line"])


def _well(row: Any) -> Well:
    return Well(source=_source(row), **{name: row[name] for name in _WELL_FIELDS})


def _months(rows: Sequence[Any]) -> tuple[WellMonth, ...]:
    return add_completions(
        [
            WellMonth(
                row["api"], row["month"], row["oil_bbl"], row["gas_mcf"], row["water_bbl"], row["days_on"],
                row["basis"], _source(row),
            )
            for row in rows
        ]
    )  # fmt: skip


def _outage(row: Any) -> Outage:
    return Outage(row["api"], row["started_at"], row["ended_at"], row["cause"], row["deferred_oil_bbl"], _source(row))


def _lease_month(row: Any) -> LeaseMonth:
    return LeaseMonth(row["lease"], row["month"], row["oil_bbl"], row["gas_mcf"], row["water_bbl"], _source(row))


def _surveys(rows: Sequence[Any]) -> dict[str, tuple[Station, ...]]:
    found: dict[str, list[Station]] = {}
    for row in rows:
        station = Station(row["md_ft"], row["inclination"], row["azimuth"], _source(row))
        found.setdefault(row["wellbore"], []).append(station)
    return {wellbore: tuple(stations) for wellbore, stations in found.items()}


def _curve(row: Any) -> LogCurve:
    return LogCurve(
        row["wellbore"], row["mnemonic"], row["unit"], row["description"], tuple(row["depths_ft"]),
        tuple(row["samples"]), row["uri"],
    )  # fmt: skip
