"""What is stopped, which models answer, and what needs a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from switchyard.console.case_detail import parse_json
from switchyard.console.tenants import TenantGuard, Tenants, rows_to_read
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_WORK_SQL = load_queries(__file__, "work.sql")
RECENT = timedelta(hours=1)
MAX_UNRESOLVED = 100


@dataclass(frozen=True)
class AgentModels:
    """Which models answered an agent lately. `breaker` is the primary's, as the latest call found it."""

    agent: str
    answers: int
    fallbacks: int
    model_id: str
    reason: str
    breaker: str
    at: datetime


@dataclass(frozen=True)
class Switches:
    """Everything on the page."""

    halted: Sequence[Any]
    models: Sequence[AgentModels]
    unresolved: Sequence[Any]
    more_unresolved: bool
    log_unavailable: str | None


@dataclass(frozen=True)
class SwitchReader:
    """Reads views of the work database, and the latest model calls of the log."""

    audit: Database
    work: Database
    clock: Clock
    guard: TenantGuard

    async def read(self, tenants: Tenants) -> Switches:
        """What is now; of cases and models, what these tenants have.

        Raises `Unavailable` if the work database is away; without the log, the models are left out."""
        work = self.work.with_queries(_WORK_SQL)
        halted = await work.rows("halted")
        unresolved = await self.guard.only_visible(
            await work.rows("unresolved", rows_to_read(MAX_UNRESOLVED, tenants)), tenants
        )
        now = self.clock.now()
        try:
            rows = await self.audit.with_queries(_SQL).rows(
                "model_calls", (now - RECENT).date(), now - RECENT, None if tenants is None else list(tenants)
            )
            models, away = group_models(rows), None
        except Unavailable as error:
            models, away = [], error.message
        return Switches(halted, models, unresolved[:MAX_UNRESOLVED], len(unresolved) > MAX_UNRESOLVED, away)


def group_models(rows: Iterable[Mapping[str, Any]]) -> list[AgentModels]:
    """The model calls by agent. `rows` are the newest first."""
    found: dict[str, AgentModels] = {}
    for row in rows:
        call = parse_json(row["call"])
        call = call if isinstance(call, dict) else {}
        decision = call.get("decision")
        fallback = call.get("role") == "fallback"
        known = found.get(row["agent"])
        if known is None:
            breaker = decision.get("primary_breaker") if isinstance(decision, dict) else None
            known = AgentModels(
                row["agent"], 0, 0, row["model_id"], str(call.get("reason", "")), str(breaker or "closed"), row["at"]
            )
        found[row["agent"]] = replace(known, answers=known.answers + 1, fallbacks=known.fallbacks + fallback)
    return sorted(found.values(), key=lambda each: each.agent)
