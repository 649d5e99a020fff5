"""What did not work: failed cases with their causes, tasks without an outcome, and what audit refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.failed_case import FailedCaseEvents, NotRetryable, find_failure
from switchyard.console.case_list import LIST_TIMEOUT_S
from switchyard.console.tenants import TenantGuard, Tenants, rows_to_read
from switchyard.protocol.catalogue import Catalogue
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_WORK_SQL = load_queries(__file__, "work.sql")
MAX_FAILURES = 200
_MOST = {"cases": MAX_FAILURES, "groups": MAX_FAILURES, "tasks": 200, "quarantined": 50}
"""Rows on the page. The statements read one more, which says that there are more."""

FAILURE_DAYS = 7
MAX_REDRIVE = 100
"""Cases in one run."""


@dataclass(frozen=True)
class FailureGroup:
    """Failed cases of one cause."""

    node: str
    code: str
    prompt: str
    """Version of the prompt; empty if no model was called."""
    cases: int


@dataclass(frozen=True)
class Failures:
    """What the page shows. `work_unavailable` is why the inboxes could not be read."""

    cases: Sequence[Any]
    groups: Sequence[FailureGroup]
    tasks: Sequence[Any]
    quarantined: Sequence[Any]
    work_unavailable: str | None
    more: frozenset[str] = frozenset()
    """Which of them were cut."""


@dataclass(frozen=True)
class RedriveStep:
    """What a redrive would do with one case: the failure, or why it does nothing and what to do instead."""

    case_id: str
    failure: FailedCaseEvents | None
    task: Mapping[str, Any] | None
    why_not: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class FailureReader:
    """Reads both databases."""

    log: AuditReader
    audit: Database
    work: Database
    catalogue: Catalogue
    guard: TenantGuard

    async def read(
        self, today: date, tenants: Tenants, node: str | None, code: str | None, prompt: str | None = None
    ) -> Failures:
        """The failures of the last week of these tenants' cases; what was refused belongs to none.
        Raises `Unavailable` if the audit database is away."""
        audit = self.audit.with_queries(_SQL)
        since = today - timedelta(days=FAILURE_DAYS - 1)
        of = None if tenants is None else list(tenants)
        read = partial(audit.rows, "failed_cases", since, today, of, timeout_s=LIST_TIMEOUT_S)
        every = await read(None, None, None, MAX_FAILURES + 1)
        chosen = node or code or prompt is not None
        cases = await read(node, code, prompt, MAX_FAILURES + 1) if chosen else every
        counted = Counter((row["node"], row["code"] or "", row["prompt"]) for row in every[:MAX_FAILURES])
        groups = [FailureGroup(*key, count) for key, count in counted.most_common()]
        quarantined = await audit.rows("quarantined") if tenants is None else []
        try:
            found_tasks = await self.work.with_queries(_WORK_SQL).rows(
                "unfinished_tasks", rows_to_read(_MOST["tasks"], tenants)
            )
            tasks, away = await self.guard.only_visible(found_tasks, tenants), None
        except Unavailable as error:
            tasks, away = [], error.message
        found = {"cases": cases, "groups": every, "tasks": tasks, "quarantined": quarantined}
        more = frozenset(name for name, rows in found.items() if len(rows) > _MOST[name])
        cut = {name: rows[: _MOST[name]] for name, rows in found.items()}
        return Failures(cut["cases"], groups, cut["tasks"], cut["quarantined"], away, more)

    async def plan(self, case_ids: Sequence[UUID]) -> list[RedriveStep]:
        """What a redrive of these cases would do; nothing is changed. Raises `Unavailable`."""
        return [await self._plan_one(case_id) for case_id in case_ids]

    async def _plan_one(self, case_id: UUID) -> RedriveStep:
        report = await self.log.verify(case_id=str(case_id))
        if report.findings:
            why = f"its chain is broken: {report.findings[0].why}"
            return RedriveStep(str(case_id), None, None, why, "treat it as an incident")
        events = [json.loads(body)["detail"] for body in await self.log.bodies(str(case_id))]
        try:
            failure = find_failure(events, self.catalogue)
        except NotRetryable as error:
            return RedriveStep(str(case_id), None, None, error.message, error.remedy)
        rows = await self.work.with_queries(_WORK_SQL).rows("tasks_of_case", case_id)
        tasks = {row["event_id"]: row for row in rows}
        return RedriveStep(str(case_id), failure, tasks.get(failure.command["event_id"]))
