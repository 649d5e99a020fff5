"""The log as the reconciler reads it. The role `audit_reader` is enough."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from switchyard.audit.reconciliation.completeness import PublishedEvent, RecordedEvent
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "completeness.sql")
RECENT_WINDOW = timedelta(minutes=10)
RECENT_ROWS = 100
"""The latest rows of a producer, whose oldest shows its progress, because queues do not keep the order."""


class LogPresence:
    """Reads the log. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)

    async def cases(self, since: datetime, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases with rows recorded since, in the order of their ids."""
        return [row["case_id"] for row in await self._database.rows("cases_recorded", since, after, limit)]

    async def recorded(self, cases: Sequence[uuid.UUID]) -> list[RecordedEvent]:
        """All events of some cases."""
        rows = await self._database.rows("events_of", list(cases))
        return [RecordedEvent(**row | {"parents": tuple(row["parents"])}) for row in map(dict, rows)]

    async def still_missing(self, events: Sequence[PublishedEvent]) -> list[PublishedEvent]:
        """The events that the log still lacks."""
        days, ids = [event.opened_on for event in events], [uuid.UUID(event.event_id) for event in events]
        there = {row["event_id"] for row in await self._database.rows("which_are_there", days, ids)}
        return [event for event in events if event.event_id not in there]

    async def delivered_until(self, now: datetime) -> dict[str, datetime]:
        """By producer, the moment after which its latest recorded events happened."""
        return {
            row["node_from"]: row["since"]
            for row in await self._database.rows("passed", now - RECENT_WINDOW, RECENT_ROWS)
        }
