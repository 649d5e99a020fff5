"""The page of what proves the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog
from starlette.responses import Response

from switchyard.console.app import BadInput, Call, Handler
from switchyard.console.day_verifier import DayVerifier
from switchyard.console.pages import Pages
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_PROOF_SQL = load_queries(__file__)


@dataclass(frozen=True)
class ProofViews:
    """Checkpoint, erasures, holds, alarms, and a day verified on request."""

    pages: Pages
    audit: Database
    days: DayVerifier

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "proof": self.show_proof,
            "verify": self.verify,
        }

    async def show_proof(self, call: Call) -> Response:
        return await self._proof_page(call)

    async def verify(self, call: Call) -> Response:
        try:
            day = date.fromisoformat(call.field("day", most=10))
        except ValueError:
            raise BadInput("day is no day: write it as 2026-06-17") from None
        report = await self.days.verify(day)
        log.info("console.verified", user=call.user.name, day=day.isoformat(), ok=report.ok)
        return await self._proof_page(call, report)

    async def _proof_page(self, call: Call, report: Any = None) -> Response:
        audit = self.audit.with_queries(_PROOF_SQL)
        return self.pages.page(
            "proof.html",
            call.user,
            here="proof",
            checkpoint=await audit.row("checkpoint"),
            newest=await audit.row("newest"),
            alarms=await audit.rows("alarms"),
            erasures=await audit.rows("erasures"),
            holds=await audit.rows("holds"),
            report=report,
            today=self.pages.today(),
        )
