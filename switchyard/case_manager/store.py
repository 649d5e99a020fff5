"""The case manager's tables of submissions, endings and timers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faststream_sqs import Coalescer
from switchyard.protocol.case_facts import CaseFacts
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text

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
    parked: bool


class CaseStore:
    """Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, "the work database", load_queries(__file__))
        self._closes = Coalescer[_Close, str](self._close, max_items=CLOSE_BATCH_SIZE)
        self._facts = Coalescer[str, CaseFacts | None](self._read_facts, max_items=CLOSE_BATCH_SIZE)

    async def known_submission(self, case_id: str) -> KnownSubmission | None:
        """The submission that opened this case, if there is one."""
        row = await self._database.row("known_submission", case_id)
        if row is None:
            return None
        return KnownSubmission(row["payload_mac"], json.loads(row["opened"]), row["parked"])

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
    ) -> bool | None:
        """Record a new case, its facts, its first event and its deadline; `subject_key` names the address that its
        effect goes to. True if it was parked, None if another worker was first."""
        facts = CaseFacts.from_opening(opened)
        parked: bool | None = await self._database.value(
            "admit", opened["case_id"], payload_mac, playbook, facts.to_json(), opened["principal"].get("subject"),
            subject_key, sealed_address, opened["event_id"], event_text(opened), due,
        )  # fmt: skip
        return parked

    async def reject(self, event: Json, *, samples: int, now: datetime) -> list[Json]:
        """Count a rejection, and store its event if it is among the first `samples` of its source, tenant, code and
        hour. The event that is stored, an earlier one if any; none if the rejection was only counted."""
        payload = event["payload"]
        group = payload["submitted_by"], event["tenant"], payload["code"], now
        async with self._database.transaction() as database:
            await database.execute("lock_rejections")
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

    async def close(self, case_id: str, attempt: str, outcome: str, event: Json) -> Json:
        """End one attempt at a case (empty for the first); return the event that ended it, an earlier one if any."""
        row = case_id, attempt, outcome, event["event_id"], event_text(event)
        stored: Json = json.loads(await self._closes.submit(row))
        return stored

    async def stop_timers(self, case_ids: Sequence[str]) -> None:
        """Delete the timers of cases that are closed; a case that was opened again keeps its own."""
        await self._database.execute("stop_timers", list(case_ids))

    async def due(self, now: datetime, without: Sequence[str] = ()) -> list[Json]:
        """The opening events of cases whose deadline is over by `now`, oldest first, without those set aside."""
        rows = await self._database.rows("due_timers", now, CASE_BATCH_SIZE, list(without))
        return [json.loads(row["opened"]) for row in rows]

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

    async def _close(self, items: list[_Close]) -> list[str | BaseException]:
        first = {item[:2]: item for item in reversed(items)}
        events: dict[tuple[str, str], str] = {}
        # A row that another worker inserted after the first statement's snapshot is visible to the second.
        for _ in range(2):
            wanted = sorted(item for key, item in first.items() if key not in events)
            if not wanted:
                break
            rows = await self._database.rows("close", *(list(column) for column in zip(*wanted, strict=True)))
            for row in rows:
                events.setdefault((str(row["case_id"]), row["attempt"]), row["event"])
        return [events[item[:2]] for item in items]
