"""Reopening: the requests in the case manager's table, decided one after the other and answered there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from switchyard.case_manager.retry_request import RetryEvidence, build_task_retried, read_request
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.fields import Json
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
RETRY_POLL_S = 1.0
RETRY_BATCH_SIZE = 20
_SQL = load_queries(__file__)


@dataclass(frozen=True)
class CaseRetrier:
    """What reopening depends on. Any number of case managers may do it: every step is safe to repeat."""

    pool: Pool
    vault: Vault
    operators: OperatorKeys
    publisher: Publisher
    clock: Clock
    catalogue: Catalogue

    async def tick(self) -> int:
        """Decide every open request; return how many. Raises `Unavailable` when database or bus cannot be reached.

        A request is answered after its event is on the bus: whoever is killed in between finds the case reopened by
        this very request, and publishes the same event again.
        """
        with translate_errors("the work database"):
            rows = await self.pool.fetch(_SQL["open_requests"], RETRY_BATCH_SIZE)
        for row in rows:
            request_id, case_id = row["request_id"], str(row["case_id"])
            try:
                event = await self._begun(request_id)
                if event is None:
                    event = await self._reopened(request_id, case_id, read_request(row["request"], case_id))
            except PermanentTaskError as rejection:
                log.warning("retry.refused", case_id=case_id, code=rejection.code, reason=rejection.message)
                await self._execute("decide", request_id, rejection.code, str(rejection))
                continue
            await self.publisher.publish([event])
            await self._execute("decide", request_id, "retried", None)
            log.warning(
                "case.reopened", case_id=case_id, attempt=event["attempt"], operator=event["payload"]["operator"]
            )
        return len(rows)

    async def _begun(self, request_id: object) -> Json | None:
        """The event of a request that reopened its case already: whatever changed since, it must reach the bus."""
        with translate_errors("the work database"):
            text = await self.pool.fetchval(_SQL["begun"], request_id)
        stored: Json | None = None if text is None else json.loads(text)
        return stored

    async def _reopened(self, request_id: object, case_id: str, evidence: RetryEvidence) -> Json:
        """The event that reopens the case, recorded with its timer. Raises `PermanentTaskError`."""
        failed = evidence.failed
        with translate_errors("the work database"):
            closed = await self.pool.fetchval(_SQL["ending"], case_id, failed.attempt or "")
        ending = None if closed is None else json.loads(closed)
        event = build_task_retried(self.catalogue, evidence, ending, self.operators, self.clock.now())
        if failed.principal.subject is not None and not await self.vault.has_key(failed.principal.subject):
            raise PermanentTaskError(
                "key_erased", "the person's key was erased, and with it what the task works on", "principal"
            )
        stamped = stamp_event(event, occurred_at=timestamp(self.clock.now()), trace=telemetry.trace_context())
        text = json.dumps(stamped, ensure_ascii=False, separators=(",", ":"))
        due = datetime.fromisoformat(failed.case_deadline)
        with translate_errors("the work database"):
            async with self.pool.acquire() as connection, connection.transaction():
                stops: Any = await connection.fetchrow(_SQL["playbook_stops"], case_id)
                if stops["cancelled"] or stops["halted"]:
                    what = "the case is cancelled" if stops["cancelled"] else "its playbook is halted"
                    raise PermanentTaskError("stopped", what, None, "lift it in the control table first, and ask again")
                operator = evidence.request.operator
                await connection.execute(_SQL["reopen"], case_id, event["attempt"], request_id, operator, text)
                won: Any = await connection.fetchrow(_SQL["retried"], case_id, event["attempt"])
                if won["request_id"] != request_id:
                    raise PermanentTaskError(
                        "already_retried", f"{won['operator']} had it retried already", None, "wait for it"
                    )
                # Two statements: a `forget` that is under way waits for the first, and cannot see the second.
                await connection.execute(_SQL["drop_timer"], case_id)
                await connection.execute(_SQL["set_timer"], case_id, due)
        stored: Json = json.loads(won["event"])
        return stored

    async def _execute(self, name: str, *arguments: object) -> None:
        with translate_errors("the work database"):
            await self.pool.execute(_SQL[name], *arguments)
