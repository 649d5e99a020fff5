"""The transactional outbox: events are stored with the decision that made them, and published from there.

The process that stores an event publishes it at once. The relay marks what is published, and publishes what is not
marked: after a crash, an outage, or because the reconciler asked for it once more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import structlog

from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
RELAY_INTERVAL_S = 1.0
RELAY_BATCH_SIZE = 50
CLAIM_S = 30.0
"""How long a relay may take to publish what it claimed before another one publishes it."""

_SQL = load_queries(__file__)


class Outbox(Publisher):
    """The outbox of one schema: a `Publisher` of events that are stored in it, and their relay. Any number of processes
    may have one: an event that is published twice is the same event, which consumers drop."""

    def __init__(self, pool: Pool, publisher: Publisher) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self._publisher = publisher
        self._published: set[str] = set()
        self._aside = SetAside("outbox")

    async def publish(self, events: Sequence[Json]) -> None:
        """Publish stored events now. They are marked at the next tick. Raises `Unavailable` like any publisher. What
        the bus never accepts is left to the relay, which sets it aside; its case ends at its deadline."""
        try:
            await self._publisher.publish(events)
        except InvalidEvent:
            log.exception("outbox.refused", alarm="outbox", events=[event["event_id"] for event in events])
            return
        self._published.update(event["event_id"] for event in events)

    async def tick(self) -> int:
        """Mark what is published, then publish what is overdue; return how many events that was. Killed in between, it
        publishes the same events again. Raises `Unavailable` when the database or the bus cannot be reached."""
        await self.mark_published()
        rows = await self._database.rows("claim", CLAIM_S, RELAY_BATCH_SIZE, self._aside.names())
        if rows:
            await self._relay({str(row["event_id"]): row["event"] for row in rows})
        return len(rows)

    async def _relay(self, texts: Mapping[str, str]) -> None:
        """Publish each event on its own terms: one that the bus never accepts must not hold up the others."""
        results = await asyncio.gather(*map(self._publish_text, texts.values()), return_exceptions=True)
        away: Unavailable | None = None
        for event_id, result in zip(texts, results, strict=True):
            match result:
                case None:
                    self._published.add(event_id)
                case Unavailable():
                    away = result
                case Exception():
                    self._aside.add(event_id, result)
                case _:
                    raise result
        await self.mark_published()
        log.warning("outbox.relayed", events=list(texts))
        if away is not None:
            raise away

    async def _publish_text(self, text: str) -> None:
        await self._publisher.publish([json.loads(text)])

    async def mark_published(self) -> None:
        """Mark what this process has published. Raises `Unavailable`; then the next call marks it."""
        if self._published:
            marked = set(self._published)
            await self._database.execute("mark_published", sorted(marked))
            self._published -= marked

    async def close(self) -> None:
        """Mark what is published if the database can be reached; what is not marked is published again."""
        try:
            await self.mark_published()
        except Unavailable as error:
            log.warning("outbox.not_marked", code=error.code, events=len(self._published))


def event_text(event: Json) -> str:
    """An event as the outbox stores it."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
