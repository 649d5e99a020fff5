"""The send ledger: the intent and the outcome of every send."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from services.specialists.email_sender.send_preconditions import (
    AnswerWithoutSending,
    ApprovalPolicy,
    ApprovalRecord,
    LedgerEntry,
    OutcomeUnknown,
    SendDecision,
    SendInFlight,
    SendNow,
    SendPreconditions,
    SendRequest,
    decide_send,
)
from switchyard.case_manager.operator_commands import read_command
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
T = TypeVar("T")
COMMANDS_AT_ONCE = 500

SESSION_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s", "statement_timeout": "15s", "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "10s",
}  # fmt: skip
"""Session limits of PostgreSQL, so that an email sender that hangs does not keep its rows: another one may need them.

https://www.postgresql.org/docs/current/runtime-config-client.html and runtime-config-connection.html.
"""


@dataclass(frozen=True)
class SendRate:
    """Rate of emails to one domain: `interval_s` between two, after `burst` at once."""

    interval_s: float
    burst: int


@dataclass(frozen=True)
class SendIntended:
    """The intent is recorded: call the provider now. Only the holder of `attempt` may record its answer."""

    attempt: int


@dataclass(frozen=True)
class RateLimited:
    """The domain's rate is used up: this email may be sent in `seconds`."""

    seconds: float


BeginResult = SendIntended | RateLimited | SendInFlight | AnswerWithoutSending | OutcomeUnknown


class SendLedger:
    """The ledger's tables. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, approvals: ApprovalPolicy, operators: OperatorKeys) -> None:
        self._database = Database(pool, "the work database", load_queries(__file__))
        self._approvals = approvals
        self._operators = operators

    async def sealed_address(self, request: SendRequest) -> bytes | None:
        """The address of the case, as intake sealed it."""
        async with self._database.transaction(request.scope) as database:
            row = await database.row("preconditions", request.case_id, request.command.content_sha256)
        sealed: bytes | None = row and row["sealed_address"]
        return sealed

    async def look(self, request: SendRequest, *, intended: bool = False) -> SendDecision:
        """What would be decided now, without writing anything; `intended` after the intent, when only stops count.

        An intent is confirmed like this before the provider is called. A stop that was committed before is seen; one
        that is committed after counts as later than the email. So no stop ever waits for a sending.
        """
        await self._see_commands(request)
        async with self._database.transaction(request.scope) as database:
            entry = None if intended else await self._entry(database, request)
            return await self._decide(database, request, entry)

    async def begin(self, request: SendRequest, domain_key: str, send_rate: SendRate) -> BeginResult:
        """Decide and, for a send, write the intent, in one transaction. Confirm it with `look` before the provider is
        called: a stop does not wait for a sending."""
        command, case_id = request.command, request.case_id
        key = case_id, command.content_sha256
        async with self._database.transaction(request.scope) as database:
            # A statement of its own, because the snapshot of the next one must be younger than the lock.
            await database.execute("lock", *key)
            decision = await self._decide(database, request, await self._entry(database, request))
            if isinstance(decision, OutcomeUnknown):
                await database.execute("give_up", *key, request.command_id)
            if not isinstance(decision, SendNow):
                return decision
            rate = send_rate.interval_s, send_rate.burst
            due = await database.value("take_turn", *key, domain_key, request.now, *rate)
            if due > request.now:
                return RateLimited((due - request.now) / timedelta(seconds=1))
            intent = request.command_id, command.pack, command.approval_id, request.now
            attempt = await database.value("intend", *key, *intent)
            await database.execute("give_back_turn", *key)
            return SendIntended(attempt)

    async def record(
        self,
        request: SendRequest,
        attempt: int,
        *,
        state: str,
        at: datetime,
        message_id: str | None = None,
        code: str | None = None,
    ) -> None:
        """Record the provider's answer. If another worker has recorded the outcome as unknown, resolve it."""
        key = request.case_id, request.command.content_sha256, attempt
        async with self._database.transaction(request.scope) as database:
            recorded = await database.value("record", *key, state, message_id, code, at)
            if not recorded and state != "unknown":
                evidence = "The provider's answer was recorded after the outcome had been given up as unknown."
                await database.execute("resolve_late", *key, message_id, at, evidence)

    async def _entry(self, database: Database, request: SendRequest) -> LedgerEntry | None:
        return _read(LedgerEntry, await database.row("entry", request.case_id, request.command.content_sha256))

    async def _decide(self, database: Database, request: SendRequest, entry: LedgerEntry | None) -> SendDecision:
        command = request.command
        row = await database.row("preconditions", request.case_id, command.content_sha256)
        preconditions = _read(SendPreconditions, row)
        if preconditions is not None:
            while await self._see_some(database, request):
                pass
            stops = await database.row("is_stopped", request.case_id, request.playbook)
            if stops["halted"] and await database.execute("believe_resumptions", request.playbook, request.now):
                stops = await database.row("is_stopped", request.case_id, request.playbook)
            preconditions = replace(
                preconditions,
                halted=preconditions.halted or stops["halted"],
                cancelled=preconditions.cancelled or stops["cancelled"],
            )
        approval = None
        if command.approval_id is not None:
            approval = _read(ApprovalRecord, await database.row("approval", command.approval_id))
        return decide_send(request, entry, preconditions, approval, self._approvals)

    async def _see_commands(self, request: SendRequest) -> None:
        """Verify the operators' commands since the last time, in transactions of their own: a flood without signatures
        is verified once."""
        more = True
        while more:
            async with self._database.transaction(request.scope) as database:
                more = await self._see_some(database, request)

    async def _see_some(self, database: Database, request: SendRequest) -> bool:
        """Verify some commands on this case and its playbook; whether there may be more."""
        rows = await database.rows("unseen_commands", request.case_id, request.playbook, COMMANDS_AT_ONCE)
        if not rows:
            return False
        names = ("command_id", "action", "target", "signed_at", "received_at")
        columns = [[row[name] for row in rows] for name in names]
        await database.execute("add_seen", *columns, [self._is_signed(row) for row in rows], request.now)
        return len(rows) == COMMANDS_AT_ONCE

    def _is_signed(self, row: Any) -> bool:
        """Whether an operator signed a command: a row of the case manager's proves nothing."""
        try:
            read_command(row).verify(self._operators)
        except InvalidEvent as error:
            log.error("stop.not_signed", alarm="integrity", operator=row["operator"], why=error.message)  # noqa: TRY400 - the message is the whole of it
            return False
        return True


def _read(kind: type[T], row: Any) -> T | None:
    return None if row is None else kind(**dict(row))
