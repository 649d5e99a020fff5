"""Unresolved sends: listed, resolved by a person, and reported as the email sender's own event."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from contracts.cards import EMAIL_SENDER_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.email_sender import SendingResolved
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.messaging.publisher import Publisher

_SQL = load_queries(__file__, "ledger.sql")
RESOLUTION_INTERVAL_S = 1.0
RESOLUTION_BATCH_SIZE = 50


@dataclass(frozen=True)
class UnresolvedSend:
    """An email whose delivery status is unknown. `ended_as` is the outcome that its case got."""

    case_id: str
    content_sha256: str
    intended_at: datetime
    ended_as: str


async def list_unresolved_sends(pool: Pool, limit: int = 100) -> list[UnresolvedSend]:
    """All unresolved sends, oldest first: given up as unknown, or ended while the provider was being asked.

    `pool` belongs to the email sender or to an operator.
    """
    return [UnresolvedSend(**dict(row)) for row in await _database(pool).rows("unresolved", limit)]


async def resolve_send(pool: Pool, case_id: str, found: SendingResolved) -> bool:
    """Record what a person found out. False if there is no such unresolved send, or no longer."""
    resolved: bool = await _database(pool).value(
        "resolve", case_id, found.content_sha256, found.sent, found.provider_message_id, found.operator, found.evidence
    )
    return resolved


@dataclass(frozen=True)
class ResolutionPublisher:
    """Reports what was resolved. Any number of email senders may run it: the event's id follows from its cause."""

    pool: Pool
    publisher: Publisher
    clock: Clock
    aside: SetAside = field(default_factory=lambda: SetAside("resolution"))

    async def tick(self) -> int:
        """Store the events that report resolutions in the outbox, and publish them; return how many there were."""
        database = _database(self.pool)
        now, events = timestamp(self.clock.now()), []
        for row in await database.rows("unreported", RESOLUTION_BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["command_id"])):
                fields = {name: row[name] for name in SendingResolved.model_fields}
                cause = Envelope.model_validate_json(row["outcome"])
                derived = derive_event(CATALOGUE, cause, SendingResolved(**fields), node_from=EMAIL_SENDER_CARD.name)
                event = stamp_event(derived, occurred_at=now, trace=telemetry.trace_context())
                if await database.execute("report", row["command_id"], event["event_id"], event_text(event)):
                    events.append(event)
        if events:
            await self.publisher.publish(events)
        return len(events)


def _database(pool: Pool) -> Database:
    return Database(pool, "the work database", _SQL)
