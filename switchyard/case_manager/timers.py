"""Timers: deadlines, waits and expiries that survive restarts, and what operators asked for since the last tick."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.consents import ConsentWaits
from switchyard.case_manager.gathers import Gathers
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.operator_commands import OperatorCommands
from switchyard.case_manager.pending_commands import PendingCommand, PendingCommands
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
TIMER_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Timers:
    """What the timers depend on. Any number of case managers may run them: every step is safe to repeat."""

    database: Database
    clock: Clock
    closing: CaseCloser
    pending: PendingCommands
    approvals: ApprovalService
    consents: ConsentWaits
    gathers: Gathers
    commands: OperatorCommands
    publisher: Publisher
    steps_aside: SetAside = field(default_factory=lambda: SetAside("timers", first_s=1.0, longest_s=60.0))
    aside: SetAside = field(default_factory=lambda: SetAside("pending_command"))

    async def tick(self) -> int:
        """Do what is due, and publish the events that this stored in the outbox; return how much it was."""
        decided = 0
        events: list[Json] = []

        async def decide() -> list[Json]:
            nonlocal decided
            decided, answers = await self.approvals.apply_decisions()
            return answers

        steps: dict[str, Callable[[], Awaitable[list[Json]]]] = {
            "commands": self.commands.apply,
            "approvals": decide,
            "expired": self.closing.close_expired,
            "cancelled": self.closing.close_cancelled,
            "parked": self.commands.release_parked,
            "due": self._answer_due,
            "gathers": self.gathers.join_due,
        }
        waiting = self.steps_aside.names()
        due = list(steps)
        if "steps_due" not in waiting:
            with self.steps_aside.guard("steps_due"):
                due = await self.database.with_queries(_SQL).value("steps_due", self.clock.now())
        if "commands" in due:
            due = list(steps)  # what an operator asks for may give any later step something to do
        for name in [name for name in steps if name in due and name not in waiting]:
            # A step that fails must not keep the others from their work.
            with self.steps_aside.guard(name):
                events += await steps[name]()
        if events:
            await self.publisher.publish(events)
            log.info("timers.fired", types=[event["type"] for event in events])
        return max(decided, len(events))

    @property
    def _answers(self) -> Mapping[str, Callable[[PendingCommand], Awaitable[list[Json]]]]:
        """What is answered when a command's time has come, where it is not that the wait is over."""
        return {"approval": self.approvals.expire, "consent": self.consents.expire}

    async def _answer_due(self) -> list[Json]:
        """Answer the commands whose time has come."""
        events: list[Json] = []
        for pending in await self.pending.due(self.aside.names()):
            answer = self._answers.get(pending.kind, self.pending.end_wait)
            with self.aside.guard(pending.task_id):
                events += await answer(pending)
        return events
