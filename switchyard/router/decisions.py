"""Everything the router makes of a message, refusals included. Pure: the process publishes it, a replay compares it."""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from switchyard.protocol.derive import build_task_failed
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent, attach_envelope, read_event
from switchyard.protocol.signing import OperatorKeys
from switchyard.protocol.statements import retry_statement
from switchyard.router.branches import fail_branch
from switchyard.router.playbook import RoutingTable
from switchyard.router.routing import route
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.errors import PermanentTaskError

_ENDS_THE_CASE = frozenset({RejectionReason.UNKNOWN, RejectionReason.INVALID, RejectionReason.TOO_LARGE})


@dataclass(frozen=True)
class RoutingDecision:
    """The events to publish, without clock and trace; none if the message goes to quarantine."""

    events: tuple[Json, ...]
    rejection: InvalidEvent | None = None


def authorise_retry(operators: OperatorKeys, event: Envelope, retried: TaskRetried) -> None:
    """Raise `InvalidEvent` (forged) unless an operator signed this very retry."""
    statement = retry_statement(
        case_id=event.case_id,
        failed=event.parents[0] if len(event.parents) == 1 else "",
        command=str(retried.command.get("digest")),
        closed=retried.closed,
        operator=retried.operator,
        reason=retried.reason,
        requested_at=retried.requested_at,
    )
    operators.verify(retried.operator, statement, retried.signature)


def follow_event(
    event: ReceivedEvent[Contract], seal: StateSeal, table: RoutingTable, *, operators: OperatorKeys | None
) -> list[Json]:
    """What follows from an event. Without `operators`, a proved log vouches for who signed. Raises `InvalidEvent` as
    `route` does, and (forged) for a retry that no operator signed."""
    with attach_envelope(event.envelope):
        if operators is not None and isinstance(event.payload, TaskRetried):
            authorise_retry(operators, event.envelope, event.payload)
        return route(event, seal, table)


def failure_for(rejection: InvalidEvent, seal: StateSeal, table: RoutingTable) -> Json | None:
    """What ends an authentic event that cannot be routed: its branch as failed, or else its case by `TaskFailed` to
    close. None if it cannot be trusted."""
    envelope = rejection.envelope
    if rejection.reason not in _ENDS_THE_CASE or envelope is None:
        return None
    if envelope.branch is not None or envelope.node_from != CASE_MANAGER:
        try:
            seal.verify(envelope)
        except InvalidEvent:
            return None
    if envelope.branch is not None:
        return fail_branch(table.catalogue, envelope, rejection)
    error = PermanentTaskError(f"{rejection.reason}_event", rejection.message, rejection.field, rejection.remedy)
    return build_task_failed(table.catalogue, envelope, ROUTER, error, 1)


def decide_routing(
    body: str, seal: StateSeal, table: RoutingTable, *, operators: OperatorKeys | None = None
) -> RoutingDecision:
    """What the router makes of a message, as it was received or recorded."""
    try:
        received = read_event(table.catalogue, body, node=ROUTER)
        return RoutingDecision(tuple(follow_event(received, seal, table, operators=operators)))
    except InvalidEvent as rejection:
        ending = failure_for(rejection, seal, table)
        return RoutingDecision(() if ending is None else (ending,), rejection)
