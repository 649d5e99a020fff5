"""Unknown outcomes: listed, settled by a person, and then published as the email sender's own event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from contracts.cards import EMAIL_SENDER_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.email_sender import SendingResolved
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__, "ledger.sql")
RESOLUTION_INTERVAL_S = 1.0
RESOLUTION_BATCH_SIZE = 50


@dataclass(frozen=True)
class UnresolvedSend:
    """A sending of which nobody knows what became. `ended_as` is the outcome that its case got."""

    case_id: str
    content_sha256: str
    intended_at: datetime
    ended_as: str


async def list_unresolved_sends(pool: Pool, limit: int = 100) -> list[UnresolvedSend]:
    """All that wait to be settled, oldest first: given up as unknown, or ended while the provider was being asked.

    `pool` may be the email sender's or an operator's.
    """
    with translate_errors("the work database"):
        rows = await pool.fetch(_SQL["unsettled"], limit)
    return [
        UnresolvedSend(str(row["case_id"]), row["content_sha256"], row["intended_at"], row["ended_as"]) for row in rows
    ]


async def resolve_send(pool: Pool, case_id: str, found: SendingResolved) -> bool:
    """Record what a person found out. False if no such sending waits to be settled: somebody was faster."""
    with translate_errors("the work database"):
        settled: bool = await pool.fetchval(
            _SQL["settle"],
            case_id,
            found.content_sha256,
            found.sent,
            found.provider_message_id,
            found.operator,
            found.evidence,
        )
    return settled


@dataclass(frozen=True)
class ResolutionPublisher:
    """Publishes what was settled. Any number of email senders may run it: the event's id follows from its cause."""

    pool: Pool
    publisher: Publisher
    clock: Clock

    async def tick(self) -> int:
        """Publish what waits; return how much it was. Killed before it is marked, it is published again, the same."""
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["settlements"], RESOLUTION_BATCH_SIZE)
        if rows:
            await self.publisher.publish([await self._kept(row) for row in rows])
            await self._mark([row["command_id"] for row in rows])
        return len(rows)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except Unavailable as error:
                log.warning("settlements.deferred", code=error.code)
            await asyncio.sleep(RESOLUTION_INTERVAL_S)

    async def _mark(self, command_ids: Sequence[Any]) -> None:
        with translate_errors("the work database"):
            await self.pool.execute(_SQL["published"], command_ids)

    async def _kept(self, row: Any) -> Json:
        """The event as it was stored first, so that a repeat is the same one, and audit can ask for it again."""
        with translate_errors("the work database"):
            text = await self.pool.fetchval(_SQL["keep_event"], row["command_id"], json.dumps(self._event(row)))
        kept: Json = json.loads(text)
        return kept

    def _event(self, row: Any) -> Json:
        cause = Envelope.model_validate_json(json.dumps(json.loads(row["outputs"])[0]))
        payload = SendingResolved(
            content_sha256=row["content_sha256"],
            sent=row["sent"],
            provider_message_id=row["provider_message_id"],
            operator=row["operator"],
            evidence=row["evidence"],
        )
        event = derive_event(CATALOGUE, cause, payload, node_from=EMAIL_SENDER_CARD.name)
        return stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context())
