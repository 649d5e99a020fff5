"""The list of cases: filters that are the URL, pages by key, and counts by outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from switchyard.console.app import BadInput, read_filter
from switchyard.console.tenants import Tenants
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
PAGE_SIZE = 50
DEFAULT_DAYS = 7
MAX_DAYS = 92
LIST_TIMEOUT_S = 5.0
MAX_COUNTED = 2_000
"""Counts by outcome are of this many latest cases at most, so that a page of a large log is as fast."""

TEXT_FILTERS = ("case", "session", "tenant", "user", "playbook", "agent", "type", "model", "reason")


@dataclass(frozen=True)
class CaseFilter:
    """What to list. `texts` has a value for each of `TEXT_FILTERS`, or None; `before` is the last row of the page
    before."""

    since: date
    until: date
    texts: Mapping[str, str | None]
    outcome: str | None = None
    before: tuple[date, datetime, UUID] | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str], today: date) -> CaseFilter:
        """The filter in a URL. Raises `BadInput` for an invalid value."""
        until = _day(query, "until") or today
        since = _day(query, "since") or _week_before(until)
        if since > until:
            raise BadInput("since is later than until: exchange the two days")
        if (until - since).days >= MAX_DAYS:
            raise BadInput(f"since is too early: ask for at most {MAX_DAYS} days at once, with a later since")
        texts = {name: read_filter(query, name) for name in TEXT_FILTERS}
        if texts["case"]:
            texts["case"] = texts["case"].lower()
        return cls(since, until, texts, read_filter(query, "outcome"), _key(query.get("before")))

    def link(self, path: str = "/cases", **changes: str | None) -> str:
        """The URL of this list with some parameters changed; None takes one away. Another filter begins at the top."""
        found: dict[str, str | None] = {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            **self.texts,
            "outcome": self.outcome,
            **changes,
        }
        return f"{path}?" + urlencode({name: value for name, value in found.items() if value})

    def saved_query(self) -> str:
        """This search for another day: without its days."""
        found = {**self.texts, "outcome": self.outcome}
        return urlencode({name: value for name, value in found.items() if value})

    def arguments(self, tenants: Tenants) -> list[Any]:
        """What both statements begin with; of these tenants only."""
        user = self.texts["user"]
        order = ("playbook", "agent", "type", "model", "reason")
        return [
            *(self.since, self.until, *case_range(self.texts["case"])),
            *(self.texts["session"], self.texts["tenant"], user, _uuid_or_none(user)),
            *(self.texts[name] for name in order),
            None if tenants is None else list(tenants),
        ]


@dataclass(frozen=True)
class CasePage:
    """Rows of `case_summary`, the counts by outcome, and the link to older cases."""

    rows: list[Any]
    counts: list[Any]
    counted: int
    older: str | None


@dataclass(frozen=True)
class CaseList:
    """Reads the audit log."""

    database: Database

    async def page(self, wanted: CaseFilter, tenants: Tenants) -> CasePage:
        """One page of the cases of these tenants. Raises `Unavailable`."""
        database = self.database.with_queries(_SQL)
        before = wanted.before or (None, None, None)
        found = await database.rows(
            "page", *wanted.arguments(tenants), wanted.outcome, *before, PAGE_SIZE + 1, timeout_s=LIST_TIMEOUT_S
        )
        shown = found[:PAGE_SIZE]
        days, ids = [row["opened_on"] for row in shown], [row["case_id"] for row in shown]
        summaries = {row["case_id"]: row for row in await database.rows("summaries", days, ids)}
        counts = await database.rows("counts", *wanted.arguments(tenants), MAX_COUNTED, timeout_s=LIST_TIMEOUT_S)
        older = None
        if len(found) > PAGE_SIZE:
            last = shown[-1]
            key = f"{last['opened_on'].isoformat()}~{timestamp(last['opened_at'])}~{last['case_id']}"
            older = wanted.link(before=key)
        rows = [summaries[str(row["case_id"])] for row in shown if str(row["case_id"]) in summaries]
        return CasePage(rows, counts, sum(row["cases"] for row in counts), older)

    async def open_cases(self, wanted: CaseFilter, most: int, tenants: Tenants) -> list[Any]:
        """The open cases that match, at most one more than `most`, the newest first. Raises `Unavailable`."""
        database = self.database.with_queries(_SQL)
        found = await database.rows(
            "page", *wanted.arguments(tenants), "open", None, None, None, most + 1, timeout_s=LIST_TIMEOUT_S
        )
        days, ids = [row["opened_on"] for row in found], [row["case_id"] for row in found]
        summaries = {row["case_id"]: row for row in await database.rows("summaries", days, ids)}
        return [summaries[str(row["case_id"])] for row in found if str(row["case_id"]) in summaries]


def case_range(prefix: str | None) -> tuple[UUID | None, UUID | None]:
    """The least and the greatest id that begin like this, for an index; of other text, a range without an id."""
    if prefix is None:
        return None, None
    digits = prefix.replace("-", "")
    whole = str(UUID(digits.ljust(32, "0"))) if re.fullmatch("[0-9a-f]{1,32}", digits) else ""
    if not whole.startswith(prefix):
        return UUID(int=1), UUID(int=0)
    return UUID(whole), UUID(digits.ljust(32, "f"))


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = (query.get(name) or "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadInput(f"{name} is not a day: write it as 2026-06-17") from None


def _week_before(until: date) -> date:
    try:
        return until - timedelta(days=DEFAULT_DAYS - 1)
    except OverflowError:
        raise BadInput("until is too early: write a later day") from None


def _key(text: str | None) -> tuple[date, datetime, UUID] | None:
    if not text:
        return None
    try:
        day, time, case = text.split("~")
        return date.fromisoformat(day), datetime.fromisoformat(time).astimezone(UTC), UUID(case)
    except (ValueError, OverflowError):
        raise BadInput("before is not a position in the list: start again at its top") from None
