"""What the router does with a message. It needs no inbox: what follows from an event is computed, not stored."""

from __future__ import annotations

import structlog

from faststream_sqs import SQSMessage
from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Json
from switchyard.protocol.received import read_event
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.decisions import failure_for, follow_event
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core import telemetry
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.logs import log_context
from switchyard.runtime.database.circuit_breaker import nack_when_unavailable
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

    Dead letters are routed again, too; the second failure logs the cause. They wait for no release, so they have no
    `rollout`.
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


def _stamped(event: Json, clock: Clock) -> Json:
    return stamp_event(event, occurred_at=timestamp(clock.now()), trace=telemetry.trace_context())
