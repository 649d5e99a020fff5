"""The transparency log in the database: its entries, and the copies of its checkpoints. Needs the role `audit`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    CheckpointBody,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    head_after,
)
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)


@dataclass(frozen=True, slots=True)
class CheckpointBacklog:
    """Entries after the last checkpoint: how many, up to a limit, and the age of the first in seconds."""

    rows: int
    oldest_s: float


class TransparencyLog:
    """The transparency log, over one connection, which holds the sequencer's lock as long as it lives.

    Every method raises `Unavailable` when the database cannot be reached.
    """

    def __init__(self, session: Database) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator[Self]:
        """The log over a connection of its own."""
        async with Database(pool, AUDIT_DATABASE, _SQL).session() as session:
            yield cls(session)

    @property
    def session(self) -> Database:
        """The connection, for other statements of the process that holds the lock."""
        return self._session

    async def lead(self) -> bool:
        """Become the sequencer; False while another process is."""
        return bool(await self._session.value("lead"))

    async def index_rows(self, at_most: int) -> int:
        """Give the oldest waiting rows the next log indexes, committed on return; how many waited."""
        return int(await self._session.value("index_rows", at_most))

    async def head(self, log: str) -> LogHead:
        """The last checkpoint in the database. Raises `UnreadableCheckpoint` if its copy was altered."""
        row = await self._session.row("head", log)
        if row is None:
            return LogHead()
        try:
            return head_after(CheckpointBody.model_validate_json(row["body"]))
        except ValidationError as error:
            raise UnreadableCheckpoint(f"the database's copy of checkpoint {row['number']} cannot be read") from error

    async def uncovered_rows(self, head: LogHead, at_most: int) -> CheckpointBacklog:
        """The entries that wait for a checkpoint."""
        return CheckpointBacklog(**await self._session.row("uncovered", head.last, at_most))

    async def leaves(self, first: int, last: int) -> list[bytes]:
        """The leaf hashes of a range of log indexes, in order."""
        return [Leaf(**row).hash() for row in await self._session.rows("leaves", first, last)]

    async def add(self, checkpoint: Checkpoint) -> None:
        """Store a copy of a checkpoint. Repeating it changes nothing."""
        body = checkpoint.body
        await self._session.execute(
            "add_checkpoint",
            body.log,
            body.number,
            body.first,
            body.last,
            body.signed_bytes().decode(),
            checkpoint.signature,
        )
