"""The transparency log in the database: its entries, and the copies of its checkpoints. Needs the role `audit`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import structlog
from pydantic import ValidationError

from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.row_mac import AuthenticRow, MacKeys, invalid_mac_reason
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    CheckpointBody,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    head_after,
)
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
_LEAF_FIELDS = ("opened_on", "event_id", "digest", "recorded_at", "body_sha256", "mac", "mac_key")


class TransparencyLog:
    """The transparency log, over one connection, which holds the sequencer's lock as long as it lives.

    Every method raises `Unavailable` when the database cannot be reached.
    """

    def __init__(self, session: Database, keys: MacKeys) -> None:
        """`session` is open to other statements of the process that holds the lock; `keys` check the rows' MACs."""
        self.session = session
        self.waiting = False
        """Whether rows wait for a key that could not be had. Until they are indexed, no checkpoint may be made."""

        self._keys = keys

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool, keys: MacKeys) -> AsyncIterator[Self]:
        """The log over a connection of its own."""
        async with Database(pool, AUDIT_DATABASE, _SQL).session() as session:
            yield cls(session, keys)

    async def lead(self) -> bool:
        """Become the sequencer; False while another process is."""
        return bool(await self.session.value("lead"))

    async def index_rows(self, at_most: int) -> int:
        """Give the oldest queued rows the next log indexes, committed on return; how many left the queue.

        A row that the audit process did not record gets none: it is refused with an alarm. Rows whose key cannot be had
        now wait, and nothing else does.
        """
        away: set[str] = set()
        left = await self._index_some(at_most, away)
        while away and left < at_most and (more := await self._index_some(at_most - left, away)):
            left += more
        self.waiting = bool(away)
        return left

    async def _index_some(self, at_most: int, away: set[str]) -> int:
        rows = await self.session.rows("queued", at_most, sorted(away))
        for key_id in {row["mac_key"] for row in rows if row["mac_key"] is not None}:
            try:
                await self._keys.load([key_id])
            except Unavailable as error:
                if error.code == "database_unreachable":
                    raise
                log.warning("sequence.waiting", alarm="mac_key", key_id=key_id, code=error.code)
                away.add(key_id)
        checked = [(row, self._rejection(row)) for row in rows if row["mac_key"] not in away]
        good = [row for row, why in checked if why is None]
        refused = [(row, why) for row, why in checked if why is not None]
        if refused:
            await self._refuse(refused)
        if good:
            await self.session.value("index_rows", *([row[name] for row in good] for name in _LEAF_FIELDS))
        # Rows of a key that was found to be away took places in the batch.
        return len(rows) if not away else len(good) + len(refused)

    def _rejection(self, row: Any) -> str | None:
        if row["digest"] is None:
            return "the queue names it, and it is not in the log"
        if row["body_sha256"] is None:
            return "it has no body"
        content = AuthenticRow(*(row[name] for name in ("opened_on", "event_id", "digest", "body_sha256")))
        return invalid_mac_reason(self._keys, content, row["mac"], row["mac_key"], row["recorded_at"])

    async def _refuse(self, refused: list[tuple[Any, str]]) -> None:
        for row, why in refused:
            ids = {"event_id": row["event_id"], "case_id": row["case_id"]}
            log.error("integrity.alarm", alarm="integrity", kind="forged_row", reason=why, **ids)
        columns = ([row[name] for row, _ in refused] for name in ("event_id", "case_id", "body_sha256"))
        await self.session.execute("keep_refused", *columns, [why for _, why in refused])
        await self.session.execute(
            "refuse_rows", [row["opened_on"] for row, _ in refused], [row["event_id"] for row, _ in refused]
        )

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

    async def leaves(self, first: int, last: int) -> list[Leaf]:
        """The leaves of a range of log indexes, in order."""
        return [Leaf(**row) for row in await self.session.rows("leaves", first, last)]

    async def forged(self, leaves: Sequence[Leaf]) -> str | None:
        """Why an entry among these is not authentic; None if all are. Raises `Unavailable` without a key's wrapper."""
        await self._keys.load({leaf.mac_key for leaf in leaves})
        for leaf in leaves:
            if why := invalid_mac_reason(self._keys, leaf.row, leaf.mac, leaf.mac_key, leaf.recorded_at):
                return f"log index {leaf.log_index}: {why}"
        return None

    async def add(self, checkpoint: Checkpoint) -> None:
        """Store a copy of a checkpoint. Repeating it changes nothing."""
        body, text = checkpoint.body, checkpoint.body.signed_bytes().decode()
        row = (body.log, body.number, body.first, body.last, text, checkpoint.signature)
        await self.session.execute("add_checkpoint", *row)
