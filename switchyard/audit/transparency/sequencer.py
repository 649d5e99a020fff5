"""The sequencer: gives committed rows their log indexes and writes checkpoints. One process leads, others stand by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field

import asyncpg
import structlog

from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.transparency.checkpoint import UnreadableCheckpoint
from switchyard.audit.transparency.checkpointer import CheckpointConflict, Checkpointer
from switchyard.audit.transparency.transparency_log import TransparencyLog
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.core.periodic import SetAside, run_periodically
from switchyard.runtime.database.connections import Database, Pool

log = structlog.get_logger(__name__)
SEQUENCE_BATCH_SIZE = 10_000
WATCH_INTERVAL_S = 30.0
FINISH_S = 10.0
"""How long a stop may wait for its last checkpoint."""

SEQUENCER_RETRY_S = 30.0
"""The pause of checkpoints after a failure of S3 or KMS."""

Watch = Callable[[Database], Awaitable[None]]
"""Raises alarms about the log, over the leader's connection."""


@dataclass
class Sequencer:
    """Runs until cancelled. Without `checkpointer` it only gives log indexes, which a database's owner can rewrite;
    `opening` makes one as soon as S3 and KMS can be reached, so that recording does not wait for them.

    The leader also runs `watch`, so that each alarm is raised by one process only.
    """

    pool: Pool
    keys: MacKeys
    checkpointer: Checkpointer | None
    watch: Watch | None = None
    _: KW_ONLY
    every_s: float = 1.0
    again_s: float = SEQUENCER_RETRY_S
    opening: Callable[[], Awaitable[Checkpointer]] | None = None
    _rest_until: float = field(default=0.0, init=False)
    _aside: SetAside = field(default_factory=lambda: SetAside("sequencer"), init=False)

    async def run(self) -> None:
        """Sequence whenever the lock is free, until cancelled. After a failure the next attempt follows."""
        if self.checkpointer is None and self.opening is None:
            log.warning("checkpoint.off", reason="SWITCHYARD_CHECKPOINT_BUCKET is not set")
        await run_periodically("sequencer", self._lead, every_s=self.every_s)

    async def finish(self) -> None:
        """At a clean stop: index and checkpoint the remaining rows, unless another process leads."""
        try:
            async with asyncio.timeout(FINISH_S), TransparencyLog.open(self.pool, self.keys) as transparency_log:
                if await transparency_log.lead():
                    await self._index_rows(transparency_log)
                    await self._write_checkpoints(transparency_log, now=True)
        except (Unavailable, TimeoutError, asyncpg.PostgresError) as error:
            log.warning("sequence.unfinished", error=type(error).__name__)

    async def _lead(self) -> None:
        loop = asyncio.get_running_loop()
        async with TransparencyLog.open(self.pool, self.keys) as transparency_log:
            if not await transparency_log.lead():
                return
            log.info("sequence.leading")
            self._rest_until = watch_at = 0.0
            takeover = True
            while True:
                await self._index_rows(transparency_log)
                await self._write_checkpoints(transparency_log, takeover=takeover)
                takeover = False
                if self.watch is not None and loop.time() >= watch_at and not self._aside.names():
                    watch_at = loop.time() + WATCH_INTERVAL_S
                    with self._aside.guard(
                        "watch"
                    ):  # a row that it cannot read must not stop log indexes and checkpoints
                        await self.watch(transparency_log.session)
                await asyncio.sleep(self.every_s)

    async def _index_rows(self, transparency_log: TransparencyLog) -> None:
        while await transparency_log.index_rows(SEQUENCE_BATCH_SIZE) == SEQUENCE_BATCH_SIZE:
            pass

    async def _write_checkpoints(
        self, transparency_log: TransparencyLog, *, takeover: bool = False, now: bool = False
    ) -> None:
        """Write the checkpoints that are due. If S3 or KMS cannot be reached, only checkpoints are delayed."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._rest_until:
            return
        try:
            if self.checkpointer is None:
                if self.opening is None:
                    return
                self.checkpointer, takeover = await self.opening(), True
            if takeover:
                await self.checkpointer.adopt(transparency_log)
            while await self.checkpointer.write_if_due(transparency_log, now=now):
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
        self._rest_until = loop.time() + self.again_s
