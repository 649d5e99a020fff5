"""A producer publishes an event of its own once more when it is asked to. Nobody else could: IAM binds the source.

The request is a row that names an event id, so whoever may ask can cause a duplicate, which every consumer drops, and
nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
REPUBLISH_INTERVAL_S = 2.0
REPUBLISH_BATCH_SIZE = 50
_SQL = load_queries(__file__)


@dataclass(frozen=True)
class Republisher:
    """What republishing depends on. Any number of processes may do it: publishing twice is harmless."""

    pool: Pool
    publisher: Publisher

    async def tick(self) -> int:
        """Publish what was asked for; return how many requests were answered.

        A request is answered after its event is on the bus, so a crash in between publishes it again. Raises
        `Unavailable` when the database or the bus cannot be reached.
        """
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["requested"], REPUBLISH_BATCH_SIZE)
        if not rows:
            return 0
        await self.publisher.publish([json.loads(row["event"]) for row in rows if row["event"] is not None])
        for row in rows:
            found = row["event"] is not None
            log.warning("event.republished" if found else "republish.unknown", event_id=str(row["event_id"]))
        with translate_errors("the work database"):
            await self.pool.execute(
                _SQL["answered"],
                [row["event_id"] for row in rows],
                [row["requested_at"] for row in rows],
                [row["event"] is not None for row in rows],
            )
        return len(rows)
