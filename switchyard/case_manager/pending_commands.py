"""Holding: commands that the desk answers later, and the answers until they are on the bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.catalogue import DESK
from contracts.events.router import Wait
from switchyard.case_manager.store import text
from switchyard.protocol.derive import derive, stamp
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import Received
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.database.connections import Pool, reaching
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
BATCH = 100


@dataclass(frozen=True)
class Held:
    """A command whose time has come."""

    task_id: str
    kind: str
    command: Json


@dataclass(frozen=True)
class Holding:
    """What holding depends on. Nothing waits in memory: a case may rest for days, and any desk may wake it."""

    pool: Pool
    clock: Clock

    async def wait(self, event: Received[Wait]) -> None:
        """Hold a case until its hour, or until its playbook is resumed. A repeat is the same wait."""
        wait = event.payload
        due = None if wait.halted or wait.until is None else moment(wait.until)
        await self.hold(event, "resume" if due is None else "time", due)

    async def hold(self, event: Received[Contract], kind: str, due: datetime | None) -> None:
        """Keep a command. One that was answered before is answered again, in case the answer was lost."""
        playbook = event.envelope.graph_version.partition("/")[0]
        envelope = event.envelope
        with reaching("the work database"):
            await self.pool.execute(
                _SQL["hold"], envelope.event_id, envelope.case_id, kind, playbook, text(event.raw), due
            )
            await self.pool.execute(_SQL["answered_again"], envelope.event_id)

    async def due(self) -> list[Held]:
        """Commands of open cases whose time has come, oldest first."""
        with reaching("the work database"):
            rows = await self.pool.fetch(_SQL["due_held"], self.clock.now(), BATCH)
        return [Held(str(row["task_id"]), row["kind"], json.loads(row["command"])) for row in rows]

    async def answer(self, task_id: str, event: Json, connection: Any = None) -> bool:
        """Store the answer to a held command unless it has one or its case is closed; whether this one was stored."""
        with reaching("the work database"):
            done: str = await (connection or self.pool).execute(_SQL["answer"], task_id, text(event))
        return done.endswith(" 1")

    async def unpublished(self) -> list[tuple[str, Json]]:
        """Answers that may not be on the bus yet."""
        with reaching("the work database"):
            rows = await self.pool.fetch(_SQL["unpublished_answers"], BATCH)
        return [(str(row["task_id"]), json.loads(row["answer"])) for row in rows]

    async def published(self, task_ids: Sequence[str]) -> None:
        """Note that these answers are on the bus."""
        with reaching("the work database"):
            await self.pool.execute(_SQL["answers_published"], list(task_ids))

    def answered(self, command: Json, payload: Contract) -> Json:
        """The desk's answer to a held command: the sealed state goes back untouched."""
        cause = Envelope.model_validate_json(json.dumps(command))
        event = derive(
            cause,
            payload,
            node_from=DESK,
            state=command.get("state"),
            state_seal=cause.state_seal,
            attachments=cause.attachments,
        )
        return stamp(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.carrier())


def decide_by(event: Received[Contract], now: datetime) -> datetime:
    """Until when a decision is awaited: as long as the graph allows, and never past the case's deadline."""
    limit = event.envelope.time_limit_ms
    deadline = moment(event.envelope.case_deadline)
    return min(deadline, now.astimezone(UTC) + timedelta(milliseconds=limit)) if limit is not None else deadline
