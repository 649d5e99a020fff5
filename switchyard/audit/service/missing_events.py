"""Alarms about missing events: a parent that is not in the log, an ending that is overdue."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta

import structlog

from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
MAX_WATCH_ROWS = 100_000
"""How far back a new leader looks, for alarms that its predecessor did not raise. Alarms may repeat at a takeover."""

WATCH_BATCH_SIZE = 10_000
WATCH_WINDOW = timedelta(hours=1)


@dataclass
class LogWatch:
    """Looks at each log entry once, `grace` after its row was recorded, and at each deadline once it is that long past.

    An alarm is a log line, not a row: `switchyard audit verify` finds the same at any time.
    """

    clock: Clock
    _: KW_ONLY
    grace: timedelta = VERIFICATION_GRACE
    _seen: int | None = field(default=None, init=False)
    _until: datetime | None = field(default=None, init=False)

    async def raise_due_alarms(self, session: Database) -> None:
        """Raise the alarms that have become due. Raises `Unavailable`."""
        ripe = self.clock.now() - self.grace
        database = session.with_queries(_SQL)
        if self._seen is None:
            self._seen = max(0, await database.value("last_index") - MAX_WATCH_ROWS)
        await self._orphans(database, ripe)
        await self._unended(database, ripe)

    async def _orphans(self, database: Database, ripe: datetime) -> None:
        before = self._seen or 0
        # Rows are recorded in nearly the order of their log indexes: one among older rows is checked a little early.
        while (last := await database.value("ripe", before, ripe, WATCH_BATCH_SIZE)) > before:
            for row in await database.rows("orphans", before, last):
                log.error("integrity.orphan", alarm="integrity", kind="missing_parent", **row)
            self._seen = before = last

    async def _unended(self, database: Database, ripe: datetime) -> None:
        since = self._until or ripe - WATCH_WINDOW
        for row in await database.rows("unended", since, ripe):
            fields = {**row, "case_deadline": row["case_deadline"].isoformat()}
            log.error("case.unended", alarm="unended", **fields)
        self._until = ripe
