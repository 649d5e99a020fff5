"""What the router and the case manager do with a message.

Neither needs an inbox: one is pure, the other's tables are one.
"""

from __future__ import annotations

from typing import cast

import structlog

from faststream_sqs import SQSMessage
from switchyard.case_manager.approvals import ApprovalService
from switchyard.case_manager.control import OperatorControl
from switchyard.case_manager.intake import CaseIntake
from switchyard.case_manager.lifecycle import CaseCloser
from switchyard.case_manager.pending_commands import PendingCommands
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.router import AskApproval, Wait
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.protocol.fields import Json
from switchyard.protocol.received import ReceivedEvent, read_bus_event, read_event
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.decisions import failure_for, follow_event
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.logs import log_context
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker, nack_when_unavailable
from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES, REDRIVES_ATTRIBUTE, Redriver
from switchyard.runtime.messaging.publisher import Publisher
from switchyard.runtime.messaging.quarantine import Quarantine
from switchyard.runtime.messaging.rollout import Rollout

log = structlog.get_logger(__name__)


async def route_event(
    message: SQSMessage,
    *,
    seal: StateSeal,
    table: RoutingTable,
    operators: OperatorKeys,
    publisher: Publisher,
    quarantine: Quarantine,
    clock: Clock,
    rollout: Rollout | None = None,
) -> None:
    """Publish what follows from an event. A redelivery publishes the same events again, and downstream drops them.

    The router's dead letters come here, too: routing again is all there is to try, and it says best why it fails.
    They wait for no release, so they have no `rollout`.
    """
    async with nack_when_unavailable(message, None):
        try:
            received = read_event(table.catalogue, message.raw_body, node=ROUTER)
            with log_context(received.envelope), telemetry.tag_span(ROUTER, received.envelope):
                events = [_stamped(event, clock) for event in follow_event(received, seal, table, operators=operators)]
                await publisher.publish(events)
                log.info("event.routed", to=[event["node_to"] for event in events])
        except InvalidEvent as rejection:
            if rollout is not None and await rollout.postpone(message, rejection):
                return
            ending = failure_for(message.raw_body, rejection, seal, table)
            if ending is None:
                await quarantine.keep(message.raw_body, rejection)
            else:
                await publisher.publish([_stamped(ending, clock)])


async def handle_case_manager_event(
    message: SQSMessage,
    *,
    intake: CaseIntake,
    closing: CaseCloser,
    holding: PendingCommands,
    approvals: ApprovalService,
    control: OperatorControl,
    publisher: Publisher,
    quarantine: Quarantine,
    gate: DatabaseCircuitBreaker,
    rollout: Rollout | None = None,
) -> None:
    """Open a case for a submission, let one wait, or close it."""
    async with nack_when_unavailable(message, gate):
        try:
            source, detail_type, detail = read_bus_event(message.raw_body)
            if intake.accepts(detail_type):
                taken = await intake.open_case(source, detail, detail_type)
                # The stored event has no trace: a repeated submission publishes it again under its own.
                events = [event | {"trace": telemetry.trace_context()} for event in taken]
                await publisher.publish(events)
                for event in events:
                    log.info("submission.taken", type=event["type"], case_id=event["case_id"])
                return
            if detail_type == SuppressionRequested.__name__:
                stopped = await control.suppress_contact(source, detail)
                await publisher.publish([stopped])
                await control.mark_published([stopped["event_id"]])
                log.info("contact.stopped", reason=stopped["payload"]["reason"])
                return
            received = read_event(closing.catalogue, message.raw_body, node=CASE_MANAGER)
            with log_context(received.envelope), telemetry.tag_span(CASE_MANAGER, received.envelope):
                if isinstance(received.payload, AskApproval):
                    await approvals.request_approval(cast("ReceivedEvent[AskApproval]", received))
                    log.info("approval.asked", reason=received.payload.approval)
                    return
                if isinstance(received.payload, Wait):
                    await holding.add_wait(cast("ReceivedEvent[Wait]", received))
                    log.info("case.waits", until=received.payload.until, halted=received.payload.halted)
                    return
                closed = await closing.close_case(received)
                await publisher.publish([closed])
                await closing.drop_timers(received.envelope.case_id)
                log.info("case.closed", outcome=closed["payload"]["outcome"])
        except InvalidEvent as rejection:
            if rollout is not None and await rollout.postpone(message, rejection):
                return
            # Only the router speaks to close; what it says is either well formed or not the router's.
            await quarantine.keep(message.raw_body, rejection)


async def handle_case_manager_dead_letter(
    message: SQSMessage,
    *,
    redrive: Redriver,
    intake: CaseIntake,
    publisher: Publisher,
    quarantine: Quarantine,
    gate: DatabaseCircuitBreaker,
) -> None:
    """The case manager's dead letters.

    Tried again a few times; then a submission is rejected, an ending kept for a person.

    A case whose ending could not be handled is ended by its deadline.
    """
    async with nack_when_unavailable(message, gate):
        redrives = int(message.headers.get(REDRIVES_ATTRIBUTE, "0"))
        if redrives < MAX_REDRIVES:
            await redrive(message.raw_body, redrives=redrives + 1)
            return
        problem = InvalidEvent(
            RejectionReason.INVALID, "the case manager could not handle it", remedy="see the case manager's log"
        )
        try:
            source, detail_type, detail = read_bus_event(message.raw_body)
            if intake.accepts(detail_type):
                await publisher.publish([await intake.reject(source, detail_type, detail, problem, code="not_handled")])
                return
        except InvalidEvent as unreadable:
            problem = unreadable
        await quarantine.keep(message.raw_body, problem)


def _stamped(event: Json, clock: Clock) -> Json:
    return stamp_event(event, occurred_at=timestamp(clock.now()), trace=telemetry.trace_context())
