"""Comparisons of the whole log that a person starts on a page: in the background, one at a time in the deployment, and
with their state in the work database, so that who leaves the page, or another console, finds it there."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import structlog

from switchyard.audit.reconciliation.completeness import GapKind, PublishedEvent
from switchyard.audit.reconciliation.credentials import IssuedCredential
from switchyard.audit.reconciliation.reconciler import ReconciliationReport
from switchyard.audit.verification.findings import CheckpointReport, VerifyReport
from switchyard.console.app import BadInput
from switchyard.console.case_detail import parse_json
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_WORK_SQL = load_queries(__file__, "work.sql")
CheckKind = Literal["rows", "checkpoints", "published"]
CHECK_KINDS: tuple[CheckKind, ...] = get_args(CheckKind)
TIMEOUT_S = 3_600.0
BEAT_S = 2.0
SILENCE_S = 30.0
"""After this long without a beat the process that ran it was killed, and another one may begin."""

MAX_SHOWN_FINDINGS = 20
Progress = Callable[[int], None]


@dataclass(frozen=True)
class CheckResult:
    """What a check found. `findings` are the first ones, each with its case where it has one."""

    ok: bool
    summary: str
    findings: Sequence[Mapping[str, str | None]] = ()


@dataclass(frozen=True)
class CheckRun:
    """One check. `state`: running, holds, broken, failed, stopped, or killed: no process runs it any more."""

    kind: CheckKind
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    compared: int
    state: str
    result: CheckResult | None


RunCheck = Callable[[Progress], Awaitable[CheckResult]]


@dataclass(frozen=True)
class WideChecks:
    """Starts and shows them. `runs` has what this deployment can check."""

    work: Database
    runs: Mapping[CheckKind, RunCheck]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def _work(self) -> Database:
        return self.work.with_queries(_WORK_SQL)

    async def start(self, kind: str, started_by: str) -> None:
        """Begin one. Raises `BadInput` (409) while one runs, or if this deployment cannot check that."""
        chosen = next((each for each in CHECK_KINDS if each == kind), None)
        if chosen is None:
            raise BadInput(f"the kind is invalid: {', '.join(CHECK_KINDS)}")
        if (run := self.runs.get(chosen)) is None:
            raise BadInput("this console has no bucket of checkpoints: set SWITCHYARD_CHECKPOINT_BUCKET", 409)
        async with self._work.transaction() as transaction:
            await transaction.execute("lock_checks")
            number = await transaction.value("start_check", chosen, started_by, SILENCE_S)
        if number is None:
            raise BadInput("the log is being compared already: wait for it, or stop it", 409)
        task = asyncio.create_task(self._run(number, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, stopped_by: str) -> None:
        """Ask the running one to stop, wherever it runs."""
        await self._work.execute("stop_check", stopped_by, SILENCE_S)

    async def latest(self) -> list[CheckRun]:
        """The latest ones, the newest first. Raises `Unavailable`."""
        return [_read_run(row) for row in await self._work.rows("checks", SILENCE_S)]

    async def _run(self, number: int, run: RunCheck) -> None:
        compared = 0

        def progress(count: int) -> None:
            nonlocal compared
            compared = count

        checking = asyncio.ensure_future(run(progress))
        end: dict[str, Any] = {"state": "failed", "summary": f"it took longer than {TIMEOUT_S:.0f} s"}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not (await asyncio.wait({checking}, timeout=BEAT_S))[0]:
                    if (who := await self._beat(number, compared)) is not None:
                        end = {"state": "stopped", "summary": f"stopped by {who}"}
                        return
                result = await checking
                state = "holds" if result.ok else "broken"
                findings = [dict(each) for each in result.findings[:MAX_SHOWN_FINDINGS]]
                end = {"state": state, "summary": result.summary, "findings": findings}
        except TimeoutError:
            pass
        except TaskError as error:
            end = {"state": "failed", "summary": error.message}
        except Exception as error:
            log.exception("console.defect", check=number)
            end = {"state": "failed", "summary": f"a defect ({type(error).__name__}): see the console's log"}
        finally:
            checking.cancel()
            await self._end(number, end)

    async def _beat(self, number: int, compared: int) -> str | None:
        """Say that it runs; who asked it to stop. A database that is away for a moment ends no check."""
        try:
            stopped_by: str | None = await self._work.value("continue_check", number, compared)
        except Unavailable:
            return None
        return stopped_by

    async def _end(self, number: int, end: Mapping[str, Any]) -> None:
        log.info("console.checked", check=number, **{name: end[name] for name in ("state", "summary")})
        try:
            await self._work.execute("end_check", number, json.dumps(end))
        except Unavailable:
            log.warning("console.check_not_stored", check=number)


def _read_run(row: Mapping[str, Any]) -> CheckRun:
    stored = parse_json(row["result"])
    stored = stored if isinstance(stored, dict) else None
    state = "running" if row["running"] else "killed" if stored is None else str(stored.get("state"))
    result = None
    if stored is not None:
        result = CheckResult(state == "holds", str(stored.get("summary")), tuple(stored.get("findings") or ()))
    return CheckRun(row["kind"], row["started_by"], row["started_at"], row["ended_at"], row["compared"], state, result)


@dataclass(frozen=True)
class ConsoleProducers:
    """What producers published, as the console's role sees it: ids and digests. It can have nothing published again."""

    work: Database
    nodes: tuple[str, ...]

    @property
    def _work(self) -> Database:
        return self.work.with_queries(_WORK_SQL)

    async def cases(self, node: str, since: datetime | None, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """See `PublishedEvents`."""
        return [row["case_id"] for row in await self._work.rows("cases_published", node, since, after, limit)]

    async def published(self, cases: Sequence[uuid.UUID]) -> list[PublishedEvent]:
        """See `PublishedEvents`."""
        rows = map(dict, await self._work.rows("published_of", list(cases)))
        return [PublishedEvent(**row, ask=(row["producer"], row["event_id"])) for row in rows]

    async def issued(self, cases: Sequence[uuid.UUID]) -> list[IssuedCredential] | None:
        """See `PublishedEvents`."""
        return [IssuedCredential(**row) for row in await self._work.rows("issued", list(cases))]

    async def ask(self, node: str, event_id: str) -> bool:
        """Never: that is the command line's, with a role of its own."""
        return False

    async def unknown_queues(self) -> dict[str, int]:
        """The console does not see the queues: each may hold a message, so that only what a producer's later events
        have overtaken counts as lost."""
        return dict.fromkeys((*self.nodes, "router", "audit"), 1)


def verified(report: VerifyReport) -> CheckResult:
    """What a verification of every row says."""
    found = [{"kind": str(each.kind), "why": each.why, "case_id": each.case_id} for each in report.findings]
    found += [{"kind": "unended", "why": "its deadline has passed", "case_id": each} for each in report.unended_cases]
    wrong = f"; {report.finding_count} findings, {report.unended} unended cases" if not report.ok else ""
    return CheckResult(report.ok, f"{report.rows:,} rows of {report.cases:,} cases{wrong}", found[:MAX_SHOWN_FINDINGS])


def checkpointed(report: CheckpointReport) -> CheckResult:
    """What a comparison with the checkpoints says."""
    found = [{"kind": str(each.kind), "why": each.why, "case_id": each.case_id} for each in report.findings]
    parts = [
        f"{report.covered_rows:,} rows under {report.checkpoints:,} checkpoints",
        *([f"{report.uncovered_rows:,} not covered yet"] if report.uncovered_rows else []),
        *([f"{report.unlocked:,} checkpoints without Object Lock"] if report.unlocked else []),
        *([f"{report.finding_count:,} findings"] if report.finding_count else []),
    ]
    return CheckResult(report.ok, "; ".join(parts), found[:MAX_SHOWN_FINDINGS])


def reconciled(report: ReconciliationReport) -> CheckResult:
    """What a comparison with the producers says."""
    wrong = [gap for gap in report.gaps if gap.kind is not GapKind.LAG]
    # What is altered is shown before what is missing.
    wrong.sort(key=lambda gap: gap.kind is not GapKind.DIFFERS)
    late = len(report.gaps) - len(wrong)
    found = [
        {"kind": str(gap.kind), "why": f"{gap.type} from {gap.producer}, {gap.since:%F %T}", "case_id": gap.case_id}
        for gap in wrong[:MAX_SHOWN_FINDINGS]
    ]
    parts = [
        f"{sum(report.published.values()):,} events of {report.cases:,} cases",
        *([f"{len(wrong):,} not as published"] if wrong else []),
        *([f"{late:,} that may be on their way"] if late else []),
    ]
    return CheckResult(report.ok, "; ".join(parts), found)
