"""Forgetting: what has expired, whom operators want forgotten, and what users ask for. All that is gone leaves an
event, its receipt."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog

from contracts.cards import MEMORY_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.memory import ForgettingRequest, MemoryForgotten, MemoryItem
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.operator_commands import OperatorCommand
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.first_event import build_report
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
FORGETTING_INTERVAL_S = 1.0
BATCH_SIZE = 100


@dataclass(frozen=True)
class Forgetter:
    """Deletes, and reports what is deleted. Any number of memories may: every step is safe to repeat."""

    pool: Pool
    operators: OperatorKeys
    publisher: Publisher
    clock: Clock
    bundle: str | None = None
    """The digest of memory's configuration."""
    aside: SetAside = field(default_factory=lambda: SetAside("forgetting"))

    async def tick(self) -> int:
        """Decide what operators handed in, delete what has expired, and publish the receipts; how many there were."""
        database = Database(self.pool, "the work database", _SQL)
        for row in await database.rows("undecided", BATCH_SIZE, self.aside.names()):
            with self.aside.guard(row["command_id"]):
                await self._decide(database, read_request(row))
        for row in await database.rows("open_requests", BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["request_id"])):
                await self._forget_own(database, row)
        now = self.clock.now()
        async with database.transaction() as transaction:
            await transaction.execute("see_expired", now.isoformat())
            await transaction.execute("expire", now, BATCH_SIZE)
        async with database.transaction() as transaction:
            rows = await transaction.rows("take_forgotten", BATCH_SIZE)
            events = [await self._receipt(transaction, group) for group in _groups(rows)]
            for event in events:
                await transaction.execute("store_event", event_text(event))
        if events:
            await self.publisher.publish(events)
        return len(events)

    async def _decide(self, database: Database, command: OperatorCommand) -> None:
        result = None
        try:
            command.verify(self.operators)
        except InvalidEvent as error:
            result = f"refused: {error.message}. {error.remedy or ''}".strip()
            log.error("forgetting.refused", alarm="integrity", operator=command.operator, why=error.message)  # noqa: TRY400 - the message is the whole of it
        async with database.transaction() as transaction:
            if not await transaction.value("lock_request", command.command_id):
                return
            if result is None:
                gone = await transaction.value("forget_person", uuid.UUID(command.target), command.command_id)
                result = f"{gone} forgotten"
            await transaction.execute("decide", command.command_id, result)

    async def _forget_own(self, database: Database, row: Any) -> None:
        """The case manager has checked that this person asks, and for themselves."""
        async with database.transaction() as transaction:
            gone = await transaction.value("forget_own", row["subject"], row["request_id"], row["memory"])
            # Of two processes one deletes; the other waits for it, finds nothing, and ends nothing.
            await transaction.value("end_request", row["subject"], row["request_id"], gone)

    async def _receipt(self, database: Database, rows: Sequence[Any]) -> Json:
        first, items = rows[0], [MemoryItem(id=row["id"], kind=row["kind"], digest=row["digest"]) for row in rows]
        signed = await self._evidence(database, first)
        return build_report(
            CATALOGUE,
            MemoryForgotten(items=tuple(items), reason=first["reason"], **signed),
            # What was forgotten once is not remembered again under its id, so this names one receipt.
            chain=f"forgotten/{first['reason']}/{first['id']}",
            tenant=first["tenant"],
            sub=f"service:{MEMORY_CARD.name}",
            session_id=MEMORY_CARD.name,
            node_from=MEMORY_CARD.name,
            now=self.clock.now(),
            bundle=self.bundle,
        )

    async def _evidence(self, database: Database, row: Any) -> dict[str, Any]:
        """Who wanted it forgotten, signed; empty for what no person has to want."""
        if row["reason"] == "operator":
            (command,) = [read_request(each) for each in await database.rows("commands", [row["command_id"]])]
            return {
                "target": command.target, "operator": command.operator, "why": command.reason,
                "command_id": command.command_id, "signed_at": command.signed_at, "signature": command.signature,
            }  # fmt: skip
        if row["reason"] == "user_request":
            (found,) = await database.rows("requests", row["person"], [row["command_id"]])
            request = ForgettingRequest(**{**dict(found), "signed_at": timestamp(found["signed_at"])})
            return {"target": str(row["person"]), "request": request}
        return {}


def read_request(row: Any) -> OperatorCommand:
    """A signed command as its row has it."""
    return OperatorCommand(
        row["command_id"], "forget", row["target"], row["operator"], row["reason"], timestamp(row["signed_at"]),
        row["signature"],
    )  # fmt: skip


def _groups(rows: Sequence[Any]) -> list[list[Any]]:
    def key(row: Any) -> tuple[str, ...]:
        return row["tenant"], row["reason"], str(row["command_id"]), str(row["person"])

    return [list(group) for _, group in groupby(sorted(rows, key=lambda row: (key(row), row["id"])), key=key)]
