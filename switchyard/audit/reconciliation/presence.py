"""What the log holds of some cases, and how far delivery has come. Needs no more than the role `audit_reader`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from switchyard.audit.reconciliation.completeness import PublishedEvent, RecordedEvent
from switchyard.protocol.catalogue import ROUTER
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "completeness.sql")
RECENT_WINDOW = timedelta(minutes=10)
RECENT_ROWS = 100
"""Rows of each producer that say how far it has come: the oldest of that many, because queues keep no order."""


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """An event of the log; with its text if it is for the router."""

    recorded_event: RecordedEvent
    parents: tuple[str, ...]
    node_to: str
    body: str | None


class LogPresence:
    """The log, as the reconciler reads it. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def cases(self, since: datetime, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases, in the order of their ids, of which something was recorded since."""
        return [row["case_id"] for row in await self._fetch("cases_recorded", since, after, limit)]

    async def rows(self, cases: Sequence[uuid.UUID]) -> list[PresenceRow]:
        """Everything that the log has of some cases."""
        return [
            PresenceRow(
                RecordedEvent(
                    row["node_from"],
                    row["case_id"],
                    row["event_id"],
                    row["transcript_hash"],
                    row["transition"],
                    row["recorded_at"],
                    # The router stores nothing: what it decided is known by what it decided on.
                    row["parents"][0] if row["node_from"] == ROUTER and row["parents"] else None,
                ),
                tuple(row["parents"]),
                row["node_to"],
                row["body"],
            )
            for row in await self._fetch("events_of", list(cases))
        ]

    async def still_missing(self, events: Sequence[PublishedEvent]) -> list[PublishedEvent]:
        """Those of some events that the log does not have now."""
        days, ids = [event.opened_on for event in events], [uuid.UUID(event.event_id) for event in events]
        there = {row["event_id"] for row in await self._fetch("which_are_there", days, ids)}
        return [event for event in events if event.event_id not in there]

    async def delivered_until(self, now: datetime) -> dict[str, datetime]:
        """For each producer, the moment after which all of its latest recorded events happened."""
        return {row["node_from"]: row["since"] for row in await self._fetch("passed", now - RECENT_WINDOW, RECENT_ROWS)}

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        with translate_errors("the audit database"):
            rows: list[Any] = await self._pool.fetch(_SQL[name], *arguments)
            return rows
