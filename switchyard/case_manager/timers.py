"""Timers: deadlines, waits and expiries that survive restarts, and what operators said since the last tick."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.control import OperatorControl
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.case_manager.store import CaseStore, DueTimer
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.case_manager import CaseClosed, WaitOver
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
TIMER_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Timers:
    """What the timers depend on. Any number of case managers may run them: every step is safe to repeat."""

    store: CaseStore
    closing: CaseCloser
    holding: PendingCommands
    approvals: ApprovalService
    control: OperatorControl
    publisher: Publisher
    clock: Clock

    async def tick(self) -> int:
        """Fire what is due and release what may resume; return how many of both.

        A timer's row goes only after its event is on the bus, so a crash in between fires it again, to the same end.
        """
        due = await self.store.due(self.clock.now())
        for timer in due:
            # With its opening, which may not have reached the bus before the time was up: a redelivery is dropped.
            await self.publisher.publish([timer.opened, await self._expire(timer)])
            await self.closing.drop_timers(timer.case_id)
        resumed = await self.store.resumable()
        if resumed:
            await self.publisher.publish(resumed)
            await self.store.mark_resumed([event["case_id"] for event in resumed])
        return len(due) + len(resumed) + await self._hold() + await self._control()

    async def _hold(self) -> int:
        """Decide what approvers said, end what has waited long enough, publish what was answered."""
        decided = await self.approvals.apply_decisions()
        due = await self.holding.due()
        for held in due:
            if held.kind == "approval":
                await self.approvals.expire(held)
            else:
                over = WaitOver(waited_for="time" if held.kind == "time" else "resume")
                await self.holding.answer(held.task_id, self.holding.build_answer(held.command, over))
        answers = await self.holding.unpublished_answers()
        if answers:
            await self.publisher.publish([event for _, event in answers])
            await self.holding.mark_published([task_id for task_id, _ in answers])
        return decided + len(due) + len(answers)

    async def _control(self) -> int:
        """Close what an operator cancelled, and tell the log what was stopped."""
        close_cancelled_cases = await self.control.close_cancelled_cases()
        for opened, closed in close_cancelled_cases:
            await self.publisher.publish([opened, closed])
            await self.closing.drop_timers(opened["case_id"])
        unpublished_events = await self.control.unpublished_events()
        if unpublished_events:
            await self.publisher.publish([event for _, event in unpublished_events])
            await self.control.mark_published([notice_id for notice_id, _ in unpublished_events])
        return len(close_cancelled_cases) + len(unpublished_events)

    async def _expire(self, timer: DueTimer) -> dict[str, object]:
        opened = Envelope.model_validate_json(json.dumps(timer.opened))
        log.warning("case.expired", case_id=timer.case_id)
        return await self.closing.close_with(
            opened,
            CaseClosed(
                outcome="expired",
                code="case_deadline",
                message="The case had no outcome by its deadline.",
                remedy="see where it rested with `switchyard case show`, or allow more time with deadline_ms",
            ),
        )
