"""Approvals: a named person decides on exactly the bytes that would take effect.

An approval is bound to their hash and to the rule pack, given by an approver of record, who signs and did not ask for
the effect, used once, and expires. Changed bytes need another approval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from switchyard.case_manager.pending_commands import (
    PENDING_BATCH_SIZE,
    PendingCommand,
    PendingCommands,
    decision_deadline,
)
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import ApprovalDenied, ApprovalExpired, ApprovalGranted
from switchyard.protocol.events.router import AskApproval
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import approval_statement
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
MAX_SIGNATURE_AGE = timedelta(minutes=15)
"""A signature that is older, or as far in the future, is refused: it may have been kept for another day."""


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
    """What an approver decided, about which content."""

    content_sha256: str
    approver: str
    signed_at: datetime


def explain_invalid_decision(asked: ApprovalRequest | None, decision: ApproverDecision, now: datetime) -> str | None:
    """Why a decision is invalid, as the approver reads it; None if it is valid. The signature is checked separately."""
    if asked is None:
        return "refused: the approval id is unknown"
    checks = (
        (asked.closed, "the case is closed"),
        (asked.state != "asked", f"the approval was decided already: {asked.state}"),
        (now >= asked.decide_by, "the approval has expired"),
        (decision.content_sha256 != asked.content_sha256, "the decision is about another content than the pending one"),
        (decision.approver == asked.requested_by, "the person who asked for it may not approve it"),
        (abs(now - decision.signed_at) > MAX_SIGNATURE_AGE, "the signature is too old or in the future; sign again"),
    )
    return next((f"refused: {why}" for fails, why in checks if fails), None)


@dataclass(frozen=True)
class ApprovalService:
    """What approvals depend on. `valid_for` is how long a grant lasts if it is not used."""

    pending: PendingCommands
    approvers: OperatorKeys
    valid_for: timedelta
    aside: SetAside = field(default_factory=lambda: SetAside("approval_decision"))

    @property
    def _database(self) -> Database:
        return self.pending.database.with_queries(_SQL)

    async def request_approval(self, event: ReceivedEvent[AskApproval]) -> list[Json]:
        """Wait for a person to decide; returns the answer, to publish again, of a request that was decided before."""
        envelope, asked, now = event.envelope, event.payload, self.pending.clock.now()
        until = decision_deadline(event, now)
        staff = [actor.removeprefix("staff:") for actor in envelope.principal.act if actor.startswith("staff:")]
        await self._database.execute(
            "ask",
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
        return await self.pending.add(event, "approval", until)

    async def expire(self, pending: PendingCommand) -> list[Json]:
        """Answer a request that was not decided in time; the event, unless it was answered meanwhile."""
        event = self.pending.build_answer(pending.command, ApprovalExpired(approval_id=pending.task_id))
        async with self._database.transaction() as transaction:
            if not await self.pending.answer(pending.task_id, event, transaction):
                return []
            await transaction.execute("expire", pending.task_id, self.pending.clock.now())
        return [event]

    async def apply_decisions(self) -> tuple[int, list[Json]]:
        """Check what approvers decided since the last call; how many decisions there were, and the answers."""
        rows = await self._database.rows("open_decisions", PENDING_BATCH_SIZE, self.aside.names())
        events: list[Json] = []
        for row in rows:
            with self.aside.guard(str(row["decision_id"])):
                events += await self._decide(row)
        return len(rows), events

    async def _decide(self, row: Any) -> list[Json]:
        now = self.pending.clock.now()
        asked = None
        if row["state"] is not None:
            asked = ApprovalRequest(
                row["state"], row["asked_content"], row["requested_by"], row["decide_by"], row["closed"]
            )
        decision = ApproverDecision(row["content_sha256"], row["approver"], row["signed_at"])
        result = explain_invalid_decision(asked, decision, now)
        if result is None and row["command"] is None:
            result = "refused: the command that asked for the approval is gone"
        result = result or self._signature_problem(row)
        events: list[Json] = []
        async with self._database.transaction() as transaction:
            if result is None:
                event = self.pending.build_answer(json.loads(row["command"]), _approval_event(row))
                if await self.pending.answer(str(row["approval_id"]), event, transaction):
                    result, events = row["verdict"], [event]
                    await transaction.execute(
                        "decide", row["approval_id"], result, row["approver"], row["why"],
                        row["signed_at"], row["signature"], now, now + self.valid_for,
                    )  # fmt: skip
                else:
                    result = "refused: the approval was decided already, or its case is closed"
            await transaction.execute("record_result", row["decision_id"], result)
        log.info("approval.decided", approval_id=str(row["approval_id"]), approver=row["approver"], result=result)
        return events

    def _signature_problem(self, row: Any) -> str | None:
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
    decision = {name: row[name] for name in ("content_sha256", "approver", "signature")} | {
        "approval_id": str(row["approval_id"]),
        "signed_at": timestamp(row["signed_at"]),
    }
    if row["verdict"] == "denied":
        return ApprovalDenied(message=row["why"], **decision)
    return ApprovalGranted(reason=row["why"], **decision)
