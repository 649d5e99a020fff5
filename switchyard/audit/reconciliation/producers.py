"""The producers' outboxes, as the reconciler reads them. The one place where audit reads the work database.

It sees ids and digests, and may call one function of each producer's schema, which has an event published once more.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from switchyard.audit.reconciliation.completeness import PublishedEvent
from switchyard.audit.reconciliation.credentials import IssuedCredential
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)


class Producers:
    """The producers with an outbox, as the role `reconciler`. Methods raise `Unavailable` if out of reach."""

    def __init__(self, pool: Pool, nodes: Sequence[str]) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self.nodes = tuple(nodes)

    async def cases(self, node: str, since: datetime | None, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases, in the order of their ids, with events that a producer published (since a time)."""
        return [row["case_id"] for row in await self._fetch(node, "cases_published", since, after, limit)]

    async def published(self, cases: Sequence[uuid.UUID]) -> list[PublishedEvent]:
        """All that the producers have published of some cases."""
        found = []
        for node in self.nodes:
            for row in await self._fetch(node, "published_of", list(cases)):
                event_id, since = row["event_id"], row["stored_at"]
                fields = (row["case_id"], event_id, row["digest"], row["opened_on"], row["type"], since)
                found.append(PublishedEvent(node, *fields, ask=(node, event_id)))
        return found

    async def issued(self, cases: Sequence[uuid.UUID]) -> list[IssuedCredential] | None:
        """The credentials that the identity service issued for some cases; None if the application has none."""
        if not await self._database.value("issues_tokens"):
            return None
        return [IssuedCredential(**row) for row in await self._database.rows("issued", list(cases))]

    async def ask(self, node: str, event_id: str) -> bool:
        """Ask a producer to publish an event of its own again; whether it has published such an event."""
        [row] = await self._fetch(node, "republish", uuid.UUID(event_id))
        return bool(row["known"])

    async def _fetch(self, node: str, name: str, *arguments: Any) -> list[Any]:
        async with self._database.transaction() as transaction:
            await transaction.execute("set_schema", node)
            return await transaction.rows(name, *arguments)
