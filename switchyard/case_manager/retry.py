"""Retries: a case that failed is opened again because an operator signed for it.

The signature says who wants it; that it is about what really happened, the hash chain says: the operator sends the
command, its failure and the router's CloseCase, and their digests must lead to the ending in the case manager's table.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import structlog
from pydantic import Field, JsonValue, ValidationError

from switchyard.protocol.budgets import BUDGET_EXCEEDED
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER, Catalogue
from switchyard.protocol.derive import derive_event, stamp_event
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, forged, malformed
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Contract, Identifier, Json, Sentence, Timestamp
from switchyard.protocol.received import first_validation_error
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import retry_statement
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, moment, timestamp
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.crypto.vault import Vault
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
RETRY_POLL_S = 1.0
RETRY_BATCH_SIZE = 20
_SQL = load_queries(__file__)
_FAILED, _CLOSE = TaskFailed.__name__, CloseCase.__name__
_UNQUOTED = frozenset({"storage_refs", "trace"})
"""Of the command: its storage references travel in the retry's envelope, which the chain does not cover."""


class RetryRequest(Contract):
    """What an operator writes into the case manager's table."""

    operator: Identifier
    reason: Annotated[Sentence, Field(min_length=1)]
    requested_at: Timestamp
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    command: dict[str, JsonValue] = Field(description="The command that failed, as the log has it.")
    failed: dict[str, JsonValue] = Field(description="Its TaskFailed.")
    close: dict[str, JsonValue] = Field(description="The CloseCase that followed.")

    def statement(self, closed: str) -> bytes:
        """What was signed; `closed` is the digest of the case's ending."""
        return retry_statement(
            case_id=str(self.failed.get("case_id")),
            failed=str(self.failed.get("digest")),
            command=str(self.command.get("digest")),
            closed=closed,
            operator=self.operator,
            reason=self.reason,
            requested_at=self.requested_at,
        )


@dataclass(frozen=True)
class RetryEvidence:
    """A request whose three events were read and found to be what they say."""

    request: RetryRequest
    command: Envelope
    failed: Envelope
    close: Envelope


def read_request(text: str, case_id: str) -> RetryEvidence:
    """Read a request. Raises `PermanentTaskError` if it is invalid, or not about a failure of this case."""
    try:
        request = RetryRequest.model_validate_json(text)
        read = RetryEvidence(
            request, *(_event(getattr(request, name), name) for name in ("command", "failed", "close"))
        )
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise PermanentTaskError("bad_request", message, field, "ask with `switchyard case retry`") from None
    except InvalidEvent as error:
        raise PermanentTaskError(
            "evidence_differs", error.message, error.field, "send the events as the log has them"
        ) from error
    command, failed, close = read.command, read.failed, read.close
    if (failed.type, close.type) != (_FAILED, _CLOSE) or {case_id} != {event.case_id for event in (failed, command)}:
        raise PermanentTaskError(
            "not_failed", "the events are not a failure of this case", "failed", "name a case that failed"
        )
    if failed.node_from == ROUTER:
        raise PermanentTaskError(
            "router_failed", "no task failed: the router could not route", "failed", "submit it again"
        )
    # The failure of a gather has further parents: the ends of its branches.
    if failed.parents[:1] != (command.digest,) or command.node_from != ROUTER or close.parents != (failed.digest,):
        raise PermanentTaskError("evidence_differs", "the three events are not cause and effect", "failed")
    return read


def build_task_retried(
    catalogue: Catalogue, evidence: RetryEvidence, ending: Json | None, operators: OperatorKeys, now: datetime
) -> Json:
    """The `TaskRetried` that opens the case again, without clock and trace. `ending` is the case manager's own record
    of how that attempt ended. Raises `PermanentTaskError` with the reason why the case may not be retried."""
    request, failed = evidence.request, evidence.failed
    if ending is None or ending["parents"] != [evidence.close.digest]:
        raise PermanentTaskError(
            "not_ended_so", "the case manager did not close the case on this failure", "close", "wait, or look again"
        )
    try:
        operators.verify(request.operator, request.statement(ending["digest"]), request.signature)
    except InvalidEvent as error:
        raise PermanentTaskError("not_authorised", error.message, error.field, error.remedy) from error
    if ending["payload"]["outcome"] not in {"failed", BUDGET_EXCEEDED}:
        raise PermanentTaskError(
            "not_failed", "the case did not end as failed", "close", "only a failure can be tried again"
        )
    for name, until in (("case_deadline", failed.case_deadline), ("principal.exp", failed.principal.exp)):
        if until is not None and datetime.fromisoformat(until) <= now:
            # An operator may repeat what the user asked for, not prolong what the user allowed.
            raise PermanentTaskError(
                "expired", f"what was asked for was allowed until {until}", name, "have it submitted again"
            )
    quoted = {name: value for name, value in request.command.items() if name not in _UNQUOTED}
    payload = TaskRetried(
        task=evidence.command.event_id,
        task_type=evidence.command.type,
        command=quoted,
        closed=ending["digest"],
        operator=request.operator,
        reason=request.reason,
        requested_at=request.requested_at,
        signature=request.signature,
    )
    return derive_event(
        catalogue,
        failed,
        payload,
        node_from=CASE_MANAGER,
        storage_refs=evidence.command.storage_refs,
        attempt=next_attempt(failed.attempt),
    )


def next_attempt(attempt: str | None) -> str:
    """The name of the attempt after this one: retry-1, retry-2, … Raises `PermanentTaskError` for any other name."""
    number = re.fullmatch(r"retry-([0-9]{1,6})", attempt or "retry-0")
    if number is None:
        raise PermanentTaskError(
            "not_an_attempt", "the name of the failed attempt is invalid", "attempt", "retry the case itself"
        )
    return f"retry-{int(number[1]) + 1}"


@dataclass(frozen=True)
class CaseRetrier:
    """Decides the requests in the case manager's table. Any number of case managers may: every step may be repeated."""

    database: Database
    vault: Vault
    operators: OperatorKeys
    publisher: Publisher
    clock: Clock
    catalogue: Catalogue
    aside: SetAside = field(default_factory=lambda: SetAside("retry_request"))

    @property
    def _database(self) -> Database:
        return self.database.with_queries(_SQL)

    async def tick(self) -> int:
        """Decide every open request; return how many. Raises `Unavailable` when database or bus cannot be reached."""
        rows = await self._database.rows("open_requests", RETRY_BATCH_SIZE, self.aside.names())
        for row in rows:
            with self.aside.guard(str(row["request_id"])):
                await self._decide(row["request_id"], str(row["case_id"]), row["request"])
        return len(rows)

    async def _decide(self, request_id: object, case_id: str, request: str) -> None:
        try:
            event = await self._retry(request_id, case_id, read_request(request, case_id))
        except PermanentTaskError as rejection:
            log.warning("retry.refused", case_id=case_id, code=rejection.code, reason=rejection.message)
            await self._database.execute("decide", request_id, rejection.code, str(rejection))
            return
        await self.publisher.publish([event])
        log.warning("case.reopened", case_id=case_id, attempt=event["attempt"], operator=event["payload"]["operator"])

    async def _retry(self, request_id: object, case_id: str, evidence: RetryEvidence) -> Json:
        """Open the case again, stored with its timer and the answer. Raises `PermanentTaskError`."""
        failed = evidence.failed
        text = await self._database.value("ending", case_id, failed.attempt or "")
        ending, now = None if text is None else json.loads(text), self.clock.now()
        event = build_task_retried(self.catalogue, evidence, ending, self.operators, now)
        if failed.principal.subject is not None and not await self.vault.has_key(failed.principal.subject):
            raise PermanentTaskError(
                "key_erased", "the person's key was erased, and with it what the task works on", "principal"
            )
        event = stamp_event(event, occurred_at=timestamp(now), trace=telemetry.trace_context(failed.trace))
        attempt, operator = event["attempt"], evidence.request.operator
        async with self._database.transaction() as transaction:
            stops: Any = await transaction.row("stops", case_id)
            if stops["cancelled"] or stops["halted"]:
                what, remedy = (
                    ("an operator cancelled the case", "submit it anew: a cancellation stands")
                    if stops["cancelled"]
                    else ("its playbook is halted", "resume it with `switchyard playbook resume`, and ask again")
                )
                raise PermanentTaskError("stopped", what, None, remedy)
            await transaction.execute(
                "reopen", case_id, attempt, request_id, operator, event["event_id"], event_text(event)
            )
            won: Any = await transaction.row("retried", case_id, attempt)
            if won["request_id"] != request_id:
                raise PermanentTaskError(
                    "already_retried", f"{won['operator']} had it retried already", None, "wait for it"
                )
            # Two statements: a deletion that is under way waits for the first, and cannot see the second.
            await transaction.execute("drop_timer", case_id)
            await transaction.execute("set_timer", case_id, moment(failed.case_deadline))
            await transaction.execute("decide", request_id, "retried", None)
        stored: Json = json.loads(won["event"])
        return stored


def _event(raw: Json, name: str) -> Envelope:
    try:
        envelope = Envelope.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise malformed(message, f"{name}.{field}") from None
    if event_digest(raw) != envelope.digest:
        raise forged(f"the {name} was altered", f"{name}.digest")
    return envelope
