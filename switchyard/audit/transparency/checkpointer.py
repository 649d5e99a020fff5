"""Making anchors: first outside the database, then the copy inside, and whatever a crash left between is taken over."""

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
    """S3 has an anchor that this database contradicts. Remedy: find out who changed the database, or which backup was
    restored (`switchyard audit verify --anchors` names the rows); nothing is anchored until then."""


@dataclass(frozen=True, slots=True)
class CheckpointSchedule:
    """When to anchor: `rows` positions, or the first one `seconds` old. An anchor is kept for `keep`."""

    rows: int
    seconds: float
    keep: timedelta


def is_checkpoint_due(waiting: CheckpointBacklog, schedule: CheckpointSchedule) -> bool:
    """Whether to anchor now."""
    return waiting.rows >= schedule.rows or (waiting.rows > 0 and waiting.oldest_s >= schedule.seconds)


class Checkpointer:
    """Anchors the positions of one log. `keys` are those whose anchors it takes over: its own, and older ones."""

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

    async def write_if_due(self, positions: LogIndex, *, now: bool = False) -> bool:
        """Make one anchor if it is due, or `now` if anything waits; whether it made one.

        Raises `Unavailable`, `Rejected` for a bucket without Object Lock, and `CheckpointConflict`.
        """
        head = await positions.head(self._name)
        waiting = await positions.uncovered_rows(head, MAX_CHECKPOINT_ROWS)
        if not (is_checkpoint_due(waiting, self._schedule) or (now and waiting.rows)):
            return False
        leaves = await positions.leaves(head.last + 1, head.last + waiting.rows)
        moment = self._clock.now()
        statement = next_checkpoint_body(head, leaves, log=self._name, made_at=moment, key=self._key)
        anchor = Checkpoint(statement, await self._signer.sign(statement.signed_bytes()), tuple(leaves))
        made = await self._objects.put_new(
            checkpoint_key(self._name, statement.number),
            anchor.to_bytes(),
            keep_until=moment + self._schedule.keep,
            content_type="application/json",
        )
        if not made:
            return await self.adopt(positions)
        await positions.add(anchor)
        log.info("anchor.made", number=statement.number, rows=len(leaves), last=statement.last)
        return True

    async def adopt(self, positions: LogIndex) -> bool:
        """Take over anchors that are in S3 and not in the database: whoever wrote them was killed in between.

        Raises `Unavailable`, and `CheckpointConflict` for one that the database's positions do not bear out.
        """
        adopted = False
        head = await positions.head(self._name)
        while (found := await self._objects.get(checkpoint_key(self._name, head.number + 1))) is not None:
            anchor = await self._checked(positions, head, found.data)
            await positions.add(anchor)
            log.warning("anchor.adopted", number=anchor.statement.number)
            adopted, head = True, await positions.head(self._name)
        return adopted

    async def _checked(self, positions: LogIndex, head: LogHead, data: bytes) -> Checkpoint:
        number = head.number + 1
        try:
            anchor = Checkpoint.from_bytes(data)
        except UnreadableCheckpoint as error:
            raise CheckpointConflict(f"anchor {number} in S3 cannot be read: {error}") from error
        said = anchor.statement
        if said.log != self._name or (why := explain_unlinked(head, said)):
            raise CheckpointConflict(f"anchor {number} in S3 belongs to another history: {why}")
        if why := self._keys.invalid_reason(said.key, said.signed_bytes(), anchor.signature):
            raise CheckpointConflict(f"anchor {number} in S3 is not ours: {why}")
        if tuple(await positions.leaves(said.first, said.last)) != anchor.leaves:
            where = f"positions {said.first} to {said.last}"
            raise CheckpointConflict(f"anchor {number} in S3 covers other rows than the database has in {where}")
        return anchor
