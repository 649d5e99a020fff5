"""Unresolved sends: listed, resolved by a person, and reported as the email sender's own event."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import structlog

from contracts.cards import EMAIL_SENDER_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.email_sender import SendingResolved
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import resolution_statement
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database, Pool, Session
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
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


@dataclass(frozen=True)
class Resolution:
    """What an operator found out. Without `provider_message_id` the email was not sent; `signed_at` is a timestamp
    as events have it, `signature` is in hex."""

    resolution_id: str
    case_id: str
    content_sha256: str
    provider_message_id: str | None
    operator: str
    evidence: str
    signed_at: str
    signature: str = ""

    def statement(self) -> bytes:
        """What the operator signs."""
        fields = {name: value for name, value in asdict(self).items() if name != "signature"}
        return resolution_statement(**fields)


async def request_resolution(pool: Pool | Session, found: Resolution) -> None:
    """Hand in a signed resolution, as an operator; the email sender verifies it."""
    await pool.execute(
        "select email_sender.request_resolution($1, $2, $3, $4, $5, $6, $7, $8)",
        *(found.resolution_id, found.case_id, found.content_sha256, found.provider_message_id),
        *(found.operator, found.evidence, moment(found.signed_at), found.signature),
    )


async def resolution_result(pool: Pool | Session, resolution_id: str) -> str | None:
    """What the email sender made of a resolution; None while it is open."""
    result: str | None = await pool.fetchval("select email_sender.resolution_result($1)", resolution_id)
    return result


@dataclass(frozen=True)
class ResolutionPublisher:
    """Verifies and reports resolutions. Any number of email senders may: every step is safe to repeat."""

    pool: Pool
    operators: OperatorKeys
    publisher: Publisher
    clock: Clock
    bundle: str | None = None
    """The digest of the email sender's configuration."""
    aside: SetAside = field(default_factory=lambda: SetAside("resolution"))

    async def tick(self) -> int:
        """Decide what operators handed in, then store the events that report resolutions in the outbox, and publish
        them; return how many there were."""
        database = _database(self.pool)
        for row in await database.rows("undecided_resolutions", RESOLUTION_BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["resolution_id"])):
                await self._decide(database, row)
        now, events = timestamp(self.clock.now()), []
        for row in await database.rows("unreported", RESOLUTION_BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["command_id"])):
                fields = {name: row[name] for name in SendingResolved.model_fields}
                if row["signed_at"] is not None:
                    fields["signed_at"] = timestamp(row["signed_at"])
                cause = Envelope.model_validate_json(row["outcome"])
                payload = SendingResolved(**fields)
                derived = derive_event(CATALOGUE, cause, payload, node_from=EMAIL_SENDER_CARD.name, bundle=self.bundle)
                event = stamp_event(derived, occurred_at=now, trace=telemetry.trace_context(cause.trace))
                # Stored first: a row that is marked is reported. Its event has one id, however often it is stored.
                if await database.execute("store_report", event_text(event)):
                    events.append(event)
                async with database.transaction(SessionScope.of(cause)) as transaction:
                    await transaction.execute("mark_reported", row["command_id"], event["event_id"])
        if events:
            await self.publisher.publish(events)
        return len(events)

    async def _decide(self, database: Database, row: Any) -> None:
        fields, event = dict(row), row["event"]
        del fields["event"]
        texts = {"resolution_id": str(row["resolution_id"]), "signed_at": timestamp(row["signed_at"])}
        found = Resolution(**fields | texts)
        scope = None if event is None else SessionScope.of(Envelope.model_validate_json(event))
        result = None
        try:
            self.operators.verify(found.operator, found.statement(), found.signature)
        except InvalidEvent as error:
            result = f"refused: {error.message}. {error.remedy or ''}".strip()
            log.error("resolution.refused", alarm="integrity", operator=found.operator, why=error.message)  # noqa: TRY400 - the message is the whole of it
        async with database.transaction(scope) as transaction:
            if not await transaction.value("lock_resolution", row["resolution_id"]):
                return
            if result is None:
                done = await transaction.execute("resolve", row["resolution_id"])
                none = "refused: there is no such unresolved email, or it was sent again after this was signed"
                result = "resolved" if done else none
            await transaction.execute("decide_resolution", row["resolution_id"], result)


def _database(pool: Pool) -> Database:
    return Database(pool, "the work database", _SQL)
