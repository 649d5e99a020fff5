"""Everything the router makes of a message, refusals included. Pure: the process publishes it, a replay compares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.catalogue import CASE_MANAGER, ROUTER
from contracts.events.case_manager import TaskRetried
from services.orchestrator.graph import PLAYBOOKS
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent, read_envelope, read_event
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.operators import authorise_retry
from switchyard.router.playbook import Playbook
from switchyard.router.routing import route
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.messaging.consumer import build_task_failed

_ENDS_THE_CASE = frozenset({RejectionReason.UNKNOWN, RejectionReason.INVALID, RejectionReason.TOO_LARGE})


@dataclass(frozen=True)
class RoutingDecision:
    """The events to publish, without clock and trace; none if the message goes to quarantine."""

    events: tuple[Json, ...]
    rejection: InvalidEvent | None = None


def follow_event(
    event: ReceivedEvent[Contract],
    seal: StateSeal,
    *,
    operators: OperatorKeys | None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> list[Json]:
    """What follows from an event. `operators` is None where a proved log vouches for who signed.

    Raises `InvalidEvent` as `route` does, and (forged) for a retry that no operator signed.
    """
    if operators is not None and isinstance(event.payload, TaskRetried):
        authorise_retry(operators, event.envelope, event.payload)
    return route(event, seal, playbooks)


def failure_for(body: str, rejection: InvalidEvent, seal: StateSeal) -> Json | None:
    """`TaskFailed` to close, if the event is authentic and cannot be routed; None if it cannot be trusted."""
    if rejection.reason not in _ENDS_THE_CASE:
        return None
    envelope, _ = read_envelope(body)
    if envelope.node_from != CASE_MANAGER:
        try:
            seal.verify(envelope)
        except InvalidEvent:
            return None
    error = PermanentTaskError(f"{rejection.reason}_event", rejection.message, rejection.field, rejection.remedy)
    return build_task_failed(envelope, ROUTER, error, 1)


def decide_routing(
    body: str,
    seal: StateSeal,
    *,
    operators: OperatorKeys | None = None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> RoutingDecision:
    """What the router makes of a message, as it was received or as it stands in the log."""
    try:
        received = read_event(body, node=ROUTER)
        return RoutingDecision(tuple(follow_event(received, seal, operators=operators, playbooks=playbooks)))
    except InvalidEvent as rejection:
        ending = failure_for(body, rejection, seal)
        return RoutingDecision(() if ending is None else (ending,), rejection)
