"""The case manager's tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faststream_sqs import Coalescer
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
CLOSE_BATCH_SIZE = 50
_Close = tuple[str, str, str, str]
"""Case, try, outcome, event."""


@dataclass(frozen=True)
class KnownSubmission:
    """A submission that was seen before."""

    case_id: str
    payload_mac: bytes
    opened: Json
    parked: bool


@dataclass(frozen=True)
class DueTimer:
    """A timer whose time has come, with the event that opened its case, or opened it again."""

    case_id: str
    kind: str
    opened: Json


class CaseStore:
    """Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._closes = Coalescer[_Close, str](self._close, max_items=CLOSE_BATCH_SIZE)

    async def known_submission(self, tenant: str, source: str, idempotency_key: str) -> KnownSubmission | None:
        """The submission under this key, if there is one."""
        row = await self._row("known_submission", tenant, source, idempotency_key)
        if row is None:
            return None
        return KnownSubmission(str(row["case_id"]), row["payload_mac"], json.loads(row["opened"]), row["parked"])

    async def record_case(
        self,
        tenant: str,
        source: str,
        idempotency_key: str,
        *,
        payload_mac: bytes,
        playbook: str,
        opened: Json,
        due: datetime,
    ) -> bool | None:
        """Record a new case and its deadline. True if it was parked, None if another worker was first."""
        case_id = opened["case_id"]
        row = await self._row(
            "admit", tenant, source, idempotency_key, payload_mac, case_id, playbook, event_text(opened), due
        )
        return None if row is None else bool(row["parked"])

    async def reject(self, event: Json) -> Json:
        """Record a rejection; return the one that was recorded first."""
        row = await self._row("reject", event["event_id"], event_text(event))
        stored: Json = json.loads(row["event"])
        return stored

    async def close(self, case_id: str, attempt: str, outcome: str, event: Json) -> Json:
        """Close a case in one try (`attempt`; empty for the first); return the event that closed that try.

        It is an earlier one if there was one. The case's timers stay until `stop_timers`: whoever is killed before the
        event is on the bus needs them.
        """
        stored: Json = json.loads(await self._closes.submit((case_id, attempt, outcome, event_text(event))))
        return stored

    async def stop_timers(self, case_ids: Sequence[str]) -> None:
        """Forget the timers of cases that are closed; a case that was opened again keeps its own."""
        await self._execute("stop_timers", list(case_ids))

    async def due(self, now: datetime, limit: int = 100) -> list[DueTimer]:
        """Timers whose time has come by `now`, oldest first."""
        rows = await self._rows("due_timers", now, limit)
        return [DueTimer(str(row["case_id"]), row["kind"], json.loads(row["opened"])) for row in rows]

    async def resumable(self, limit: int = 100) -> list[Json]:
        """The opening events of cases that were parked and whose playbook runs again."""
        return [json.loads(row["opened"]) for row in await self._rows("resumable", limit)]

    async def mark_resumed(self, case_ids: Sequence[str]) -> None:
        """Note that parked cases are on the bus."""
        await self._execute("unpark", list(case_ids))

    async def set_control(self, kind: str, key: str, *, by: str, why: str) -> None:
        """Stop something. Repeating it changes nothing."""
        await self._execute("set_control", kind, key, by, why)

    async def clear_control(self, kind: str, key: str) -> None:
        """Let it run again."""
        await self._execute("clear_control", kind, key)

    async def close_store(self) -> None:
        """Finish what is under way."""
        await self._closes.close()

    async def _close(self, items: list[_Close]) -> list[str | BaseException]:
        first = {item[:2]: item for item in reversed(items)}
        events: dict[tuple[str, str], str] = {}
        # A row that another worker inserted after the first statement's snapshot is visible to the second.
        for _ in range(2):
            wanted = sorted(item for key, item in first.items() if key not in events)
            if not wanted:
                break
            with translate_errors("the work database"):
                rows = await self._pool.fetch(_SQL["close"], *(list(column) for column in zip(*wanted, strict=True)))
            for row in rows:
                events.setdefault((str(row["case_id"]), row["attempt"]), row["event"])
        return [events[item[:2]] for item in items]

    async def _row(self, name: str, *arguments: Any) -> Any:
        with translate_errors("the work database"):
            return await self._pool.fetchrow(_SQL[name], *arguments)

    async def _rows(self, name: str, *arguments: Any) -> list[Any]:
        with translate_errors("the work database"):
            rows: list[Any] = await self._pool.fetch(_SQL[name], *arguments)
            return rows

    async def _execute(self, name: str, *arguments: Any) -> None:
        with translate_errors("the work database"):
            await self._pool.execute(_SQL[name], *arguments)


def event_text(event: Json) -> str:
    """An event as the tables keep it."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
