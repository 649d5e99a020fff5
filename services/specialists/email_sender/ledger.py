"""The email sender's ledger: what was intended and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.specialists.email_sender.send_preconditions import (
    ApprovalRecord,
    LedgerEntry,
    OutcomeUnknown,
    SendDecision,
    SendNow,
    SendPreconditions,
    SendRequest,
    decide_send,
)
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
_WHAT = "the work database"

SESSION_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "15s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}
"""How long the server lets an email sender that stands still keep the case manager's locks.

Whoever stops a sending waits for them.

https://www.postgresql.org/docs/current/runtime-config-client.html and runtime-config-connection.html.
"""


@dataclass(frozen=True)
class SendRate:
    """How fast one domain may be written to: `interval_s` between two emails, after `burst` at once."""

    interval_s: float
    burst: int


@dataclass(frozen=True)
class SendIntended:
    """The intent is on record: ask the provider now. Only the holder of `attempt` may record its answer."""

    attempt: int


@dataclass(frozen=True)
class RateLimited:
    """The domain has had its share: this email's turn comes in `seconds`."""

    seconds: float


BeginResult = SendIntended | RateLimited | SendDecision


class SendLedger:
    """Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool, approvers: OperatorKeys) -> None:
        self._pool = pool
        self._approvers = approvers

    async def begin(self, question: SendRequest, domain_key: str, send_rate: SendRate) -> BeginResult:
        """Decide and, if it is to be sent, write the intent: in one transaction, under the case manager's locks.

        Whoever stops the case, the address or the playbook takes the same locks, so the stop is either seen here or
        comes after the intent.
        """
        with translate_errors(_WHAT):
            async with self._pool.acquire() as connection, connection.transaction():
                return await _begin(connection, question, domain_key, send_rate, self._approvers)

    async def record(
        self,
        question: SendRequest,
        attempt: int,
        *,
        state: str,
        at: datetime,
        message_id: str | None = None,
        code: str | None = None,
    ) -> None:
        """Record the provider's answer. If another worker has given up waiting for it, settle what it left open."""
        key = question.case_id, question.command.content_sha256, attempt
        with translate_errors(_WHAT):
            if await self._pool.fetchval(_SQL["record"], *key, state, message_id, code, at):
                return
            if state != "unknown":
                evidence = "The provider's answer was recorded after the outcome had been given up as unknown."
                await self._pool.execute(_SQL["settle_late"], *key, message_id, at, evidence)


async def _begin(
    connection: Any, question: SendRequest, domain_key: str, send_rate: SendRate, approvers: OperatorKeys
) -> BeginResult:
    command, case_id = question.command, question.case_id
    key = case_id, command.content_sha256
    # A statement of its own: the next one's snapshot must be younger than the locks.
    await connection.execute(_SQL["lock"], case_id, command.address_key, command.content_sha256)
    entry = await _entry(connection, *key)
    gate = await connection.fetchrow(_SQL["gate"], case_id)
    approval = await _approval(connection, command.approval_id)
    verdict = decide_send(
        question, entry, None if gate is None else SendPreconditions(**dict(gate)), approval, approvers
    )
    match verdict:
        case OutcomeUnknown():
            await connection.execute(_SQL["give_up"], *key, question.command_id)
            return verdict
        case SendNow():
            due = await connection.fetchval(
                _SQL["take_turn"], *key, domain_key, question.now, send_rate.interval_s, send_rate.burst
            )
            if due > question.now:
                return RateLimited((due - question.now) / timedelta(seconds=1))
            attempt = await connection.fetchval(
                _SQL["intend"], *key, question.command_id, command.pack, command.approval_id, question.now
            )
            await connection.execute(_SQL["give_back_turn"], *key)
            return SendIntended(attempt)
        case _:
            return verdict


async def _entry(connection: Any, case_id: str, content_sha256: str) -> LedgerEntry | None:
    row = await connection.fetchrow(_SQL["entry"], case_id, content_sha256)
    if row is None:
        return None
    fields = dict(row)
    for name in ("command_id", "approval_id"):
        fields[name] = None if fields[name] is None else str(fields[name])
    return LedgerEntry(**fields)


async def _approval(connection: Any, approval_id: str | None) -> ApprovalRecord | None:
    if approval_id is None:
        return None
    row = await connection.fetchrow(_SQL["approval"], approval_id)
    return (
        None
        if row is None
        else ApprovalRecord(**(dict(row) | {name: str(row[name]) for name in ("approval_id", "case_id")}))
    )
