"""The case manager's tables of submissions, endings and timers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from faststream_sqs import Coalescer
from switchyard.protocol.case_facts import CaseFacts
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text

log = structlog.get_logger(__name__)
CLOSE_BATCH_SIZE = 50
CASE_BATCH_SIZE = 100
REJECTED_TENANTS = 20
"""Rejections of one source and hour are counted by tenant for so many tenants; the others count as `other`."""

_Close = tuple[str, str, str, str, str]
"""Case, attempt, outcome, the event's id, the event."""


@dataclass(frozen=True)
class KnownSubmission:
    """A submission that was seen before."""

    payload_mac: bytes
    opened: Json
    deferred: bool
    """Its event is published later: its playbook is halted, or its turn has not come."""


@dataclass(frozen=True)
class SessionState:
    """A session, as a submission finds it: how many turns it has had, and the last one's case."""

    turns: int = 0
    last_case: str | None = None
    open: bool = False
    queued: int = 0
    refused: bool = False
    """Whether this very submission was refused its turn before."""


@dataclass(frozen=True)
class DueCase:
    """A case whose deadline is over. `queued`: its turn never came."""

    opened: Json
    queued: bool


class CaseStore:
    """Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", load_queries(__file__))
        self._closes = Coalescer[_Close, tuple[str, ...]](self._close, max_items=CLOSE_BATCH_SIZE)
        self._facts = Coalescer[str, CaseFacts | None](self._read_facts, max_items=CLOSE_BATCH_SIZE)

    async def known_submission(
        self, case_id: str, session: bytes | None = None
    ) -> tuple[KnownSubmission | None, SessionState]:
        """The submission that opened this case, if there is one, and the state of its session."""
        row = await self._database.row("known_submission", case_id, session)
        state = SessionState()
        if row["turns"] is not None:
            state = SessionState(row["turns"], str(row["last_case"]), row["open"], row["queued"], row["refused"])
        if row["opened"] is None:
            return None, state
        return KnownSubmission(row["payload_mac"], json.loads(row["opened"]), row["deferred"]), state

    async def case_facts(self, case_id: str) -> CaseFacts | None:
        """What intake recorded of a case; None for one that was never opened."""
        facts: CaseFacts | None = await self._facts.submit(case_id)
        return facts

    async def record_case(
        self,
        opened: Json,
        *,
        payload_mac: bytes,
        playbook: str,
        due: datetime,
        subject_key: str | None = None,
        sealed_address: bytes | None = None,
        session: bytes | None = None,
        turns: int = 0,
        may_queue: int = 0,
    ) -> bool | None:
        """Record a new case, its facts, its first event and its deadline; `subject_key` names the address that its
        effect goes to. `turns`: how many the session had had when the event was made; `may_queue`: how many may wait
        behind its open turn. True if the event is published later, None if another worker was first."""
        facts = CaseFacts.from_opening(opened)
        try:
            deferred: bool | None = await self._database.value(
                "admit", opened["case_id"], payload_mac, playbook, facts.to_json(), opened["principal"].get("subject"),
                subject_key, sealed_address, opened["event_id"], event_text(opened), due, session, turns, may_queue,
            )  # fmt: skip
        except asyncpg.UniqueViolationError:
            return None
        return deferred

    async def refuse_turn(self, session: bytes, case_id: str, turns: int) -> bool:
        """Remember that a submission was refused its turn, so that a repeated delivery does not open its case. False if
        the session has had another turn since."""
        return await self._database.execute("refuse_turn", session, case_id, turns) == 1

    async def reject(self, event: Json, *, samples: int, now: datetime) -> list[Json]:
        """Count a rejection, and store its event if it is among the first `samples` of its source, tenant, code and
        hour. The event that is stored, an earlier one if any; none if the rejection was only counted."""
        payload = event["payload"]
        group = payload["submitted_by"], event["tenant"], payload["code"], now
        async with self._database.transaction() as database:
            await database.execute("lock_rejections", payload["submitted_by"])
            stored = await database.value(
                "reject", event_text(event), event["event_id"], *group, samples, REJECTED_TENANTS
            )
        return [] if stored is None else [json.loads(stored)]

    async def remember_rejected(self, case_id: str, person: bytes, problem: Json) -> None:
        """Let the user hear why a submission of theirs was rejected."""
        names = ("code", "message", "field", "remedy")
        await self._database.execute("remember_rejected", case_id, person, *(problem.get(name) for name in names))

    async def unreported_rejections(self, before: datetime) -> list[Any]:
        """Hours that ended before `before` in which more was rejected than has an event, and are not reported yet."""
        return await self._database.rows("unreported_rejections", before, CASE_BATCH_SIZE)

    async def report_rejections(self, row: Any, event: Json) -> bool:
        """Store the event that reports an hour's rejections; whether this process was the first to."""
        group = row["source"], row["tenant"], row["code"], row["hour"]
        return await self._database.execute("report_rejections", *group, event_text(event)) == 1

    async def forget_rejections(self, before: datetime) -> None:
        """Delete the counts of hours before `before`."""
        await self._database.execute("forget_rejections", before)
        await self._database.execute("forget_rejected", before)

    async def close(self, case_id: str, attempt: str, outcome: str, event: Json) -> list[Json]:
        """End one attempt at a case (empty for the first). Return the event that ended it, an earlier one if any, and
        the openings to publish now: of the session's next turn, or its own if its turn had not come."""
        row = case_id, attempt, outcome, event["event_id"], event_text(event)
        return [json.loads(each) for each in await self._closes.submit(row)]

    async def stop_timers(self, case_ids: Sequence[str]) -> None:
        """Delete the timers of cases that are closed; a case that was opened again keeps its own."""
        await self._database.execute("stop_timers", list(case_ids))

    async def due(self, now: datetime, without: Sequence[str] = ()) -> list[DueCase]:
        """The cases whose deadline is over by `now`, oldest first, without those set aside."""
        rows = await self._database.rows("due_timers", now, CASE_BATCH_SIZE, list(without))
        return [DueCase(json.loads(row["opened"]), row["queued"]) for row in rows]

    async def cancelled_open(self, without: Sequence[str] = ()) -> list[tuple[Json, Any]]:
        """Open cases that operators cancelled: the opening event, and the row of the command."""
        rows = await self._database.rows("cancelled_open", CASE_BATCH_SIZE, list(without))
        return [(json.loads(row["opened"]), row) for row in rows]

    async def close_store(self) -> None:
        """Finish what is under way."""
        await self._facts.close()
        await self._closes.close()

    async def _read_facts(self, case_ids: list[str]) -> list[CaseFacts | BaseException | None]:
        rows = await self._database.rows("case_facts", list(set(case_ids)))
        known = {str(row["case_id"]): CaseFacts.from_json(row["facts"]) for row in rows}
        return [known.get(case_id) for case_id in case_ids]

    async def _close(self, items: list[_Close]) -> list[tuple[str, ...] | BaseException]:
        first = {item[:2]: item for item in reversed(items)}
        endings: dict[tuple[str, str], str] = {}
        openings: dict[str, tuple[str, ...]] = {}
        took: list[Any] = []
        async with self._database.transaction() as database:
            # What a statement reads of a session is true once its row is locked, which is another statement.
            await database.execute("lock_sessions", sorted({item[0] for item in items}))
            # A row that another worker inserted after the first statement's snapshot is visible to the second.
            for _ in range(2):
                wanted = sorted(item for key, item in first.items() if key not in endings)
                if not wanted:
                    break
                for row in await database.rows("close", *(list(column) for column in zip(*wanted, strict=True))):
                    if row["took_ms"] is not None:
                        took.append(row)
                    if row["attempt"] is None:
                        openings[str(row["case_id"])] = (*openings.get(str(row["case_id"]), ()), row["event"])
                    else:
                        endings.setdefault((str(row["case_id"]), row["attempt"]), row["event"])
        for row in took:
            # In AWS the objective of whole cases is measured on this line.
            case_id, playbook = str(row["case_id"]), row["playbook"]
            log.info("case.closed", case_id=case_id, playbook=playbook, duration_ms=row["took_ms"])
        return [(endings[item[:2]], *openings.get(item[0], ())) for item in items]
