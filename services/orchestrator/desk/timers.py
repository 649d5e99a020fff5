"""Timers: deadlines that survive restarts, and cases that wait for a halted playbook to resume."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from contracts.envelope import Envelope
from contracts.events.desk import CaseClosed
from runtime.clock import Clock
from runtime.publisher import Publisher
from services.orchestrator.desk.closing import Closing
from services.orchestrator.desk.store import DeskStore, Due

log = structlog.get_logger(__name__)
TICK_S = 0.5


@dataclass(frozen=True)
class Timers:
    """What the timers depend on. Any number of desks may run them: every step is safe to repeat."""

    store: DeskStore
    closing: Closing
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
        return len(due) + len(resumed)

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
