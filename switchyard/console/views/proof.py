"""The page of what proves the log, and a case with its proof."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog
from starlette.responses import RedirectResponse, Response

from switchyard.audit.export.bundle import Exporter
from switchyard.console import pages
from switchyard.console.app import BadInput, Call, Handler, read_uuid
from switchyard.console.day_verifier import DayVerifier
from switchyard.console.pages import Pages
from switchyard.console.wide_checks import CheckKind, WideChecks
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_PROOF_SQL = load_queries(__file__)
_WORK_SQL = load_queries(pages.__file__, "work.sql")
MAX_GAPS = 50
RELOAD_S = 3
CHECK_NAMES: Mapping[CheckKind, str] = {
    "rows": "Verify every row",
    "checkpoints": "Compare with the checkpoints",
    "published": "Compare with what was published",
}
CHECK_UNITS: Mapping[CheckKind, str] = {"rows": "rows", "checkpoints": "rows", "published": "cases"}


@dataclass(frozen=True)
class Gaps:
    """Events that producers published over a minute ago and the log lacks, or has otherwise; the latest first."""

    compared: int
    missing: Sequence[Mapping[str, Any]]
    work_unavailable: str | None


@dataclass(frozen=True)
class ProofViews:
    """Checkpoint, erasures, holds, alarms, and a day verified on request."""

    pages: Pages
    audit: Database
    work: Database
    days: DayVerifier
    exporter: Exporter | None
    checks: WideChecks

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "proof": self.show_proof,
            "verify": self.verify,
            "bundle": self.export_bundle,
            "checks": self.show_checks,
            "start_check": self.start_check,
            "stop_check": self.stop_check,
        }

    async def show_proof(self, call: Call) -> Response:
        return await self._proof_page(call)

    async def verify(self, call: Call) -> Response:
        try:
            day = date.fromisoformat(call.field("day", most=10))
        except ValueError:
            raise BadInput("day is invalid: write it as 2026-06-17") from None
        report = await self.days.verify(day)
        log.info("console.verified", user=call.user.name, day=day.isoformat(), ok=report.ok)
        return await self._proof_page(call, report)

    async def show_checks(self, call: Call) -> Response:
        runs = await self.checks.latest()
        page = self.pages.page(
            "checks.html",
            call.user,
            here="proof",
            runs=runs,
            kinds=list(self.checks.runs),
            names=CHECK_NAMES,
            units=CHECK_UNITS,
            reload_s=RELOAD_S,
        )
        if runs and runs[0].state == "running":
            page.headers["Refresh"] = str(RELOAD_S)
        return page

    async def start_check(self, call: Call) -> Response:
        kind = call.field("kind", most=20)
        await self.checks.start(kind, call.user.name)
        log.info("console.check_started", user=call.user.name, kind=kind)
        return RedirectResponse("/proof/checks", 303)

    async def stop_check(self, call: Call) -> Response:
        await self.checks.stop(call.user.name)
        return RedirectResponse("/proof/checks", 303)

    async def export_bundle(self, call: Call) -> Response:
        """A case with everything that proves it, as the command line writes it."""
        case_id = read_uuid(call.request.path_params["case_id"], "case")
        if self.exporter is None:
            raise BadInput("this console has no bucket of checkpoints: set SWITCHYARD_CHECKPOINT_BUCKET", 409)
        try:
            bundle, uncovered = await self.exporter.export(str(case_id))
        except Unavailable:
            raise
        except TaskError as error:
            status = 404 if error.code == "no_such_case" else 409
            raise BadInput(f"{error.message}. {error.remedy or ''}".strip(), status) from error
        if uncovered:
            raise BadInput(f"{uncovered} events have no checkpoint yet, which proves them: try again in a minute", 409)
        log.warning("console.exported", user=call.user.name, case_id=str(case_id))
        return Response(
            json.dumps(bundle, ensure_ascii=False, indent=1) + "\n",
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="case-{case_id}.json"'},
        )

    async def _proof_page(self, call: Call, report: Any = None) -> Response:
        audit, every = self.audit.with_queries(_PROOF_SQL), call.user.tenants is None
        return self.pages.page(
            "proof.html",
            call.user,
            here="proof",
            checkpoint=await audit.row("checkpoint"),
            newest=await audit.row("newest"),
            holds=await call.guard.only_visible(await audit.rows("holds"), call.user.tenants),
            # These belong to no tenant.
            alarms=await audit.rows("alarms") if every else [],
            erasures=await audit.rows("erasures") if every else [],
            gaps=await self._gaps(audit) if every else None,
            most_gaps=MAX_GAPS,
            report=report,
            today=self.pages.today(),
        )

    async def _gaps(self, audit: Database) -> Gaps:
        try:
            stored = await self.work.with_queries(_WORK_SQL).rows("published")
        except Unavailable as error:
            return Gaps(0, [], error.message)
        columns = [[row[name] for row in stored] for name in ("opened_on", "event_id", "digest")]
        there = {row["event_id"] for row in await audit.rows("recorded", *columns)}
        return Gaps(len(stored), [row for row in stored if row["event_id"] not in there], None)
