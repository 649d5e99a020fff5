"""The transparency log in the database: its entries, and the copies of its checkpoints. Needs the role `audit`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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


class TransparencyLog:
    """The transparency log, over one connection, which holds the sequencer's lock as long as it lives.

    Every method raises `Unavailable` when the database cannot be reached.
    """

    def __init__(self, session: Database) -> None:
        """`session` is open to other statements of the process that holds the lock."""
        self.session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator[Self]:
        """The log over a connection of its own."""
        async with Database(pool, AUDIT_DATABASE, _SQL).session() as session:
            yield cls(session)

    async def lead(self) -> bool:
        """Become the sequencer; False while another process is."""
        return bool(await self.session.value("lead"))

    async def index_rows(self, at_most: int) -> int:
        """Give the oldest waiting rows the next log indexes, committed on return; how many waited."""
        return int(await self.session.value("index_rows", at_most))

    async def head(self, log: str) -> LogHead:
        """The last checkpoint in the database. Raises `UnreadableCheckpoint` if its copy was altered."""
        row = await self.session.row("head", log)
        if row is None:
            return LogHead()
        try:
            return head_after(CheckpointBody.model_validate_json(row["body"]))
        except ValidationError as error:
            raise UnreadableCheckpoint(f"the database's copy of checkpoint {row['number']} cannot be read") from error

    async def uncovered_rows(self, head: LogHead, at_most: int) -> tuple[int, float]:
        """How many entries wait for a checkpoint, up to a limit, and the age of the first in seconds."""
        rows, oldest_s = await self.session.row("uncovered", head.last, at_most)
        return rows, oldest_s

    async def leaves(self, first: int, last: int) -> list[bytes]:
        """The leaf hashes of a range of log indexes, in order."""
        return [Leaf(**row).hash() for row in await self.session.rows("leaves", first, last)]

    async def add(self, checkpoint: Checkpoint) -> None:
        """Store a copy of a checkpoint. Repeating it changes nothing."""
        body, text = checkpoint.body, checkpoint.body.signed_bytes().decode()
        row = (body.log, body.number, body.first, body.last, text, checkpoint.signature)
        await self.session.execute("add_checkpoint", *row)
