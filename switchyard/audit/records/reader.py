"""Reading the log, for the command line and the console. Needs no more than the role `audit_reader`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from switchyard.audit.records.recorded_event import STORED_SQL, read_stored_row
from switchyard.audit.retention.reader import LONG_S, RetentionReader
from switchyard.audit.verification.findings import CaseStatus, CaseVerdict, StoredRow, VerifyReport
from switchyard.audit.verification.retired import NO_TRUSTED_KEYS
from switchyard.audit.verification.verify import VERIFICATION_GRACE, verify_cases
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_DATABASE = "the audit database"
_FETCH = 200
"""Rows in memory at once while streaming. A body is at most 256 KB, and usually 3."""


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """A row of the view `case_summary`. Times are the producers'; `duration_ms` is None while the case is open."""

    opened_on: date
    case_id: str
    tenant: str
    session_id: str
    playbook_version: str
    route: str
    agent: str | None
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


class AuditReader:
    """The log, as its readers.

    Every method raises `Unavailable` when the database cannot be reached, and `ValueError` for a case id that is no
    UUID.
    """

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        *,
        clock: Clock | None = None,
        trusted: TrustedKeys = NO_TRUSTED_KEYS,
    ) -> None:
        """`trusted` are the keys that may have signed a retention receipt."""
        self._pool = pool
        self._catalogue = catalogue
        self._clock = clock or SystemClock()
        self._retention = RetentionReader(pool, trusted)

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
        """The latest cases that fit every filter given."""
        picked = await self._fetch("pick_cases", tenant, session_id, day, outcome, status, limit)
        return await self._summaries([(row["opened_on"], row["case_id"]) for row in picked])

    async def summary(self, case_id: str) -> CaseSummary | None:
        """One case; None if the log has nothing of it."""
        case = uuid.UUID(case_id)
        days = await self._fetch("days_of", case)
        found = await self._summaries([(row["opened_on"], case) for row in days])
        return found[0] if found else None

    async def find_case_ids(self, prefix: str) -> list[str]:
        """The case ids that begin like this, at most three: enough to say that it is not one. Receipts count, too."""
        return [str(row["case_id"]) for row in await self._fetch("cases_like", prefix.lower())]

    async def timeline(self, case_id: str) -> list[TimelineStep]:
        """The transitions of one case in causal order."""
        return [TimelineStep(**row) for row in await self._fetch("timeline", uuid.UUID(case_id))]

    async def bodies(self, case_id: str) -> list[str]:
        """The received texts of one case in causal order, those that were not retired: what a replay reads."""
        return [row["body"] for row in await self._fetch("bodies", uuid.UUID(case_id))]

    async def alarms(self, *, case_id: str | None = None, limit: int = 100) -> list[StoredAlarm]:
        """The latest integrity alarms."""
        case = None if case_id is None else uuid.UUID(case_id)
        return [StoredAlarm(**row) for row in await self._fetch("alarms", case, limit)]

    async def counts(self) -> LogCounts:
        """The log in numbers. Reads all of it."""
        (totals,) = await self._fetch("count_transitions")
        outcomes = {row["name"]: row["count"] for row in await self._fetch("count_outcomes")}
        alarms = {row["name"]: row["count"] for row in await self._fetch("count_alarms")}
        return LogCounts(**totals, outcomes=outcomes, alarms=alarms)

    async def verify(
        self,
        *,
        case_id: str | None = None,
        day: date | None = None,
        now: datetime | None = None,
        grace: timedelta = VERIFICATION_GRACE,
        limit: int = 1_000,
    ) -> VerifyReport:
        """Prove one case, the cases opened on one day, or the whole log. At most `limit` findings are listed."""
        scope = f"case {case_id}" if case_id else f"day {day.isoformat()}" if day else "all"
        report = VerifyReport(scope, limit)
        async with aclosing(self.verdicts(case_id=case_id, day=day, now=now, grace=grace)) as found:
            async for verdict in found:
                report.add(verdict)
        return report

    async def verdicts(
        self,
        *,
        case_id: str | None = None,
        day: date | None = None,
        now: datetime | None = None,
        grace: timedelta = VERIFICATION_GRACE,
    ) -> AsyncGenerator[CaseVerdict, None]:
        """Case after case, from one snapshot and in bounded memory, however large the log is."""
        case = None if case_id is None else uuid.UUID(case_id)
        retired = await self._retention.receipts()
        async with aclosing(self._stored(case, day)) as rows:
            async for verdict in verify_cases(
                self._catalogue, rows, now=now or self._clock.now(), grace=grace, retired=retired.of_case
            ):
                yield verdict
        async with aclosing(retired.without_rows(case, day)) as gone:
            async for verdict in gone:
                yield verdict

    async def cases(
        self, *, case_id: str | None = None, day: date | None = None
    ) -> AsyncGenerator[list[StoredRow], None]:
        """The rows of one case after another, in causal order: what a replay reads. One case in memory at a time."""
        rows: list[StoredRow] = []
        async with aclosing(self._stored(None if case_id is None else uuid.UUID(case_id), day)) as stored:
            async for each in stored:
                if rows and rows[0].row.case_id != each.row.case_id:
                    yield rows
                    rows = []
                rows.append(each)
        if rows:
            yield rows

    async def _stored(self, case: uuid.UUID | None, day: date | None) -> AsyncGenerator[StoredRow, None]:
        with translate_errors(_DATABASE):
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                async for record in connection.cursor(STORED_SQL, case, day, prefetch=_FETCH, timeout=LONG_S):
                    yield read_stored_row(record)

    async def _summaries(self, cases: list[tuple[date, uuid.UUID]]) -> list[CaseSummary]:
        rows = await self._fetch("summaries", [day for day, _ in cases], [case for _, case in cases])
        return [
            CaseSummary(**{**row, "model_ids": tuple(row["model_ids"]), "status": CaseStatus(row["status"])})
            for row in rows
        ]

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        with translate_errors(_DATABASE):
            rows: list[Any] = await self._pool.fetch(_SQL[name], *arguments)
            return rows
