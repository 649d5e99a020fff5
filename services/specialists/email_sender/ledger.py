"""The email sender's ledger: what was intended and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)

SESSION_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "15s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}
"""How long the server lets an email sender that hangs keep the case manager's locks: a stop waits for them.

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
        self._database = Database(pool, "the work database", _SQL)
        self._approvers = approvers

    async def begin(self, question: SendRequest, domain_key: str, send_rate: SendRate) -> BeginResult:
        """Decide and, if it is to be sent, write the intent: in one transaction, under the case manager's locks.

        A stop of the case, the address or the playbook takes the same locks, so it is either seen here or comes after
        the intent.
        """
        async with self._database.transaction() as transaction:
            return await _begin(transaction, question, domain_key, send_rate, self._approvers)

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
        """Record the provider's answer. If another worker has given up waiting for it, resolve what it left open."""
        key = question.case_id, question.command.content_sha256, attempt
        if await self._database.value("record", *key, state, message_id, code, at):
            return
        if state != "unknown":
            evidence = "The provider's answer was recorded after the outcome had been given up as unknown."
            await self._database.execute("resolve_late", *key, message_id, at, evidence)


async def _begin(
    database: Database, question: SendRequest, domain_key: str, send_rate: SendRate, approvers: OperatorKeys
) -> BeginResult:
    command, case_id = question.command, question.case_id
    key = case_id, command.content_sha256
    # A statement of its own: the next one's snapshot must be younger than the locks.
    await database.execute("lock", case_id, command.address_key, command.content_sha256)
    entry = await _entry(database, *key)
    permit = await database.row("permit", case_id)
    approval = await _approval(database, command.approval_id)
    verdict = decide_send(
        question, entry, None if permit is None else SendPreconditions(**dict(permit)), approval, approvers
    )
    match verdict:
        case OutcomeUnknown():
            await database.execute("give_up", *key, question.command_id)
            return verdict
        case SendNow():
            due = await database.value(
                "take_turn", *key, domain_key, question.now, send_rate.interval_s, send_rate.burst
            )
            if due > question.now:
                return RateLimited((due - question.now) / timedelta(seconds=1))
            attempt = await database.value(
                "intend", *key, question.command_id, command.pack, command.approval_id, question.now
            )
            await database.execute("give_back_turn", *key)
            return SendIntended(attempt)
        case _:
            return verdict


async def _entry(database: Database, case_id: str, content_sha256: str) -> LedgerEntry | None:
    row = await database.row("entry", case_id, content_sha256)
    if row is None:
        return None
    fields = dict(row)
    for name in ("command_id", "approval_id"):
        fields[name] = None if fields[name] is None else str(fields[name])
    return LedgerEntry(**fields)


async def _approval(database: Database, approval_id: str | None) -> ApprovalRecord | None:
    if approval_id is None:
        return None
    row = await database.row("approval", approval_id)
    return (
        None
        if row is None
        else ApprovalRecord(**(dict(row) | {name: str(row[name]) for name in ("approval_id", "case_id")}))
    )
