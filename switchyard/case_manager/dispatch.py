"""The case manager's messages: each handler returns the events that follow, and one place publishes and logs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from faststream_sqs import SQSMessage
from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.arrivals import ArrivalQueue
from switchyard.case_manager.consents import ConsentWaits
from switchyard.case_manager.feedback import FeedbackIntake
from switchyard.case_manager.forgetting import ForgettingIntake
from switchyard.case_manager.gathers import Gathers
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.case_manager.suppression import SuppressionList
from switchyard.protocol.case_facts import find_contradiction
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.errors import InvalidEvent, RejectionReason, invalid
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import AskApproval, AskConsent, CloseCase, GatherBranches, JoinBranch, Wait
from switchyard.protocol.events.upstream import FeedbackGiven, ForgettingRequested, GrantRenewed, SuppressionRequested
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent, read_bus_event, read_event
from switchyard.protocol.topology import REPORTS, SUPPRESSIONS
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.logs import log_context
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker, nack_when_unavailable
from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES, REDRIVES_ATTRIBUTE, Redriver
from switchyard.runtime.messaging.publisher import Publisher
from switchyard.runtime.messaging.quarantine import Quarantine
from switchyard.runtime.messaging.rollout import Rollout

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CaseManager:
    """The case manager. It needs no inbox: its tables make every message safe to repeat."""

    arrivals: ArrivalQueue
    closing: CaseCloser
    pending: PendingCommands
    approvals: ApprovalService
    consents: ConsentWaits
    gathers: Gathers
    suppression: SuppressionList
    feedback: FeedbackIntake
    forgetting: ForgettingIntake
    publisher: Publisher
    quarantine: Quarantine
    breaker: DatabaseCircuitBreaker
    redrive: Redriver
    rollout: Rollout

    async def handle(self, message: SQSMessage) -> None:
        """Handle one message: what follows is stored, published, and only then returned from."""
        async with nack_when_unavailable(message, self.breaker):
            try:
                await self._publish(await self._events_after(message.raw_body))
            except InvalidEvent as rejection:
                if not await self.rollout.postpone(message, rejection):
                    # Only the router sends to the case manager: its events are well formed, or not the router's.
                    await self.quarantine.keep(message.raw_body, rejection)

    async def handle_dead_letter(self, message: SQSMessage) -> None:
        """Take a submission in, and redrive any other dead letter a few times; then it is quarantined. The deadline of
        a case ends it if its ending could not be handled."""
        async with nack_when_unavailable(message, self.breaker):
            redrives = int(message.headers.get(REDRIVES_ATTRIBUTE, "0"))
            problem = invalid("the case manager could not handle it", remedy="see the case manager's log")
            lane = None
            try:
                source, detail_type, detail = read_bus_event(message.raw_body)
                if self.arrivals.intake.accepts(detail_type):
                    await self._publish(await self.arrivals.receive(source, detail_type, detail))
                    return
                lane = SUPPRESSIONS if detail_type in REPORTS else None
            except InvalidEvent as unreadable:
                problem = unreadable
            if redrives < MAX_REDRIVES:
                await self.redrive(message.raw_body, redrives=redrives + 1, lane=lane)
                return
            await self.quarantine.keep(message.raw_body, problem)

    async def _events_after(self, body: str) -> list[Json]:
        source, detail_type, detail = read_bus_event(body)
        if self.arrivals.intake.accepts(detail_type):
            return await self.arrivals.receive(source, detail_type, detail)
        if detail_type == SuppressionRequested.__name__:
            return [await self.suppression.suppress_contact(source, detail)]
        if detail_type == GrantRenewed.__name__:
            return await self.consents.renew(source, detail)
        if detail_type == FeedbackGiven.__name__:
            return await self.feedback.receive(source, detail)
        if detail_type == ForgettingRequested.__name__:
            await self.forgetting.receive(source, detail)
            return []
        received = read_event(self.closing.catalogue, body, node=CASE_MANAGER)
        with log_context(received.envelope), telemetry.tag_span(CASE_MANAGER, received.envelope):
            handler = HANDLERS.get(type(received.payload))
            if handler is None:
                what = f"the case manager has no handler for {received.envelope.type}"
                raise InvalidEvent(RejectionReason.UNKNOWN, what, "type", "send it to a node that handles it")
            facts = await self.closing.store.case_facts(received.envelope.case_id)
            if (problem := find_contradiction(received.envelope, facts)) is not None:
                raise problem
            events = await handler(self, received)
            log.info("event.handled")
            return events

    async def _publish(self, events: list[Json]) -> None:
        await self.publisher.publish(events)
        for event in events:
            log.info("event.published", type=event["type"], case_id=event["case_id"], event_id=event["event_id"])


Handler = Callable[[CaseManager, ReceivedEvent[Any]], Awaitable[list[Json]]]


async def _close(manager: CaseManager, event: ReceivedEvent[Contract]) -> list[Json]:
    return await manager.closing.close_case(event)


HANDLERS: Mapping[type[Contract], Handler] = {
    AskApproval: lambda manager, event: manager.approvals.request_approval(event),
    AskConsent: lambda manager, event: manager.consents.request_consent(event),
    Wait: lambda manager, event: manager.pending.add_wait(event),
    GatherBranches: lambda manager, event: manager.gathers.open(event),
    JoinBranch: lambda manager, event: manager.gathers.end_branch(event),
    CloseCase: _close,
    TaskFailed: _close,
}
