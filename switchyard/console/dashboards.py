"""Tokens, cost, latency, failover and goal success, with bars that the server draws."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from switchyard.console.tenants import Tenants
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
DASHBOARD_DAYS = (1, 7, 30)
_STATEMENTS = ("usage", "sessions", "latency", "whole_cases", "goals", "judged", "failovers")


@dataclass(frozen=True)
class ModelPrice:
    """Dollars for a million tokens."""

    input: float
    output: float


@dataclass
class Usage:
    """Tokens and what they cost; `unpriced` are tokens of models without a price."""

    answers: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    lost_tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """Both directions."""
        return self.input_tokens + self.output_tokens

    @property
    def fallback_share(self) -> float:
        """Of all answers, from 0 to 1."""
        return self.fallbacks / self.answers if self.answers else 0.0


@dataclass(frozen=True)
class GoalSuccess:
    """Of the cases that ended, or should have: the share that reached the goal, with its 95 % interval (Wilson)."""

    playbook: str
    cases: int
    reached: int
    stopped: int
    failed: int
    open: int
    thumbs_up: int
    thumbs_down: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """From 0 to 1; None without an ended case."""
        ended = self.cases - self.open
        return self.reached / ended if ended else None


@dataclass(frozen=True)
class JudgedShare:
    """Of the cases that a judge saw, the share that it passed, with its 95 % interval (Wilson): a model's opinion about
    a sample, and no part of goal success."""

    playbook: str
    ended: int
    judged: int
    passed: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.passed / self.judged

    @property
    def sampled(self) -> float:
        """The share of the ended cases that were judged, from 0 to 1."""
        return self.judged / self.ended if self.ended else 0.0


@dataclass(frozen=True)
class Dashboard:
    """Everything on the page."""

    since: date
    until: date
    total: Usage
    by_agent: list[tuple[str, Usage]]
    by_tenant: list[tuple[str, Usage]]
    by_day: list[tuple[date, Usage]]
    by_session: list[tuple[tuple[str, str], Usage]]
    """The sessions with the most tokens, each with its tenant."""
    latency: list[Any]
    whole_cases: list[Any]
    goals: list[GoalSuccess]
    judged: list[JudgedShare]
    """Only the playbooks with a judged case."""
    failovers: list[Any]
    not_counted: int
    """Entries of the log that are not counted yet; audit counts every few seconds."""


@dataclass(frozen=True)
class DashboardReader:
    """Reads the figures that audit keeps of its log. `prices` are by model id."""

    audit: Database
    prices: Mapping[str, ModelPrice]

    async def read(self, today: date, days: int, tenants: Tenants) -> Dashboard:
        """The last days of these tenants. Raises `Unavailable`."""
        since = today - timedelta(days=days - 1)
        audit, of = self.audit.with_queries(_SQL), None if tenants is None else list(tenants)
        usage, sessions, latency, whole_cases, goals, judged, failovers, not_counted = await asyncio.gather(
            *(audit.rows(name, since, today, of) for name in _STATEMENTS), audit.value("not_counted")
        )
        named = [{**row, "session": (row["session_id"], row["tenant"])} for row in sessions]
        return Dashboard(
            since=since,
            until=today,
            total=self._sum(usage),
            by_agent=self._grouped(usage, "agent"),
            by_tenant=self._grouped(usage, "tenant"),
            by_day=sorted(self._grouped(usage, "opened_on")),
            by_session=self._grouped(named, "session"),
            latency=latency,
            whole_cases=whole_cases,
            goals=[_goal(row) for row in goals],
            judged=[_judged(row) for row in judged],
            failovers=failovers,
            not_counted=not_counted,
        )

    def _grouped(self, rows: Iterable[Any], name: str) -> list[tuple[Any, Usage]]:
        groups: dict[Any, list[Any]] = defaultdict(list)
        for row in rows:
            groups[row[name]].append(row)
        return sorted(((key, self._sum(found)) for key, found in groups.items()), key=lambda each: -each[1].tokens)

    def _sum(self, rows: Iterable[Any]) -> Usage:
        total = Usage()
        for row in rows:
            tokens_in, tokens_out = row["input_tokens"] or 0, row["output_tokens"] or 0
            total.answers += row["answers"]
            total.fallbacks += row["fallbacks"] or 0
            total.input_tokens += tokens_in
            total.output_tokens += tokens_out
            total.lost_tokens += row["lost_tokens"] or 0
            if (price := self.prices.get(row["model_id"])) is None:
                total.unpriced += tokens_in + tokens_out
            else:
                total.dollars += (tokens_in * price.input + tokens_out * price.output) / 1e6
        return total


def _goal(row: Mapping[str, Any]) -> GoalSuccess:
    counts = {name: row[name] for name in ("cases", "reached", "stopped", "open", "thumbs_up", "thumbs_down")}
    low, high = wilson_interval(row["reached"], row["cases"] - row["open"])
    return GoalSuccess(row["playbook"], failed=row["failed"] + row["unended"], low=low, high=high, **counts)


def _judged(row: Mapping[str, Any]) -> JudgedShare:
    low, high = wilson_interval(row["passed"], row["judged"])
    return JudgedShare(row["playbook"], row["ended"], row["judged"], row["passed"], low, high)


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Where a share is with 95 % confidence (Wilson 1927), from 0 to 1; all of it without a trial."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, z * z
    middle = share + square / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
