"""Follows the log once for every stream: which cases have new events."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from switchyard.runtime.core.errors import UNREADABLE, Unavailable
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
log = structlog.get_logger(__name__)
POLL_S = 0.25
BATCH = 10_000
"""Entries of the log in one look."""


@dataclass
class CaseWatcher:
    """Wakes the streams of cases that have new events. `run` is one loop per process."""

    database: Database
    problem: str | None = None
    """Why the log cannot be read now."""
    _newest: int | None = None
    _waiting: dict[UUID, set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))

    @contextmanager
    def watch(self, case_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set when the case may have new events, or the log's availability changes."""
        changed = asyncio.Event()
        self._waiting[case_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[case_id].discard(changed)
            if not self._waiting[case_id]:
                del self._waiting[case_id]

    async def run(self) -> None:
        """Look for what is new, until cancelled. Streams hear of every error; one that is no outage is raised, and the
        next run goes on where this one stopped."""
        while True:
            more = False
            try:
                more = await self._look()
                self._tell(None)
            except Unavailable as error:
                self._tell(error.message)
            except Exception:
                self._tell(UNREADABLE)
                raise
            if not more:
                await asyncio.sleep(POLL_S)

    def _tell(self, problem: str | None) -> None:
        if problem != self.problem:
            log.warning("watcher.availability", problem=problem)
            self.problem = problem
            self._wake(*self._waiting)

    async def _look(self) -> bool:
        database = self.database.with_queries(_SQL)
        newest: int = await database.value("newest")
        if self._newest is None or newest < self._newest:
            # The first look, or another log: every stream reads its case again.
            self._newest = newest
            self._wake(*self._waiting)
            return False
        until = min(newest, self._newest + BATCH)
        if self._waiting and until > self._newest:
            self._wake(*(row["case_id"] for row in await database.rows("changed", self._newest, until)))
        self._newest = until
        return until < newest

    def _wake(self, *cases: UUID) -> None:
        for case_id in cases:
            for changed in self._waiting.get(case_id, ()):
                changed.set()
