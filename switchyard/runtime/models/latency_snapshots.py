"""Latency snapshots: a new process starts with what earlier ones measured of the models, from the work database.

Each process writes a row of its own, every half-minute and when it drains; a new one reads every row that is not too
old. Losing a row costs accuracy, never correctness, so an unreachable database is logged and tried again.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from latency_failover import FailoverModel, Snapshot
from latency_failover.snapshot import HORIZON_MS
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)

SNAPSHOT_INTERVAL_S = 30.0
MAX_SNAPSHOTS = 32
"""The latest; more replicas than this say nothing new."""


class LatencySnapshots:
    """The latency snapshots of one model pair, in the schema of the consumer that uses it."""

    def __init__(self, pool: Pool, model: FailoverModel, clock: Clock) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self._model = model
        self._clock = clock
        self._replica = uuid.uuid4()

    async def load(self) -> int:
        """Load what other processes measured into the model; return how many snapshots there were."""
        wall_ms = self._wall_ms()
        try:
            rows = await self._database.rows("latest", _from_wall_ms(wall_ms - HORIZON_MS), MAX_SNAPSHOTS)
            snapshots = [Snapshot.model_validate_json(row["snapshot"]) for row in rows]
        except (Unavailable, ValidationError) as error:
            # A release may have changed the form of a snapshot: the process starts without history.
            log.warning("latency.not_recalled", reason=type(error).__name__)
            return 0
        self._model.restore_history(snapshots, wall_ms=wall_ms)
        log.info("latency.recalled", snapshots=len(snapshots))
        return len(snapshots)

    async def save(self) -> None:
        """Write what this process has seen, if it has seen anything."""
        wall_ms = self._wall_ms()
        snapshot = self._model.snapshot(wall_ms=wall_ms)
        if not snapshot.series:
            return
        try:
            await self._database.execute("save", self._replica, _from_wall_ms(wall_ms), snapshot.model_dump_json())
            await self._database.execute("prune", _from_wall_ms(wall_ms - HORIZON_MS))
        except Unavailable as error:
            log.warning("latency.not_kept", code=error.code)

    def _wall_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1_000)


def _from_wall_ms(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=wall_ms)
