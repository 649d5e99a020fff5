"""Approvals: a named person decides on exactly the bytes that would be sent.

Bound to their hash and to the rule pack; by an approver of record, who signs and is not who asked for the email; used
once; expiring; void on any change, because a changed email is another content and another approval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from switchyard.case_manager.pending_commands import (
    PENDING_BATCH_SIZE,
    PendingCommand,
    PendingCommands,
    decision_deadline,
)
from switchyard.protocol.approvals import approval_statement
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import ApprovalDenied, ApprovalExpired, ApprovalGranted
from switchyard.protocol.events.router import AskApproval
from switchyard.protocol.fields import Contract
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import OperatorKeys
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.connections import translate_errors
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
MAX_SIGNATURE_AGE = timedelta(minutes=15)
"""A signature older than this, or as far in the future, is refused: it may have been kept for another day."""


@dataclass(frozen=True)
class ApprovalRequest:
    """What a decision is compared with."""

    state: str
    content_sha256: str
    requested_by: str
    decide_by: datetime
    closed: bool


@dataclass(frozen=True)
class ApproverDecision:
    """What an approver said."""

    content_sha256: str
    approver: str
    signed_at: datetime


def explain_invalid_decision(asked: ApprovalRequest | None, said: ApproverDecision, now: datetime) -> str | None:
    """Why a decision does not count, as the approver is told; None if it does. Its signature is checked apart."""
    if asked is None:
        return "refused: there is no approval of that id"
    checks = (
        (asked.closed, "the case is closed"),
        (asked.state != "asked", f"the approval was decided already: {asked.state}"),
        (now >= asked.decide_by, "the approval has expired"),
        (said.content_sha256 != asked.content_sha256, "the decision is about another content than the one that waits"),
        (said.approver == asked.requested_by, "who asked for the email may not approve it"),
        (abs(now - said.signed_at) > MAX_SIGNATURE_AGE, "the signature is not fresh; sign again"),
    )
    return next((f"refused: {why}" for fails, why in checks if fails), None)


@dataclass(frozen=True)
class ApprovalService:
    """What approvals depend on. `valid_for` is how long a grant lasts if it is not used."""

    holding: PendingCommands
    approvers: OperatorKeys
    valid_for: timedelta

    async def request_approval(self, event: ReceivedEvent[AskApproval]) -> None:
        """Wait for a person to decide. A repeat is the same approval."""
        envelope, asked, now = event.envelope, event.payload, self.holding.clock.now()
        until = decision_deadline(event, now)
        staff = [actor.removeprefix("staff:") for actor in envelope.principal.act if actor.startswith("staff:")]
        with translate_errors("the work database"):
            await self.holding.pool.execute(
                _SQL["ask"],
                envelope.event_id,
                envelope.case_id,
                envelope.tenant,
                envelope.playbook_version.partition("/")[0],
                asked.content_sha256,
                asked.pack,
                asked.approval,
                staff[0] if staff else envelope.principal.sub,
                now,
                until,
            )
        await self.holding.add_command(event, "approval", until)

    async def expire(self, held: PendingCommand) -> None:
        """Nobody decided in time."""
        event = self.holding.build_answer(held.command, ApprovalExpired(approval_id=held.task_id))
        with translate_errors("the work database"):
            async with self.holding.pool.acquire() as connection, connection.transaction():
                if await self.holding.answer(held.task_id, event, connection):
                    await connection.execute(_SQL["expire"], held.task_id, self.holding.clock.now())

    async def apply_decisions(self) -> int:
        """Check what approvers said since the last time; return how many decisions there were."""
        with translate_errors("the work database"):
            rows = await self.holding.pool.fetch(_SQL["open_decisions"], PENDING_BATCH_SIZE)
        for row in rows:
            await self._decide(row)
        return len(rows)

    async def _decide(self, row: Any) -> None:
        now = self.holding.clock.now()
        asked = None
        if row["state"] is not None:
            asked = ApprovalRequest(
                row["state"], row["asked_content"], row["requested_by"], row["decide_by"], row["closed"]
            )
        result = explain_invalid_decision(
            asked, ApproverDecision(row["content_sha256"], row["approver"], row["signed_at"]), now
        )
        if result is None and row["command"] is None:
            result = "refused: nothing waits for this approval any more"
        result = result or self._signed(row)
        with translate_errors("the work database"):
            async with self.holding.pool.acquire() as connection, connection.transaction():
                if result is None:
                    event = self.holding.build_answer(json.loads(row["command"]), _approval_event(row))
                    if await self.holding.answer(str(row["approval_id"]), event, connection):
                        result = row["verdict"]
                        await connection.execute(
                            _SQL["decide"], row["approval_id"], result, row["approver"], row["why"],
                            row["signed_at"], row["signature"], now, now + self.valid_for,
                        )  # fmt: skip
                    else:
                        result = "refused: the approval was decided already, or its case is closed"
                await connection.execute(_SQL["settle_decision"], row["decision_id"], result)
        log.info("approval.decided", approval_id=str(row["approval_id"]), approver=row["approver"], result=result)

    def _signed(self, row: Any) -> str | None:
        statement = approval_statement(
            approval_id=str(row["approval_id"]),
            case_id=str(row["case_id"]),
            content_sha256=row["content_sha256"],
            pack=row["pack"],
            verdict=row["verdict"],
            approver=row["approver"],
            reason=row["why"],
            signed_at=timestamp(row["signed_at"]),
        )
        try:
            self.approvers.verify(row["approver"], statement, row["signature"])
        except InvalidEvent as problem:
            return f"refused: {problem.message}"
        return None


def _approval_event(row: Any) -> Contract:
    said = {name: row[name] for name in ("content_sha256", "approver", "signature")} | {
        "approval_id": str(row["approval_id"]),
        "signed_at": timestamp(row["signed_at"]),
    }
    if row["verdict"] == "denied":
        return ApprovalDenied(message=row["why"], **said)
    return ApprovalGranted(reason=row["why"], **said)
