"""Timers: deadlines, waits and expiries that survive restarts, and what operators said since the last tick."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from contracts.events.case_manager import CaseClosed, WaitOver
from switchyard.case_manager.approvals import Approvals
from switchyard.case_manager.control import Control
from switchyard.case_manager.lifecycle import Closing
from switchyard.case_manager.pending_commands import Holding
from switchyard.case_manager.store import DeskStore, Due
from switchyard.protocol.envelope import Envelope
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
TICK_S = 0.5


@dataclass(frozen=True)
class Timers:
    """What the timers depend on. Any number of desks may run them: every step is safe to repeat."""

    store: DeskStore
    closing: Closing
    holding: Holding
    approvals: Approvals
    control: Control
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
            await self.closing.forget(timer.case_id)
        resumed = await self.store.resumable()
        if resumed:
            await self.publisher.publish(resumed)
            await self.store.unpark([event["case_id"] for event in resumed])
        return len(due) + len(resumed) + await self._hold() + await self._control()

    async def _hold(self) -> int:
        """Decide what approvers said, end what has waited long enough, publish what was answered."""
        decided = await self.approvals.decide()
        due = await self.holding.due()
        for held in due:
            if held.kind == "approval":
                await self.approvals.expire(held)
            else:
                over = WaitOver(waited_for="time" if held.kind == "time" else "resume")
                await self.holding.answer(held.task_id, self.holding.answered(held.command, over))
        answers = await self.holding.unpublished()
        if answers:
            await self.publisher.publish([event for _, event in answers])
            await self.holding.published([task_id for task_id, _ in answers])
        return decided + len(due) + len(answers)

    async def _control(self) -> int:
        """Close what an operator cancelled, and tell the log what was stopped."""
        cancelled = await self.control.cancelled()
        for opened, closed in cancelled:
            await self.publisher.publish([opened, closed])
            await self.closing.forget(opened["case_id"])
        notices = await self.control.notices()
        if notices:
            await self.publisher.publish([event for _, event in notices])
            await self.control.noticed([notice_id for notice_id, _ in notices])
        return len(cancelled) + len(notices)

    async def _expire(self, timer: Due) -> dict[str, object]:
        opened = Envelope.model_validate_json(json.dumps(timer.opened))
        log.warning("case.expired", case_id=timer.case_id)
        return await self.closing.end(
            opened,
            CaseClosed(
                outcome="expired",
                code="case_deadline",
                message="The case had no outcome by its deadline.",
                remedy="see where it rested with `switchyard case show`, or allow more time with deadline_ms",
            ),
        )
