"""Alarms about what is not in the log: a cause that never came, an ending that is overdue."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from switchyard.audit.transparency.log_index import AuditConnection
from switchyard.audit.verification.verify import VERIFICATION_GRACE
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import translate_errors
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
_DATABASE = "the audit database"
MAX_WATCH_ROWS = 100_000
"""How far back a new leader looks: what its predecessor may have left unsaid. Alarms of a takeover may repeat."""

WATCH_BATCH_SIZE = 10_000
WATCH_WINDOW = timedelta(hours=1)


class LogWatch:
    """Looks at each log_index once, `grace` after its row was recorded, and at each deadline once it is that long past.

    An alarm is a log line and nothing in the database: `switchyard audit verify` finds the same whenever it is asked.
    """

    def __init__(self, clock: Clock, *, grace: timedelta = VERIFICATION_GRACE) -> None:
        self._clock = clock
        self._grace = grace
        self._seen: int | None = None
        self._until: datetime | None = None

    async def raise_due_alarms(self, connection: AuditConnection) -> None:
        """Raise the alarms that have become due. Raises `Unavailable`."""
        ripe = self._clock.now() - self._grace
        with translate_errors(_DATABASE):
            if self._seen is None:
                newest = await connection.fetchval(_SQL["last_index"])
                self._seen = max(0, newest - MAX_WATCH_ROWS)
            await self._orphans(connection, ripe)
            await self._unended(connection, ripe)

    async def _orphans(self, connection: AuditConnection, ripe: datetime) -> None:
        before = self._seen or 0
        # Recorded in nearly the order of log indexes: one row that is not yet ripe among others only waits a little
        # less.
        while (last := await connection.fetchval(_SQL["ripe"], before, ripe, WATCH_BATCH_SIZE)) > before:
            for row in await connection.fetch(_SQL["orphans"], before, last):
                log.error(
                    "integrity.orphan",
                    alarm="integrity",
                    kind="missing_parent",
                    case_id=row["case_id"],
                    event_id=row["event_id"],
                    transition=row["transition"],
                    node_from=row["node_from"],
                )
            self._seen = before = last

    async def _unended(self, connection: AuditConnection, ripe: datetime) -> None:
        since = self._until or ripe - WATCH_WINDOW
        for row in await connection.fetch(_SQL["unended"], since, ripe):
            log.error(
                "case.unended",
                alarm="unended",
                case_id=row["case_id"],
                tenant=row["tenant"],
                case_deadline=row["case_deadline"].isoformat(),
            )
        self._until = ripe
