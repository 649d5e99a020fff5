"""What producers say they published, and asking them for it again. The one place where audit reads the work database.

It sees ids and digests, in a view of each producer's schema, and may write event ids into one table of each.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from switchyard.audit.reconciliation.completeness import PublishedEvent
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__, "completeness.sql")


class Producers:
    """The producers that keep their outcomes, as the role `reconciler`. Methods raise `Unavailable` if out of reach."""

    def __init__(self, pool: Pool, nodes: Sequence[str]) -> None:
        self._pool = pool
        self.nodes = tuple(nodes)

    async def cases(self, node: str, since: datetime, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases, in the order of their ids, of which a producer has published something since."""
        return [row["case_id"] for row in await self._fetch(node, "cases_published", since, after, limit)]

    async def published(self, cases: Sequence[uuid.UUID]) -> list[PublishedEvent]:
        """All that the producers have published of some cases."""
        found = []
        for node in self.nodes:
            for row in await self._fetch(node, "published_of", list(cases)):
                event_id, since = row["event_id"], row["stored_at"]
                told = (row["case_id"], event_id, row["digest"], row["opened_on"], row["type"], since)
                found.append(PublishedEvent(node, *told, ask=(node, event_id)))
        return found

    async def ask(self, node: str, event_id: str, case_id: str) -> None:
        """Ask a producer to publish an event of its own again."""
        await self._fetch(node, "ask", uuid.UUID(event_id), uuid.UUID(case_id))

    async def answered(self, node: str, event_id: str) -> bool | None:
        """Whether the producer had such an event; None while it has not answered."""
        rows = await self._fetch(node, "answered", uuid.UUID(event_id))
        return bool(rows[0]["found"]) if rows else None

    async def _fetch(self, node: str, name: str, *arguments: Any) -> list[Any]:
        with translate_errors("the work database"):
            async with self._pool.acquire() as connection, connection.transaction():
                await _set_search_path(connection, node)
                rows: list[Any] = await connection.fetch(_SQL[name], *arguments)
                return rows


async def _set_search_path(connection: asyncpg.pool.PoolConnectionProxy[Any], schema: str) -> None:
    await connection.execute("select set_config('search_path', $1, true)", schema)
