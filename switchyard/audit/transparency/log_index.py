"""The database's side of the proof: log indexes and the copies of checkpoints. Needs the role `audit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
from pydantic import ValidationError

from switchyard.audit.transparency.checkpoints import (
    Checkpoint,
    CheckpointBody,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    head_after,
)
from switchyard.runtime.database.connections import translate_errors
from switchyard.runtime.database.queries import load_queries

AuditConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
TRANSPARENCY_SQL = load_queries(__file__, "transparency.sql")
_DATABASE = "the audit database"


@dataclass(frozen=True, slots=True)
class CheckpointBacklog:
    """Log indexes after the last checkpoint: how many, up to a limit, and for how many seconds the first has waited."""

    rows: int
    oldest_s: float


class LogIndex:
    """Log indexes and checkpoints, through one connection.

    The lock that makes its holder the sequencer lives as long as it.

    Every method raises `Unavailable` when the database cannot be reached.
    """

    def __init__(self, connection: AuditConnection) -> None:
        self._connection = connection

    async def lead(self) -> bool:
        """Become the sequencer; False while another is."""
        return bool(await self._value("lead"))

    async def index_rows(self, at_most: int) -> int:
        """Give the oldest waiting rows the next log indexes, committed on return; how many waited."""
        return int(await self._value("place", at_most))

    async def head(self, log: str) -> LogHead:
        """The last checkpoint that the database knows.

        Raises `UnreadableCheckpoint` if somebody has altered its copy.
        """
        with translate_errors(_DATABASE):
            row = await self._connection.fetchrow(TRANSPARENCY_SQL["head"], log)
        if row is None:
            return LogHead()
        try:
            return head_after(CheckpointBody.model_validate_json(row["statement"]))
        except ValidationError as error:
            raise UnreadableCheckpoint(f"the database's copy of checkpoint {row['number']} cannot be read") from error

    async def uncovered_rows(self, head: LogHead, at_most: int) -> CheckpointBacklog:
        """What waits for a checkpoint."""
        with translate_errors(_DATABASE):
            row = await self._connection.fetchrow(TRANSPARENCY_SQL["uncovered"], head.last, at_most)
        return CheckpointBacklog(**row) if row else CheckpointBacklog(0, 0.0)

    async def leaves(self, first: int, last: int) -> list[bytes]:
        """The leaf hashes of some log indexes, in order."""
        with translate_errors(_DATABASE):
            rows = await self._connection.fetch(TRANSPARENCY_SQL["leaves"], first, last)
        return [Leaf(**row).hash() for row in rows]

    async def add(self, checkpoint: Checkpoint) -> None:
        """Keep a copy of a checkpoint. Repeating it changes nothing."""
        said = checkpoint.statement
        await self._value(
            "add_checkpoint",
            said.log,
            said.number,
            said.first,
            said.last,
            said.signed_bytes().decode(),
            checkpoint.signature,
        )

    async def _value(self, name: str, *arguments: object) -> Any:
        with translate_errors(_DATABASE):
            return await self._connection.fetchval(TRANSPARENCY_SQL[name], *arguments)
