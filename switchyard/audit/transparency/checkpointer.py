"""Writes checkpoints: first to S3, then the copy in the database; after a crash in between it adopts the first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog

from switchyard.audit.transparency.checkpoints import (
    MAX_CHECKPOINT_ROWS,
    Checkpoint,
    LogHead,
    UnreadableCheckpoint,
    checkpoint_key,
    explain_unlinked,
    next_checkpoint_body,
)
from switchyard.audit.transparency.log_index import CheckpointBacklog, LogIndex
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.signing import Signer, TrustedKeys, key_name
from switchyard.runtime.storage.locked_objects import LockedObjects

log = structlog.get_logger(__name__)


class CheckpointConflict(Exception):
    """S3 has a checkpoint that this database contradicts.

    Remedy: find out who changed the database, or which backup was
    restored (`switchyard audit verify --checkpoints` names the rows); nothing is covered by a checkpoint until then."""


@dataclass(frozen=True, slots=True)
class CheckpointSchedule:
    """When to checkpoint: `rows` log indexes, or the first one `seconds` old. A checkpoint is kept for `keep`."""

    rows: int
    seconds: float
    keep: timedelta


def is_checkpoint_due(waiting: CheckpointBacklog, schedule: CheckpointSchedule) -> bool:
    """Whether to checkpoint now."""
    return waiting.rows >= schedule.rows or (waiting.rows > 0 and waiting.oldest_s >= schedule.seconds)


class Checkpointer:
    """Checkpoints the log indexes of one log.

    `keys` are those whose checkpoints it takes over: its own, and older ones.
    """

    def __init__(
        self,
        objects: LockedObjects,
        signer: Signer,
        keys: TrustedKeys,
        clock: Clock,
        schedule: CheckpointSchedule,
        *,
        name: str = "main",
    ) -> None:
        self._objects = objects
        self._signer = signer
        self._keys = keys
        self._key = key_name(signer.public)
        self._clock = clock
        self._schedule = schedule
        self._name = name

    async def write_if_due(self, log_index: LogIndex, *, now: bool = False) -> bool:
        """Make one checkpoint if it is due, or `now` if anything waits; whether it made one.

        Raises `Unavailable`, `Rejected` for a bucket without Object Lock, and `CheckpointConflict`.
        """
        head = await log_index.head(self._name)
        waiting = await log_index.uncovered_rows(head, MAX_CHECKPOINT_ROWS)
        if not (is_checkpoint_due(waiting, self._schedule) or (now and waiting.rows)):
            return False
        leaves = await log_index.leaves(head.last + 1, head.last + waiting.rows)
        moment = self._clock.now()
        statement = next_checkpoint_body(head, leaves, log=self._name, made_at=moment, key=self._key)
        checkpoint = Checkpoint(statement, await self._signer.sign(statement.signed_bytes()), tuple(leaves))
        made = await self._objects.put_new(
            checkpoint_key(self._name, statement.number),
            checkpoint.to_bytes(),
            keep_until=moment + self._schedule.keep,
            content_type="application/json",
        )
        if not made:
            return await self.adopt(log_index)
        await log_index.add(checkpoint)
        log.info("checkpoint.made", number=statement.number, rows=len(leaves), last=statement.last)
        return True

    async def adopt(self, log_index: LogIndex) -> bool:
        """Take over checkpoints that are in S3 and not in the database: whoever wrote them was killed in between.

        Raises `Unavailable`, and `CheckpointConflict` for one that the database's log indexes do not bear out.
        """
        adopted = False
        head = await log_index.head(self._name)
        while (found := await self._objects.get(checkpoint_key(self._name, head.number + 1))) is not None:
            checkpoint = await self._checked(log_index, head, found.data)
            await log_index.add(checkpoint)
            log.warning("checkpoint.adopted", number=checkpoint.statement.number)
            adopted, head = True, await log_index.head(self._name)
        return adopted

    async def _checked(self, log_index: LogIndex, head: LogHead, data: bytes) -> Checkpoint:
        number = head.number + 1
        try:
            checkpoint = Checkpoint.from_bytes(data)
        except UnreadableCheckpoint as error:
            raise CheckpointConflict(f"checkpoint {number} in S3 cannot be read: {error}") from error
        said = checkpoint.statement
        if said.log != self._name or (why := explain_unlinked(head, said)):
            raise CheckpointConflict(f"checkpoint {number} in S3 belongs to another history: {why}")
        if why := self._keys.invalid_reason(said.key, said.signed_bytes(), checkpoint.signature):
            raise CheckpointConflict(f"checkpoint {number} in S3 is not ours: {why}")
        if tuple(await log_index.leaves(said.first, said.last)) != checkpoint.leaves:
            where = f"log indexes {said.first} to {said.last}"
            raise CheckpointConflict(f"checkpoint {number} in S3 covers other rows than the database has in {where}")
        return checkpoint
