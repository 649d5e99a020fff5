"""Writes checkpoints: first to S3, then the copy to the database. After a crash in between it adopts those in S3."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import timedelta

import structlog

from switchyard.audit.transparency.checkpoint import (
    MAX_CHECKPOINT_ROWS,
    Checkpoint,
    LogHead,
    UnreadableCheckpoint,
    checkpoint_key,
    explain_unlinked,
    next_checkpoint_body,
    time_problem,
)
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.signing import Signer, TrustedKeys, key_name
from switchyard.runtime.storage.locked_objects import LockedObjects

log = structlog.get_logger(__name__)


class CheckpointConflict(Exception):
    """The database contradicts a checkpoint in S3, or holds an entry that the audit process did not make.

    Remedy: find out who changed the database, or which backup was restored; `switchyard audit verify --checkpoints`
    names the rows. No new checkpoint is written until then.
    """


@dataclass(frozen=True, slots=True)
class CheckpointSchedule:
    """A checkpoint is due after `rows` entries, or once the first is `seconds` old. Object Lock keeps it for `keep`."""

    rows: int
    seconds: float
    keep: timedelta

    def is_due(self, rows: int, oldest_s: float) -> bool:
        """Whether a checkpoint is due when `rows` entries wait, the first for `oldest_s` seconds."""
        return rows >= self.rows or (rows > 0 and oldest_s >= self.seconds)


@dataclass(frozen=True)
class Checkpointer:
    """Writes the checkpoints of one log. `keys` are those whose checkpoints it adopts: its own, and older ones."""

    objects: LockedObjects
    signer: Signer
    keys: TrustedKeys
    clock: Clock
    schedule: CheckpointSchedule
    _: KW_ONLY
    name: str = "main"

    async def write_if_due(self, transparency_log: TransparencyLog, *, now: bool = False) -> bool:
        """Write one checkpoint if it is due, or with `now` if any entry waits; whether it wrote one.

        The signature vouches for each row's MAC. While rows wait for a key no checkpoint is made, because they were
        recorded before it.
        Raises `Unavailable`, `Rejected` for a bucket without Object Lock, and `CheckpointConflict`.
        """
        if transparency_log.waiting:
            return False
        head = await transparency_log.head(self.name)
        rows, oldest_s = await transparency_log.uncovered_rows(head, MAX_CHECKPOINT_ROWS)
        if not (self.schedule.is_due(rows, oldest_s) or (now and rows)):
            return False
        entries = await transparency_log.leaves(head.last + 1, head.last + rows)
        if [leaf.log_index for leaf in entries] != list(range(head.last + 1, head.last + rows + 1)):
            raise CheckpointConflict(f"the log indexes after {head.last} have a gap")
        if why := await transparency_log.forged(entries):
            raise CheckpointConflict(f"an entry of the log did not come from the audit process: {why}")
        leaves = [leaf.hash() for leaf in entries]
        moment = self.clock.now()
        body = next_checkpoint_body(head, leaves, log=self.name, made_at=moment, key=key_name(self.signer.public))
        checkpoint = Checkpoint(body, await self.signer.sign(body.signed_bytes()), tuple(leaves))
        key, until = checkpoint_key(self.name, body.number), moment + self.schedule.keep
        made = await self.objects.put_new(key, checkpoint.to_bytes(), keep_until=until, content_type="application/json")
        if not made:
            return await self.adopt(transparency_log)
        await transparency_log.add(checkpoint)
        if backdated := [leaf.log_index for leaf in entries if time_problem(body, leaf.recorded_at)]:
            log.error("checkpoint.wrong_time", alarm="integrity", number=body.number, log_indexes=backdated[:10])
        log.info("checkpoint.made", number=body.number, rows=len(leaves), last=body.last)
        return True

    async def adopt(self, transparency_log: TransparencyLog) -> bool:
        """Take over checkpoints that are in S3 and not in the database: their writer was killed in between.

        Raises `Unavailable`, and `CheckpointConflict` for one that does not match the database's entries.
        """
        adopted = False
        head = await transparency_log.head(self.name)
        while (found := await self.objects.get(checkpoint_key(self.name, head.number + 1))) is not None:
            checkpoint = await self._checked(transparency_log, head, found.data)
            await transparency_log.add(checkpoint)
            log.warning("checkpoint.adopted", number=checkpoint.body.number)
            adopted, head = True, await transparency_log.head(self.name)
        return adopted

    async def _checked(self, transparency_log: TransparencyLog, head: LogHead, data: bytes) -> Checkpoint:
        number = head.number + 1
        try:
            checkpoint = Checkpoint.from_bytes(data)
        except UnreadableCheckpoint as error:
            raise CheckpointConflict(f"checkpoint {number} in S3 cannot be read: {error}") from error
        body = checkpoint.body
        if body.log != self.name or (why := explain_unlinked(head, body)):
            raise CheckpointConflict(f"checkpoint {number} in S3 belongs to another history: {why}")
        if why := self.keys.invalid_reason(body.key, body.signed_bytes(), checkpoint.signature):
            raise CheckpointConflict(f"checkpoint {number} in S3 is invalid: {why}")
        if tuple(leaf.hash() for leaf in await transparency_log.leaves(body.first, body.last)) != checkpoint.leaves:
            rows = f"the rows of log indexes {body.first} to {body.last}"
            raise CheckpointConflict(f"checkpoint {number} in S3 does not match {rows}")
        return checkpoint
