"""Approvals: a named person decides on exactly the bytes that would take effect.

An approval is bound to their hash and to the rule pack, used once, and expires. It is given by an approver of record,
who signs and did not ask for the effect, or by two if it is not known who asked. Changed bytes need another approval.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from switchyard.protocol.events.case_manager import (
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalReturned,
    CoApproval,
)
from switchyard.protocol.events.router import AskApproval
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.four_eyes import FourEyes, submitter_of
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


def explain_invalid_decision(
    asked: ApprovalRequest | None, decision: ApproverDecision, now: datetime, four_eyes: FourEyes
) -> str | None:
    """Why a decision is invalid, as the approver reads it; None if it is valid. The signature is checked separately."""
    if asked is None:
        return "refused: the approval id is unknown"
    checks = (
        (asked.closed, "the case is closed"),
        (asked.state != "asked", f"the approval was decided already: {asked.state}"),
        (now >= asked.decide_by, "the approval has expired"),
        (decision.content_sha256 != asked.content_sha256, "the decision is about another content than the pending one"),
        (
            four_eyes.is_submitter(decision.approver, asked.requested_by),
            "the person who asked for it may not approve it",
        ),
        (abs(now - decision.signed_at) > MAX_SIGNATURE_AGE, "the signature is too old or in the future; sign again"),
    )
    return next((f"refused: {why}" for fails, why in checks if fails), None)


@dataclass(frozen=True)
class ApprovalService:
    """What approvals depend on. `valid_for` is how long a grant lasts if it is not used."""

    pending: PendingCommands
    approvers: OperatorKeys
    four_eyes: FourEyes
    valid_for: timedelta
    aside: SetAside = field(default_factory=lambda: SetAside("approval_decision"))

    @property
    def _database(self) -> Database:
        return self.pending.database.with_queries(_SQL)

    async def request_approval(self, event: ReceivedEvent[AskApproval]) -> list[Json]:
        """Wait for a person to decide; returns the answer, to publish again, of a request that was decided before."""
        envelope, asked, now = event.envelope, event.payload, self.pending.clock.now()
        until = decision_deadline(event, now)
        await self._database.execute(
            "ask",
            envelope.event_id,
            envelope.case_id,
            envelope.tenant,
            envelope.playbook_version.partition("/")[0],
            asked.content_sha256,
            asked.pack,
            asked.approval,
            submitter_of(envelope.principal),
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
        result = explain_invalid_decision(asked, decision, now, self.four_eyes)
        if result is None and row["command"] is None:
            result = "refused: the command that asked for the approval is gone"
        if result is None and row["verdict"] == "returned" and not _is_returnable(row["command"]):
            result = "refused: this playbook has no way back; deny it, and submit the case again"
        result = result or self._signature_problem(row)
        events: list[Json] = []
        async with self._database.transaction() as transaction:
            if result is None:
                result, events = await self._apply(row, now, transaction)
            await transaction.execute("record_result", row["decision_id"], result)
        log.info("approval.decided", approval_id=str(row["approval_id"]), approver=row["approver"], result=result)
        return events

    async def _apply(self, row: Any, now: datetime, transaction: Database) -> tuple[str, list[Json]]:
        """Record a valid decision; its result and, if that decides the approval, the answer."""
        await transaction.execute("lock_approval", row["approval_id"])
        earlier: list[Any] = []
        if row["verdict"] == "granted":
            earlier = await transaction.rows("agreed", row["approval_id"])
            signed = row["approver"], row["why"], row["signed_at"], row["signature"]
            if not await transaction.execute("agree", row["approval_id"], *signed, now):
                return "refused: this approver has agreed already, and another person must agree, too", []
            persons = [row["approver"], *(each["approver"] for each in earlier)]
            if not self.four_eyes.is_approved(persons, row["requested_by"]):
                return "granted: a second approver must agree, because it is not known which person asked for it", []
        event = self.pending.build_answer(json.loads(row["command"]), _approval_event(row, earlier))
        if not await self.pending.answer(str(row["approval_id"]), event, transaction):
            return "refused: the approval was decided already, or its case is closed", []
        await transaction.execute("decide", row["approval_id"], row["verdict"], now, now + self.valid_for)
        return row["verdict"], [event]

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


def _is_returnable(command: str) -> bool:
    """Whether the playbook that asked goes on after a return; without an edge for it the case would end as failed."""
    return bool(json.loads(command)["payload"].get("returnable"))


def _approval_event(row: Any, earlier: Sequence[Any]) -> Contract:
    decision = {name: row[name] for name in ("content_sha256", "approver", "signature")} | {
        "approval_id": str(row["approval_id"]),
        "signed_at": timestamp(row["signed_at"]),
    }
    if row["verdict"] == "denied":
        return ApprovalDenied(message=row["why"], **decision)
    if row["verdict"] == "returned":
        return ApprovalReturned(instructions=row["why"], **decision)
    before = tuple(
        CoApproval(
            approver=each["approver"],
            reason=each["why"],
            signed_at=timestamp(each["signed_at"]),
            signature=each["signature"],
        )
        for each in earlier
    )
    return ApprovalGranted(reason=row["why"], co_approvals=before or None, **decision)
