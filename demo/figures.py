"""What a demo run did, counted from the audit log and, independently, from the producers' own tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from contracts.cards import AGENT_CARDS
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)


@dataclass(frozen=True)
class DemoCaseRow:
    """One case as the table shows it. `call` is the latest model call that the log has."""

    case_id: str
    session_id: str
    agent: str | None
    outcome: str
    code: str
    message: str | None
    field: str | None
    remedy: str | None
    hops: int
    duration_ms: int
    call: dict[str, Any] | None
    failovers: int


async def list_demo_cases(log: asyncpg.Connection[Any], case_ids: Sequence[str]) -> list[DemoCaseRow]:
    """These cases, in the order in which they were opened."""
    rows = await log.fetch(_SQL["cases"], list(case_ids))
    return [
        DemoCaseRow(
            case_id=row["case_id"],
            session_id=row["session_id"],
            agent=row["agent"],
            outcome=row["outcome"] or "open",
            code=row["code"] or "",
            message=row["message"],
            field=row["field"],
            remedy=row["remedy"],
            hops=row["hops"],
            duration_ms=row["duration_ms"] or 0,
            call=json.loads(row["last_call"]) if row["last_call"] else None,
            failovers=row["failovers"],
        )
        for row in rows
    ]


async def count_progress(log: asyncpg.Connection[Any]) -> tuple[int, int, int]:
    """Cases, closed cases and transitions so far."""
    row = await log.fetchrow(_SQL["progress"])
    return (row["cases"], row["closed"], row["transitions"]) if row else (0, 0, 0)


async def count_published(work: asyncpg.Connection[Any], case_ids: list[str] | None = None) -> int:
    """How many events the producers published, for some cases or in all, from their outboxes alone.

    The router has no outbox: it publishes one event for each that it is sent.
    """
    published = 0
    for node in (CASE_MANAGER, *AGENT_CARDS):
        await work.execute(f'set search_path to "{node}"')
        row = await work.fetchrow(_SQL["stored_events"], case_ids)
        published += row["stored"] + row["to_router"] if row else 0
    return published


def percentile(values: list[int], share: float) -> int:
    """The smallest value that at least `share` of them do not exceed; 0 of none."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


async def collect_figures(
    log: asyncpg.Connection[Any], work: asyncpg.Connection[Any], rows: list[DemoCaseRow], *, chain: str, wall_s: float
) -> dict[str, Any]:
    """The run in numbers, as `--json` writes them."""
    counted = await log.fetchrow(_SQL["figures"])
    hops = await log.fetch(_SQL["hops"])
    times = [row.duration_ms for row in rows if row.outcome == "answered"]
    return {
        "cases": len(rows),
        "closed": dict(sorted(Counter(row.outcome for row in rows).items())),
        "transitions": await count_published(work),
        "audit_rows": counted["audit_rows"] if counted else 0,
        "distinct_events": counted["distinct_events"] if counted else 0,
        "chain": chain,
        "failovers": sum(row.failovers for row in rows),
        "latency_ms": {f"p{share}": percentile(times, share / 100) for share in (50, 95, 99)},
        "hop_ms": {
            row["node"]: {
                "p50": round(row["p50"].total_seconds() * 1_000),
                "p95": round(row["p95"].total_seconds() * 1_000),
            }
            for row in hops
        },
        "wall_s": round(wall_s, 1),
    }
