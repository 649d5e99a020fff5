"""Everything the router makes of a message, refusals included. Pure: the process publishes it, a replay compares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.catalogue import DESK, ROUTER
from contracts.events.case_manager import TaskRetried
from services.orchestrator.graph import PLAYBOOKS
from switchyard.protocol.errors import InvalidEvent, Refusal
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import Received, read_envelope, receive
from switchyard.protocol.signing import Operators
from switchyard.router.operators import authorise
from switchyard.router.playbook import Playbook
from switchyard.router.routing import route
from switchyard.router.state_seal import StateSeal
from switchyard.runtime.core.errors import Rejected
from switchyard.runtime.messaging.consumer import task_failed

_ENDS_THE_CASE = frozenset({Refusal.UNKNOWN, Refusal.INVALID, Refusal.TOO_LARGE})


@dataclass(frozen=True)
class Decision:
    """The events to publish, without clock and trace; none if the message goes to quarantine."""

    events: tuple[Json, ...]
    refusal: InvalidEvent | None = None


def follow(
    event: Received[Contract],
    seal: StateSeal,
    *,
    operators: Operators | None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> list[Json]:
    """What follows from an event. `operators` is None where a proved log vouches for who signed.

    Raises `InvalidEvent` as `route` does, and (forged) for a retry that no operator signed.
    """
    if operators is not None and isinstance(event.payload, TaskRetried):
        authorise(operators, event.envelope, event.payload)
    return route(event, seal, playbooks)


def ending_for(body: str, refusal: InvalidEvent, seal: StateSeal) -> Json | None:
    """`TaskFailed` to close, if the event is authentic and cannot be routed; None if it cannot be trusted."""
    if refusal.refusal not in _ENDS_THE_CASE:
        return None
    envelope, _ = read_envelope(body)
    if envelope.node_from != DESK:
        try:
            seal.verify(envelope)
        except InvalidEvent:
            return None
    error = Rejected(f"{refusal.refusal}_event", refusal.message, refusal.field, refusal.remedy)
    return task_failed(envelope, ROUTER, error, 1)


def decide(
    body: str,
    seal: StateSeal,
    *,
    operators: Operators | None = None,
    playbooks: Mapping[str, Playbook] = PLAYBOOKS,
) -> Decision:
    """What the router makes of a message, as it was received or as it stands in the log."""
    try:
        received = receive(body, node=ROUTER)
        return Decision(tuple(follow(received, seal, operators=operators, playbooks=playbooks)))
    except InvalidEvent as refusal:
        ending = ending_for(body, refusal, seal)
        return Decision(() if ending is None else (ending,), refusal)
