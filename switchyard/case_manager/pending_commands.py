"""Pending commands: those that the case manager answers later, after an approval, at a time, or on a resumption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.case_manager import WaitOver
from switchyard.protocol.events.router import Wait
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text

_SQL = load_queries(__file__)
PENDING_BATCH_SIZE = 100
JOIN_MARGIN = timedelta(seconds=5)
"""What a branch that waits leaves, beside the later steps' P95s, for its timer, its end and the join."""


@dataclass(frozen=True)
class PendingCommand:
    """A command whose time has come."""

    task_id: str
    kind: str
    command: Json


@dataclass(frozen=True)
class PendingCommands:
    """The table of pending commands. Any case manager may answer one: nothing waits in memory."""

    database: Database
    clock: Clock
    catalogue: Catalogue

    async def add_wait(self, event: ReceivedEvent[Wait]) -> list[Json]:
        """Keep a case until its time, or until its playbook is resumed. Returns the answer of a repeated command."""
        wait = event.payload
        due = None if wait.halted or wait.until is None else moment(wait.until)
        return await self.add(event, "resume" if due is None else "time", due)

    async def add(self, event: ReceivedEvent[Contract], kind: str, due: datetime | None) -> list[Json]:
        """Keep a command. Returns the stored answer, to publish again, of one that was answered before."""
        envelope, playbook = event.envelope, event.envelope.playbook_version.partition("/")[0]
        row = envelope.event_id, envelope.case_id, kind, playbook, event_text(event.raw), due
        answer = await self.database.with_queries(_SQL).value("add", *row)
        return [] if answer is None else [json.loads(answer)]

    async def due(self, without: Sequence[str] = ()) -> list[PendingCommand]:
        """Commands of open cases whose time has come, oldest first, without those that are set aside."""
        rows = await self.database.with_queries(_SQL).rows("due", self.clock.now(), PENDING_BATCH_SIZE, list(without))
        return [PendingCommand(str(row["task_id"]), row["kind"], json.loads(row["command"])) for row in rows]

    async def end_wait(self, pending: PendingCommand) -> list[Json]:
        """Answer a wait that is over; the event, unless another case manager has answered it."""
        over = WaitOver(waited_for="time" if pending.kind == "time" else "resume")
        event = self.build_answer(pending.command, over)
        return [event] if await self.answer(pending.task_id, event) else []

    async def answer(self, task_id: str, event: Json, transaction: Database | None = None) -> bool:
        """Store the answer to a command unless it has one or its case is closed; whether this one was stored."""
        database = (transaction or self.database).with_queries(_SQL)
        return await database.execute("answer", task_id, event["event_id"], event_text(event)) == 1

    def build_answer(self, command: Json, payload: Contract) -> Json:
        """The case manager's answer to a pending command: the sealed state goes back untouched."""
        cause = Envelope.model_validate_json(json.dumps(command))
        event = derive_event(
            self.catalogue,
            cause,
            payload,
            node_from=CASE_MANAGER,
            state=command.get("state"),
            state_seal=cause.state_seal,
            storage_refs=cause.storage_refs,
        )
        return stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context(cause.trace))


def decision_deadline(event: ReceivedEvent[Contract], now: datetime) -> datetime:
    """Until when a decision is awaited: as long as the graph allows, and never past the case's deadline. In a branch,
    until what the others found can still be joined and used."""
    limit = event.envelope.time_limit_ms
    deadline = moment(event.envelope.case_deadline)
    if event.envelope.branch is not None:
        deadline -= timedelta(milliseconds=event.envelope.later_p95_ms or 0) + JOIN_MARGIN
    return min(deadline, now.astimezone(UTC) + timedelta(milliseconds=limit)) if limit is not None else deadline
