"""Sends with an unknown outcome: listed, resolved by an operator, then published as SendingResolved."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from contracts.cards import EMAIL_SENDER_CARD
from contracts.events.email_sender import SendingResolved
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Json
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__, "ledger.sql")
_WORK = "the work database"
RESOLUTION_INTERVAL_S = 1.0
RESOLUTION_BATCH_SIZE = 50


@dataclass(frozen=True)
class UnresolvedSend:
    """A send whose outcome is unknown. `ended_as` is the outcome with which its case was closed."""

    case_id: str
    content_sha256: str
    intended_at: datetime
    ended_as: str


async def list_unresolved_sends(pool: Pool, limit: int = 100) -> list[UnresolvedSend]:
    """Unresolved sends, oldest first: given up as unknown, or the case was closed while the provider was being called.

    `pool` belongs to the email sender or to an operator.
    """
    rows = await Database(pool, _WORK, _SQL).rows("unsettled", limit)
    return [
        UnresolvedSend(str(row["case_id"]), row["content_sha256"], row["intended_at"], row["ended_as"]) for row in rows
    ]


async def resolve_send(pool: Pool, case_id: str, found: SendingResolved) -> bool:
    """Record the outcome that an operator found. False if the send is not unresolved any more."""
    resolution = found.sent, found.provider_message_id, found.operator, found.evidence
    resolved: bool = await Database(pool, _WORK, _SQL).value("settle", case_id, found.content_sha256, *resolution)
    return resolved


@dataclass(frozen=True)
class ResolutionPublisher:
    """Publishes resolutions. Any number of email senders may run it: the event's id is derived from its cause."""

    pool: Pool
    publisher: Publisher
    clock: Clock

    async def tick(self) -> int:
        """Publish pending resolutions and return their number. A repeat after a crash publishes the same events."""
        database = Database(self.pool, _WORK, _SQL)
        rows = await database.rows("settlements", RESOLUTION_BATCH_SIZE)
        if rows:
            # The event as it was stored first, so that a repeat is the same one, and audit can ask for it again.
            stored = [
                await database.value("keep_event", row["command_id"], json.dumps(self._event(row))) for row in rows
            ]
            await self.publisher.publish([json.loads(event) for event in stored])
            await database.execute("published", [row["command_id"] for row in rows])
        return len(rows)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except Unavailable as error:
                log.warning("settlements.deferred", code=error.code)
            await asyncio.sleep(RESOLUTION_INTERVAL_S)

    def _event(self, row: Any) -> Json:
        cause = Envelope.model_validate_json(json.dumps(json.loads(row["outputs"])[0]))
        payload = SendingResolved(
            content_sha256=row["content_sha256"],
            sent=row["sent"],
            provider_message_id=row["provider_message_id"],
            operator=row["operator"],
            evidence=row["evidence"],
        )
        event = derive_event(cause, payload, node_from=EMAIL_SENDER_CARD.name)
        return stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context())
