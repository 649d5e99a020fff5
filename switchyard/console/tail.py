"""The live tail: one reader of the log for all viewers. The cursor is the log index, which has no gap."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from switchyard.console.tenants import Tenants
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.errors import UNREADABLE, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
log = structlog.get_logger(__name__)
POLL_S = 0.5
BATCH_SIZE = 500
KEPT = 2_000
"""Entries in memory. A viewer who was away for longer reads how many were missed."""

HEARTBEAT_S = 10.0
MAX_VIEWERS = 500
MAX_VIEWERS_PER_USER = 10


@dataclass(frozen=True)
class TailEntry:
    """One entry of the log, as the browser gets it."""

    log_index: int
    shown: dict[str, Any]
    data: str

    def is_of(self, tenants: Tenants) -> bool:
        """Whether it belongs to one of these tenants."""
        return tenants is None or self.shown["tenant"] in tenants


@dataclass
class Tail:
    """Follows the log. `run` is one loop per process; viewers only read what it has found."""

    database: Database
    entries: deque[TailEntry] = field(default_factory=lambda: deque(maxlen=KEPT))
    newest: int | None = None
    problem: str | None = None
    viewers: Counter[str] = field(default_factory=Counter)
    """How many streams each user has."""

    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Read what is new, until cancelled. Viewers hear of every error; one that is no outage is raised, and the next
        run goes on where this one stopped."""
        while True:
            try:
                found = await self._read()
            except Unavailable as error:
                found = 0
                await self._tell(error.message)
            except Exception:
                await self._tell(UNREADABLE)
                raise
            else:
                await self._tell(None, found)
            if found < BATCH_SIZE:
                await asyncio.sleep(POLL_S)

    async def _tell(self, problem: str | None, found: int = 0) -> None:
        if found or problem != self.problem:
            self.problem = problem
            async with self._changed:
                self._changed.notify_all()

    async def _read(self) -> int:
        database = self.database.with_queries(_SQL)
        if self.newest is None:
            self.newest = max(0, await database.value("newest") - KEPT)
        rows = await database.rows("after", self.newest, BATCH_SIZE)
        for row in rows:
            self.entries.append(_entry(row))
        if rows:
            self.newest = rows[-1]["log_index"]
        return len(rows)

    async def follow(
        self, after: int | None, *, user: str, ended: Callable[[], bool], tenants: Tenants = None
    ) -> AsyncIterator[str]:
        """Server-sent events from the entry after `after` on; without one, from now. Every entry of these tenants is
        an event with its log index as id; `lost` says how many entries are not sent, `away` and `back` that the log
        cannot be read, `ended` that the user's session is over, as `ended()` says."""
        if (why := self._full(user)) is not None:
            yield _event("full", {"message": why})
            return
        self.viewers[user] += 1
        try:
            async for event in self._follow(after, ended, tenants):
                yield event
            yield _event("ended", {"message": "your session has ended: log in again"})
        finally:
            self.viewers[user] -= 1
            self.viewers += Counter()  # without users who have none

    def _full(self, user: str) -> str | None:
        if self.viewers[user] >= MAX_VIEWERS_PER_USER:
            return f"you have {MAX_VIEWERS_PER_USER} live pages open: close one and reload"
        return "too many viewers: try again later" if self.viewers.total() >= MAX_VIEWERS else None

    async def _follow(self, after: int | None, ended: Callable[[], bool], tenants: Tenants) -> AsyncIterator[str]:
        cursor = (self.newest or 0) if after is None else after
        away: str | None = None
        yield "retry: 2000\n\n" + _event("hello", {"cursor": cursor})
        while not ended():
            if self.problem != away:
                away = self.problem
                yield _event("away", {"message": away}) if away else _event("back", {})
            if self.entries and self.entries[0].log_index > cursor + 1:
                missed = self.entries[0].log_index - cursor - 1
                cursor = self.entries[0].log_index - 1
                yield _event("lost", {"missed": missed, "until": cursor})
            elif self.newest is not None and cursor > self.newest:
                # Another log, or one that was restored.
                yield _event("lost", {"missed": None, "until": self.newest})
                cursor = self.newest
            ready = [entry for entry in self.entries if entry.log_index > cursor]
            for entry in ready:
                if entry.is_of(tenants):
                    yield f"id: {entry.log_index}\nevent: entry\ndata: {entry.data}\n\n"
                cursor = entry.log_index
            if not ready and not await self._wait(cursor, away):
                yield ": still here\n\n"

    async def _wait(self, cursor: int, away: str | None) -> bool:
        try:
            async with self._changed:
                changed = self._changed.wait_for(lambda: (self.newest or 0) > cursor or self.problem != away)
                await asyncio.wait_for(changed, HEARTBEAT_S)
        except TimeoutError:
            return False
        return True


def _entry(row: Any) -> TailEntry:
    shown = {name: row[name] for name in ("log_index", "case_id", "event_id", "tenant", "node_from", "node_to")}
    shown |= {"transition": row["transition"], "outcome": row["outcome"], "at": timestamp(row["event_ts"])}
    # JSON has no line break outside strings, where it is escaped: an entry cannot forge an event.
    return TailEntry(row["log_index"], shown, json.dumps(shown))


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
