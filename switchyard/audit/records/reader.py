"""Reading the log, for the command line and the console. The role `audit_reader` is enough."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S, STORED_SQL, CaseStatus, StoredRow, read_stored_row
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """A row of the view `case_summary`. Times are the producers'; `duration_ms` is None while the case is open."""

    opened_on: date
    case_id: str
    tenant: str
    session_id: str
    playbook_version: str
    route: str
    agents: tuple[str, ...]
    model_ids: tuple[str, ...]
    hops: int
    opened_at: datetime | None
    closed_at: datetime | None
    duration_ms: int | None
    status: CaseStatus
    outcome: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """A row of the view `case_timeline`: one transition, in causal order."""

    step: int
    seq: int
    ordinal: int
    event_id: str
    event_ts: datetime
    recorded_at: datetime
    node_from: str
    node_to: str
    transition: str
    model_id: str | None
    latency_ms: int | None
    rubric_score: int | None
    since_opened_ms: int
    terminal: bool
    outcome: str | None
    transcript_hash: str


@dataclass(frozen=True, slots=True)
class StoredAlarm:
    """A row of `integrity_alarm`."""

    kind: str
    event_id: str | None
    case_id: str | None
    reason: str
    field: str | None
    body: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LogCounts:
    """The log in numbers. `unplanned` rows are in the default partition; `outcomes` counts terminal events."""

    transitions: int
    events: int
    cases: int
    unplanned: int
    outcomes: dict[str, int]
    alarms: dict[str, int]


class LogReader:
    """Reads the log.

    Every method raises `Unavailable` when the database cannot be reached, and `ValueError` for a case id that is not a
    UUID.
    """

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)

    async def list_cases(
        self,
        *,
        tenant: str | None = None,
        session_id: str | None = None,
        day: date | None = None,
        outcome: str | None = None,
        status: CaseStatus | None = None,
        limit: int = 50,
    ) -> list[CaseSummary]:
        """The latest cases that match every filter."""
        picked = await self._database.rows("pick_cases", tenant, session_id, day, outcome, status, limit)
        return await self._summaries([(row["opened_on"], row["case_id"]) for row in picked])

    async def summary(self, case_id: str) -> CaseSummary | None:
        """One case; None if it is not in the log."""
        case = uuid.UUID(case_id)
        days = await self._database.rows("days_of", case)
        found = await self._summaries([(row["opened_on"], case) for row in days])
        return found[0] if found else None

    async def find_case_ids(self, prefix: str) -> list[str]:
        """At most three case ids that begin with `prefix`, those with receipts only included."""
        return [str(row["case_id"]) for row in await self._database.rows("cases_like", prefix.lower())]

    async def timeline(self, case_id: str) -> list[TimelineStep]:
        """The transitions of one case in causal order."""
        return [TimelineStep(**row) for row in await self._database.rows("timeline", uuid.UUID(case_id))]

    async def bodies(self, case_id: str) -> list[str]:
        """The recorded bodies of one case in causal order, without the retired ones."""
        return [row["body"] for row in await self._database.rows("bodies", uuid.UUID(case_id))]

    async def alarms(self, *, case_id: str | None = None, limit: int = 100) -> list[StoredAlarm]:
        """The latest integrity alarms."""
        case = None if case_id is None else uuid.UUID(case_id)
        return [StoredAlarm(**row) for row in await self._database.rows("alarms", case, limit)]

    async def counts(self) -> LogCounts:
        """The log in numbers. Reads the whole log."""
        (totals,) = await self._database.rows("count_transitions")
        outcomes = {row["name"]: row["count"] for row in await self._database.rows("count_outcomes")}
        alarms = {row["name"]: row["count"] for row in await self._database.rows("count_alarms")}
        return LogCounts(**totals, outcomes=outcomes, alarms=alarms)

    async def cases(
        self, *, case_id: str | None = None, day: date | None = None
    ) -> AsyncGenerator[list[StoredRow], None]:
        """The rows of case after case, in causal order. One case in memory at a time."""
        rows: list[StoredRow] = []
        async with aclosing(self.stored_rows(None if case_id is None else uuid.UUID(case_id), day)) as stored:
            async for each in stored:
                if rows and rows[0].row.case_id != each.row.case_id:
                    yield rows
                    rows = []
                rows.append(each)
        if rows:
            yield rows

    async def stored_rows(self, case: uuid.UUID | None, day: date | None) -> AsyncGenerator[StoredRow, None]:
        """The rows of one case, of one day, or of the whole log, from one snapshot."""
        async with (
            self._database.with_queries(STORED_SQL).transaction(isolation="repeatable_read", readonly=True) as log,
            aclosing(log.stream("stored", case, day, timeout_s=SCAN_TIMEOUT_S)) as records,
        ):
            async for record in records:
                yield read_stored_row(record)

    async def _summaries(self, cases: list[tuple[date, uuid.UUID]]) -> list[CaseSummary]:
        rows = await self._database.rows("summaries", [day for day, _ in cases], [case for _, case in cases])
        return [
            CaseSummary(
                **{
                    **row,
                    "agents": tuple(row["agents"]),
                    "model_ids": tuple(row["model_ids"]),
                    "status": CaseStatus(row["status"]),
                }
            )
            for row in rows
        ]
