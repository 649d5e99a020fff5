"""Reading and verifying the log, for the command line and the console. The role `audit_reader` is enough."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S, STORED_SQL, CaseStatus, StoredRow, read_stored_row
from switchyard.audit.verification.case_verifier import NO_ROW_CHECKS, RowTrust, verify_cases
from switchyard.audit.verification.findings import VerifyReport
from switchyard.audit.verification.retired_cases import NO_TRUSTED_KEYS, RetiredCases
from switchyard.audit.verification.snapshots import NEW_SNAPSHOT, Snapshot, export_snapshot
from switchyard.audit.verification.verified_prefix import VerifiedPrefix
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_CASES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """A row of the view `case_summary`. Times are the producers'; an open case has no `closed_at`."""

    opened_on: date
    case_id: str
    tenant: str
    session_id: str
    playbook_version: str
    route: str
    agents: Sequence[str]
    model_ids: Sequence[str]
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
class CredentialAccess:
    """A row of the view `credential_access`: one credential that a step used in a user's name."""

    event_ts: datetime
    recorded_at: datetime
    case_id: str
    agent: str
    audience: str | None
    scopes: Sequence[str]
    grant_id: str | None
    jti: str | None
    event_id: str
    transition: str


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
class CaseRange:
    """The cases from one id on and before another, in an exported snapshot of the log; `dropped` are the partitions
    that were dropped before it."""

    first: uuid.UUID | None
    before: uuid.UUID | None
    snapshot: str
    now: datetime
    dropped: frozenset[str]


class AuditReader:
    """Reads the log and verifies it. `trusted` are the keys that may have signed a retention receipt, and `rows`
    those that authenticate rows and their signers.

    Every method raises `Unavailable` when the database cannot be reached, and `ValueError` for a case id that is not a
    UUID.
    """

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        *,
        clock: Clock | None = None,
        trusted: TrustedKeys = NO_TRUSTED_KEYS,
        rows: RowTrust = NO_ROW_CHECKS,
    ) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)
        self._catalogue = catalogue
        self._clock = clock or SystemClock()
        self._retired = RetiredCases(pool, trusted)
        self._rows = rows

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
        return await self._summaries(picked)

    async def summary(self, case_id: str) -> CaseSummary | None:
        """One case; None if it is not in the log."""
        found = await self._summaries(await self._database.rows("days_of", uuid.UUID(case_id)))
        return found[0] if found else None

    async def _summaries(self, cases: list[Any]) -> list[CaseSummary]:
        days, ids = [row["opened_on"] for row in cases], [row["case_id"] for row in cases]
        rows = await self._database.rows("summaries", days, ids)
        return [CaseSummary(**{**row, "status": CaseStatus(row["status"])}) for row in rows]

    async def find_case_ids(self, prefix: str) -> list[str]:
        """At most three case ids that begin with `prefix`, those with receipts only included."""
        digits = prefix.lower().replace("-", "")
        if not re.fullmatch("[0-9a-f]{0,32}", digits):
            return []
        # The range is what an index finds.
        bounds = (uuid.UUID(digits.ljust(32, end)) for end in "0f")
        return [str(row["case_id"]) for row in await self._database.rows("cases_like", prefix.lower(), *bounds)]

    async def known_cases(self, case_ids: Iterable[str]) -> set[str]:
        """Those of these cases whose first event is in the log."""
        rows = await self._database.rows("cases_known", [uuid.UUID(case_id) for case_id in case_ids])
        return {row["case_id"] for row in rows}

    async def timeline(self, case_id: str) -> list[TimelineStep]:
        """The transitions of one case in causal order."""
        return [TimelineStep(**row) for row in await self._database.rows("timeline", uuid.UUID(case_id))]

    async def bodies(self, case_id: str) -> list[str]:
        """The recorded bodies of one case in causal order, without the retired ones."""
        return [row["body"] for row in await self._database.rows("bodies", uuid.UUID(case_id))]

    async def accesses(
        self, user: uuid.UUID, *, since: datetime | None = None, agent: str | None = None, limit: int = 200
    ) -> list[CredentialAccess]:
        """The latest credentials that were used in the name of a user, who is named by their pseudonym."""
        rows = await self._database.rows("accesses", user, since, agent, limit)
        return [CredentialAccess(**row) for row in rows]

    async def alarms(self, *, case_id: str | None = None, limit: int = 100) -> list[StoredAlarm]:
        """The latest integrity alarms."""
        case = None if case_id is None else uuid.UUID(case_id)
        return [StoredAlarm(**row) for row in await self._database.rows("alarms", case, limit)]

    async def cases(
        self, *, case_id: str | None = None, day: date | None = None
    ) -> AsyncGenerator[list[StoredRow], None]:
        """The rows of case after case, in causal order. One case in memory at a time."""
        rows: list[StoredRow] = []
        case = None if case_id is None else uuid.UUID(case_id)
        async with NEW_SNAPSHOT.open(self._database) as log, aclosing(_stored_rows(log, case, day)) as stored:
            async for each in stored:
                if rows and rows[0].row.case_id != each.row.case_id:
                    yield rows
                    rows = []
                rows.append(each)
        if rows:
            yield rows

    async def verify(
        self,
        *,
        case_id: str | None = None,
        day: date | None = None,
        now: datetime | None = None,
        progress: Callable[[VerifyReport], None] | None = None,
    ) -> VerifyReport:
        """Verify one case, the cases opened on one day, or the whole log, from one snapshot and in bounded memory.
        `progress` gets the report before it is complete, and again and again while it grows."""
        report = VerifyReport(f"case {case_id}" if case_id else f"day {day.isoformat()}" if day else "all")
        case = None if case_id is None else uuid.UUID(case_id)
        # Before the rows are read: a partition that is dropped meanwhile is in the snapshot of the rows.
        dropped = await self._retired.dropped_partitions()
        async with NEW_SNAPSHOT.open(self._database) as log, aclosing(_stored_rows(log, case, day)) as rows:
            await self._judge(rows, report, now or self._clock.now(), dropped, progress)
        return await self._without_rows(report, case, day)

    async def verify_since(self, prefix: VerifiedPrefix, *, now: datetime | None = None) -> VerifyReport:
        """Verify each case that has rows after a verified prefix, that got a receipt since, or whose deadline has
        passed since: the whole case, and no other row of the prefix."""
        report = VerifyReport(f"rows after log index {prefix.body.last:,}")
        now, since = now or self._clock.now(), prefix.verified_since
        dropped = await self._retired.dropped_partitions()
        async with NEW_SNAPSHOT.open(self._database) as log:
            bounds = (prefix.body.last, prefix.recorded_until, since, now)
            async with aclosing(_chunks(log.stream("cases_since", *bounds, timeout_s=SCAN_TIMEOUT_S))) as chunks:
                async for cases in chunks:
                    async with aclosing(_stored_rows(log, cases=cases)) as rows:
                        await self._judge(rows, report, now, dropped)
        return await self._without_rows(report, since=since)

    @asynccontextmanager
    async def split(self, parts: int, now: datetime) -> AsyncIterator[list[CaseRange]]:
        """The whole log in about equal ranges of case ids, in order, of one snapshot that lives with the context."""
        dropped = await self._retired.dropped_partitions()
        async with export_snapshot(self._database) as snapshot:
            bounds = [uuid.UUID(int=number * 2**128 // parts) for number in range(1, parts)]
            pairs = zip([None, *bounds], [*bounds, None], strict=True)
            yield [CaseRange(first, before, snapshot, now, dropped) for first, before in pairs]

    async def verify_range(self, part: CaseRange) -> VerifyReport:
        """Verify the cases of one range, in its snapshot. The reports of all ranges, merged in order, and
        `verify_rest` make the report of `verify`."""
        report = VerifyReport("all")
        async with Snapshot(part.snapshot).open(self._database) as log:
            rows = _stored_rows(log, first=part.first, before=part.before)
            async with aclosing(rows):
                await self._judge(rows, report, part.now, part.dropped)
        return report

    async def verify_rest(self, report: VerifyReport) -> VerifyReport:
        """Add to the report what is in no range of cases: those that only receipts are left of, and erasures."""
        return await self._without_rows(report)

    async def size(self) -> int:
        """The last log index: about how many rows there are."""
        return int(await self._database.value("last_index"))

    async def _judge(
        self,
        rows: AsyncIterator[StoredRow],
        report: VerifyReport,
        now: datetime,
        dropped: frozenset[str],
        progress: Callable[[VerifyReport], None] | None = None,
    ) -> None:
        receipts = partial(self._retired.of_case, dropped=dropped)
        async for verdict in verify_cases(self._catalogue, rows, now=now, retired=receipts, trusted=self._rows):
            report.add(verdict)
            if progress is not None:
                progress(report)
                await asyncio.sleep(0)  # who wants progress does other work beside

    async def _without_rows(
        self,
        report: VerifyReport,
        case: uuid.UUID | None = None,
        day: date | None = None,
        since: datetime | None = None,
    ) -> VerifyReport:
        async with aclosing(self._retired.without_rows(case, day, since)) as rest:
            async for verdict in rest:
                report.add(verdict)
        if case is None and day is None:
            report.add_findings([found async for found in self._retired.forged_erasures(since)])
        return report


async def _stored_rows(
    log: Database,
    case: uuid.UUID | None = None,
    day: date | None = None,
    *,
    cases: Sequence[uuid.UUID] | None = None,
    first: uuid.UUID | None = None,
    before: uuid.UUID | None = None,
) -> AsyncGenerator[StoredRow, None]:
    """The rows that match what is given, in causal order within each case."""
    stored = log.with_queries(STORED_SQL).stream("stored", case, day, cases, first, before, timeout_s=SCAN_TIMEOUT_S)
    async with aclosing(stored) as records:
        async for record in records:
            yield read_stored_row(record)


async def _chunks(rows: AsyncGenerator[Any, None]) -> AsyncGenerator[list[uuid.UUID], None]:
    chunk: list[uuid.UUID] = []
    async with aclosing(rows):
        async for row in rows:
            chunk.append(row["case_id"])
            if len(chunk) == _CASES_AT_ONCE:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
