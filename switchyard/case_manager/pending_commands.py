"""Holding: commands that the case manager answers later, and the answers until they are on the bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from switchyard.case_manager.store import event_text
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.router import Wait
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
PENDING_BATCH_SIZE = 100


@dataclass(frozen=True)
class PendingCommand:
    """A command whose time has come."""

    task_id: str
    kind: str
    command: Json


@dataclass(frozen=True)
class PendingCommands:
    """What holding depends on. Nothing waits in memory: a case may rest for days, and any case manager may wake it."""

    pool: Pool
    clock: Clock
    catalogue: Catalogue

    async def add_wait(self, event: ReceivedEvent[Wait]) -> None:
        """Hold a case until its hour, or until its playbook is resumed. A repeat is the same wait."""
        add_wait = event.payload
        due = None if add_wait.halted or add_wait.until is None else moment(add_wait.until)
        await self.add_command(event, "resume" if due is None else "time", due)

    async def add_command(self, event: ReceivedEvent[Contract], kind: str, due: datetime | None) -> None:
        """Keep a command. One that was answered before is answered again, in case the answer was lost."""
        playbook = event.envelope.playbook_version.partition("/")[0]
        envelope = event.envelope
        with translate_errors("the work database"):
            await self.pool.execute(
                _SQL["hold"], envelope.event_id, envelope.case_id, kind, playbook, event_text(event.raw), due
            )
            await self.pool.execute(_SQL["answered_again"], envelope.event_id)

    async def due(self) -> list[PendingCommand]:
        """Commands of open cases whose time has come, oldest first."""
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["due_held"], self.clock.now(), PENDING_BATCH_SIZE)
        return [PendingCommand(str(row["task_id"]), row["kind"], json.loads(row["command"])) for row in rows]

    async def answer(self, task_id: str, event: Json, connection: Any = None) -> bool:
        """Store the answer to a held command unless it has one or its case is closed; whether this one was stored."""
        with translate_errors("the work database"):
            done: str = await (connection or self.pool).execute(_SQL["answer"], task_id, event_text(event))
        return done.endswith(" 1")

    async def unpublished_answers(self) -> list[tuple[str, Json]]:
        """Answers that may not be on the bus yet."""
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["unpublished_answers"], PENDING_BATCH_SIZE)
        return [(str(row["task_id"]), json.loads(row["answer"])) for row in rows]

    async def mark_published(self, task_ids: Sequence[str]) -> None:
        """Note that these answers are on the bus."""
        with translate_errors("the work database"):
            await self.pool.execute(_SQL["answers_published"], list(task_ids))

    def build_answer(self, command: Json, payload: Contract) -> Json:
        """The case manager's answer to a held command: the sealed state goes back untouched."""
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
        return stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context())


def decision_deadline(event: ReceivedEvent[Contract], now: datetime) -> datetime:
    """Until when a decision is awaited: as long as the graph allows, and never past the case's deadline."""
    limit = event.envelope.time_limit_ms
    deadline = moment(event.envelope.case_deadline)
    return min(deadline, now.astimezone(UTC) + timedelta(milliseconds=limit)) if limit is not None else deadline
