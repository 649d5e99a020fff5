"""The sequencer: gives committed rows their log indexes and checkpoints them. One process does, the others stand by."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from switchyard.audit.service.missing_events import LogWatch
from switchyard.audit.transparency.checkpointer import CheckpointConflict, Checkpointer
from switchyard.audit.transparency.checkpoints import UnreadableCheckpoint
from switchyard.audit.transparency.log_index import AuditConnection, LogIndex
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Pool, translate_errors

log = structlog.get_logger(__name__)
SEQUENCE_BATCH_SIZE = 10_000
WATCH_INTERVAL_S = 30.0
FINISH_S = 10.0
"""How long a stop may wait for its last checkpoint."""

SEQUENCER_RETRY_S = 30.0
"""How long to leave S3 and KMS alone after a failure."""


class Sequencer:
    """Runs until cancelled. Without `checkpoints` it gives log indexes only, which a database's owner can rewrite.

    The leader also keeps the watch, if it is given one: the alarms are raised once, and not by each process.
    """

    def __init__(
        self,
        pool: Pool,
        checkpoints: Checkpointer | None,
        watch: LogWatch | None = None,
        *,
        every_s: float = 1.0,
        again_s: float = SEQUENCER_RETRY_S,
    ) -> None:
        self._pool = pool
        self._checkpoints = checkpoints
        self._watch = watch
        self._look_at = 0.0
        self._every_s = every_s
        self._again_s = again_s
        self._rest_until = 0.0

    async def run(self) -> None:
        """Sequence whenever the lock is free, until cancelled. What goes wrong is said and tried again."""
        if self._checkpoints is None:
            log.warning("checkpoint.off", reason="SWITCHYARD_CHECKPOINT_BUCKET is not set")
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._lead(connection)
            except Unavailable as error:
                log.warning("sequence.deferred", code=error.code, reason=error.message)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.error("sequence.failed", alarm="audit", error=type(error).__name__, reason=str(error))  # noqa: TRY400 - the reason is the whole of it
            await asyncio.sleep(self._every_s)

    async def finish(self) -> None:
        """At a clean stop: place and checkpoint what is left, if nobody else leads."""
        try:
            with translate_errors("the audit database"):
                async with asyncio.timeout(FINISH_S), self._pool.acquire() as connection:
                    log_index = LogIndex(connection)
                    if await log_index.lead():
                        await self._place(log_index)
                        await self._checkpoint(log_index, now=True)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.warning("sequence.unfinished", error=type(error).__name__)

    async def _lead(self, connection: AuditConnection) -> None:
        log_index = LogIndex(connection)
        if not await log_index.lead():
            return
        log.info("sequence.leading")
        self._rest_until = 0.0
        takeover = True
        while True:
            await self._place(log_index)
            await self._checkpoint(log_index, takeover=takeover)
            takeover = False
            await self._look(connection)
            await asyncio.sleep(self._every_s)

    async def _look(self, connection: AuditConnection) -> None:
        loop = asyncio.get_running_loop()
        if self._watch is not None and loop.time() >= self._look_at:
            self._look_at = loop.time() + WATCH_INTERVAL_S
            await self._watch.raise_due_alarms(connection)

    async def _place(self, log_index: LogIndex) -> None:
        while await log_index.index_rows(SEQUENCE_BATCH_SIZE) == SEQUENCE_BATCH_SIZE:
            pass

    async def _checkpoint(self, log_index: LogIndex, *, takeover: bool = False, now: bool = False) -> None:
        """Checkpoint what is due. S3 and KMS out of reach delay checkpoints and nothing else."""
        loop = asyncio.get_running_loop()
        if self._checkpoints is None or loop.time() < self._rest_until:
            return
        try:
            if takeover:
                await self._checkpoints.adopt(log_index)
            while await self._checkpoints.write_if_due(log_index, now=now):
                pass
        except Unavailable as error:
            if error.code == "database_unreachable":
                raise
            log.error("checkpoint.deferred", alarm="checkpoint", code=error.code, reason=error.message)  # noqa: TRY400
        except PermanentTaskError as error:
            log.error("checkpoint.refused", alarm="checkpoint", code=error.code, reason=str(error))  # noqa: TRY400
        except (CheckpointConflict, UnreadableCheckpoint) as conflict:
            log.error("checkpoint.conflict", alarm="integrity", reason=str(conflict))  # noqa: TRY400
        else:
            return
        self._rest_until = loop.time() + self._again_s
