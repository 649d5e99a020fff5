"""What a demo run did, counted from the audit log and, independently, from the producers' own tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from rich import box
from rich.table import Table

from contracts.cards import AGENT_CARDS
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.database.queries import load_queries

QUERIES = load_queries(__file__)
TERMINAL_WIDTH = 80


@dataclass(frozen=True)
class DemoCaseRow:
    """One case as the table shows it. `call` is the latest model call that the log has."""

    case_id: str
    outcome: str
    code: str
    message: str
    hops: int
    duration_ms: int
    call: dict[str, Any] | None
    failovers: int


async def list_demo_cases(log: asyncpg.Connection[Any], case_ids: Sequence[str]) -> list[DemoCaseRow]:
    """These cases, in the order in which they were opened."""
    return [
        DemoCaseRow(**{**row, "call": json.loads(row["call"] or "null")})
        for row in await log.fetch(QUERIES["cases"], list(case_ids))
    ]


async def count_progress(log: asyncpg.Connection[Any]) -> tuple[int, int, int]:
    """Cases, closed cases and transitions so far."""
    row = await log.fetchrow(QUERIES["progress"])
    return (row["cases"], row["closed"], row["transitions"]) if row else (0, 0, 0)


async def count_published(work: asyncpg.Connection[Any], case_ids: list[str] | None = None) -> int:
    """How many events the producers published, for some cases or in all, from their outboxes alone.

    The router has no outbox: it publishes one event for each that it is sent, and more where a case fans out.
    """
    published = 0
    for node in (CASE_MANAGER, *AGENT_CARDS):
        await work.execute(f'set search_path to "{node}"')
        row = await work.fetchrow(QUERIES["stored_events"], case_ids)
        published += row["stored"] + row["routed"] if row else 0
    return published


def percentile(values: list[int], share: int) -> int:
    """The smallest value that at least `share` percent of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0


async def collect_figures(
    log: asyncpg.Connection[Any], work: asyncpg.Connection[Any], rows: list[DemoCaseRow], *, chain: str, wall_s: float
) -> dict[str, Any]:
    """The run in numbers, as `--json` writes them."""
    times = [row.duration_ms for row in rows if row.outcome == "answered"]
    return {
        "cases": len(rows),
        "closed": count_outcomes(row.outcome for row in rows),
        "transitions": await count_published(work),
        **dict(await log.fetchrow(QUERIES["figures"]) or {}),
        "chain": chain,
        "failovers": sum(row.failovers for row in rows),
        "latency_ms": {f"p{share}": percentile(times, share) for share in (50, 95, 99)},
        "hop_ms": {
            row["node"]: {name: round(row[name] / timedelta(milliseconds=1)) for name in ("p50", "p95")}
            for row in await log.fetch(QUERIES["hops"])
        },
        "wall_s": round(wall_s, 1),
    }


def count_outcomes(outcomes: Any) -> dict[str, int]:
    """How many cases ended how, by name."""
    return dict(sorted(Counter(outcomes).items()))


def demo_table(*columns: str) -> Table:
    """A table that fits a terminal; the last column takes what is left, and long cells are wrapped."""
    table = Table(box=box.SIMPLE_HEAD, width=TERMINAL_WIDTH, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
