"""What the router and the desk do with a message. Neither needs an inbox: one is pure, the other's tables are one."""

from __future__ import annotations

from typing import cast

import structlog

from contracts.catalogue import DESK, ROUTER
from contracts.events.router import AskApproval, Wait
from contracts.events.upstream import ContactRefused
from faststream_sqs import SQSMessage
from switchyard.case_manager.approvals import Approvals
from switchyard.case_manager.control import Control
from switchyard.case_manager.intake import SUBMISSIONS, Intake
from switchyard.case_manager.lifecycle import Closing
from switchyard.case_manager.pending_commands import Holding
from switchyard.protocol.derive import stamp
from switchyard.protocol.errors import InvalidEvent, Refusal
from switchyard.protocol.fields import Json
from switchyard.protocol.received import Received, read_bus_event, receive
from switchyard.protocol.signing import Operators
from switchyard.router.decisions import ending_for, follow
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.logs import about
from switchyard.runtime.database.circuit_breaker import DatabaseGate, deferring
from switchyard.runtime.messaging.dead_letters import MAX_REDRIVES, REDRIVES, Redriver
from switchyard.runtime.messaging.publisher import Publisher
from switchyard.runtime.messaging.quarantine import Quarantine
from switchyard.runtime.messaging.rollout import Rollout

log = structlog.get_logger(__name__)


async def route_event(
    message: SQSMessage,
    *,
    seal: StateSeal,
    operators: Operators,
    publisher: Publisher,
    quarantine: Quarantine,
    clock: Clock,
    rollout: Rollout | None = None,
) -> None:
    """Publish what follows from an event. A redelivery publishes the same events again, and downstream drops them.

    The router's dead letters come here, too: routing again is all there is to try, and it says best why it fails.
    They wait for no release, so they have no `rollout`.
    """
    async with deferring(message, None):
        try:
            received = receive(message.raw_body, node=ROUTER)
            with about(received.envelope), telemetry.handling(ROUTER, received.envelope):
                events = [_stamped(event, clock) for event in follow(received, seal, operators=operators)]
                await publisher.publish(events)
                log.info("event.routed", to=[event["node_to"] for event in events])
        except InvalidEvent as refusal:
            if rollout is not None and await rollout.postponed(message, refusal):
                return
            ending = ending_for(message.raw_body, refusal, seal)
            if ending is None:
                await quarantine.keep(message.raw_body, refusal)
            else:
                await publisher.publish([_stamped(ending, clock)])


async def keep_desk(
    message: SQSMessage,
    *,
    intake: Intake,
    closing: Closing,
    holding: Holding,
    approvals: Approvals,
    control: Control,
    publisher: Publisher,
    quarantine: Quarantine,
    gate: DatabaseGate,
    rollout: Rollout | None = None,
) -> None:
    """Open a case for a submission, let one wait, or close it."""
    async with deferring(message, gate):
        try:
            source, detail_type, detail = read_bus_event(message.raw_body)
            if detail_type in SUBMISSIONS:
                taken = await intake.open_case(source, detail, detail_type)
                # The stored event has no trace: a repeated submission publishes it again under its own.
                events = [event | {"trace": telemetry.carrier()} for event in taken]
                await publisher.publish(events)
                for event in events:
                    log.info("submission.taken", type=event["type"], case_id=event["case_id"])
                return
            if detail_type == ContactRefused.__name__:
                stopped = await control.stop_contact(source, detail)
                await publisher.publish([stopped])
                await control.noticed([stopped["event_id"]])
                log.info("contact.stopped", reason=stopped["payload"]["reason"])
                return
            received = receive(message.raw_body, node=DESK)
            with about(received.envelope), telemetry.handling(DESK, received.envelope):
                if isinstance(received.payload, AskApproval):
                    await approvals.ask(cast("Received[AskApproval]", received))
                    log.info("approval.asked", reason=received.payload.approval)
                    return
                if isinstance(received.payload, Wait):
                    await holding.wait(cast("Received[Wait]", received))
                    log.info("case.waits", until=received.payload.until, halted=received.payload.halted)
                    return
                closed = await closing.close_case(received)
                await publisher.publish([closed])
                await closing.forget(received.envelope.case_id)
                log.info("case.closed", outcome=closed["payload"]["outcome"])
        except InvalidEvent as refusal:
            if rollout is not None and await rollout.postponed(message, refusal):
                return
            # Only the router speaks to close; what it says is either well formed or not the router's.
            await quarantine.keep(message.raw_body, refusal)


async def redrive_desk(
    message: SQSMessage,
    *,
    redrive: Redriver,
    intake: Intake,
    publisher: Publisher,
    quarantine: Quarantine,
    gate: DatabaseGate,
) -> None:
    """The desk's dead letters: tried again a few times; then a submission is rejected, an ending kept for a person.

    A case whose ending could not be handled is ended by its deadline.
    """
    async with deferring(message, gate):
        redrives = int(message.headers.get(REDRIVES, "0"))
        if redrives < MAX_REDRIVES:
            await redrive(message.raw_body, redrives=redrives + 1)
            return
        problem = InvalidEvent(Refusal.INVALID, "the desk could not handle it", remedy="see the desk's log")
        try:
            source, detail_type, detail = read_bus_event(message.raw_body)
            if detail_type in SUBMISSIONS:
                await publisher.publish([await intake.reject(source, detail_type, detail, problem, code="not_handled")])
                return
        except InvalidEvent as unreadable:
            problem = unreadable
        await quarantine.keep(message.raw_body, problem)


def _stamped(event: Json, clock: Clock) -> Json:
    return stamp(event, occurred_at=timestamp(clock.now()), trace=telemetry.carrier())
