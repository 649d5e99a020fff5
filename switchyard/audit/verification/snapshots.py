"""One snapshot of the audit database for several sessions, so that a verification in parallel sees one log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import Queries


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that a session exported (`pg_export_snapshot`), or a new one. It lives as long as that session's
    transaction."""

    name: str | None = None

    @asynccontextmanager
    async def open(self, database: Database) -> AsyncIterator[Database]:
        """A transaction that reads it. Raises `Unavailable`."""
        async with database.transaction(isolation="repeatable_read", readonly=True) as log:
            if self.name is not None:
                statement = f"set transaction snapshot '{self.name.replace(chr(39), '')}'"
                await log.with_queries(Queries(None, {"snapshot": statement})).execute("snapshot")
            yield log


NEW_SNAPSHOT = Snapshot()


@asynccontextmanager
async def export_snapshot(database: Database) -> AsyncIterator[str]:
    """The name of a new snapshot, while the context is open. Raises `Unavailable`."""
    async with NEW_SNAPSHOT.open(database) as log:
        export = Queries(None, {"snapshot": "select pg_export_snapshot()"})
        yield str(await log.with_queries(export).value("snapshot"))
