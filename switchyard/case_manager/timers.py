"""Timers: deadlines, waits and expiries that survive restarts, and what operators asked for since the last tick."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.protocol.fields import Json
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
TIMER_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Timers:
    """What the timers depend on. Any number of case managers may run them: every step is safe to repeat."""

    closing: CaseCloser
    pending: PendingCommands
    approvals: ApprovalService
    commands: OperatorCommands
    publisher: Publisher

    async def tick(self) -> int:
        """Do what is due, and publish the events that this stored in the outbox; return how much it was."""
        events = await self.commands.apply()
        decided, answers = await self.approvals.apply_decisions()
        events += answers
        events += await self.closing.close_expired()
        events += await self.closing.close_cancelled()
        events += await self.commands.release_parked()
        events += await self._answer_due()
        if events:
            await self.publisher.publish(events)
            log.info("timers.fired", types=[event["type"] for event in events])
        return max(decided, len(events))

    async def _answer_due(self) -> list[Json]:
        """Answer the commands whose time has come."""
        events = []
        for pending in await self.pending.due():
            answer = self.approvals.expire if pending.kind == "approval" else self.pending.end_wait
            events += await answer(pending)
        return events
