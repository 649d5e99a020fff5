"""Is the log complete? What producers stored as published, compared with what the log holds. Pure.

An event that the log misses is late until it cannot come by itself any more; then it is a hole. It may still come while
it is young, and while a queue that it has to pass holds messages, unless all that audit has recorded lately of the same
producer is later: a producer that is behind is behind with what follows, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from switchyard.protocol.catalogue import ROUTER
from switchyard.protocol.events.failures import TaskFailed

_FAILED = TaskFailed.__name__

DELIVERY_GRACE = timedelta(seconds=60)
"""Audit's objective: what the bus accepted is in the log within this time. A redelivery takes half of it."""


class GapKind(StrEnum):
    """How the log and a producer disagree."""

    LAG = "lag"  # on its way
    HOLE = "hole"  # published, and not in the log: it will not come by itself
    DIFFERS = "differs"  # the log has another event under this id, or another decision on the same cause
    UNCLAIMED = "unclaimed"  # in the log, and no outcome of the producer that it names


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event that a producer stored before it published it. `ask` names who can publish it again, and which event.

    For the router, which stores nothing, it is the event that caused this one: routed again, it comes to the same.
    """

    producer: str
    case_id: str
    event_id: str
    digest: str
    opened_on: date
    type: str
    since: datetime
    ask: tuple[str, str]
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of the log. `cause` is the digest of the event that led to it, where the producer stores nothing."""

    producer: str
    case_id: str
    event_id: str
    digest: str
    type: str
    recorded_at: datetime
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryProgress:
    """Where delivery stands at `now`. `passed`: all that audit recorded lately of a producer happened after this.

    `waiting` counts the messages in the queues on the way of a producer's events.
    """

    now: datetime
    delivered_until: Mapping[str, datetime]
    waiting: Mapping[str, int]
    grace: timedelta = DELIVERY_GRACE

    def is_lost(self, event: PublishedEvent) -> bool:
        """Whether an event that is not in the log will not come by itself."""
        if self.now - event.since <= self.grace:
            return False
        delivered_until = self.delivered_until.get(event.producer)
        if delivered_until is not None and event.since <= delivered_until - self.grace:
            return True
        return self.waiting.get(event.producer, 0) == 0


@dataclass(frozen=True, slots=True)
class Gap:
    """One disagreement. `ask` is who can publish what again; None where nobody can."""

    kind: GapKind
    producer: str
    case_id: str
    event_id: str
    type: str
    since: datetime
    ask: tuple[str, str] | None = None


def find_missing_events(
    published: Iterable[PublishedEvent], recorded_event: Iterable[RecordedEvent]
) -> tuple[list[PublishedEvent], list[Gap]]:
    """What is missing from the log, and what is in it otherwise than its producer says."""
    log = {event.event_id: event for event in recorded_event}
    said = {event.event_id: event for event in published}
    kept = {event.cause for event in said.values()} - {None}
    kept -= {event.cause for event in said.values() if event.event_id not in log}
    # An event that the router once could not route, and routed when it came again, is both in the log: `verify` and the
    # replay accept its failure beside what it was routed to, and so does this.
    unclaimed = [
        event
        for event_id, event in log.items()
        if event_id not in said and not (event.type == _FAILED and event.producer == ROUTER and event.cause in kept)
    ]
    # Where the log has another decision on the same cause, today's is none that was lost: publishing it now would be a
    # second one.
    otherwise = {event.cause for event in unclaimed if event.cause is not None}
    missing: list[PublishedEvent] = []
    gaps: list[Gap] = []
    for event in said.values():
        found = log.get(event.event_id)
        if (found is None and event.cause in otherwise) or (found is not None and found.digest != event.digest):
            gaps.append(_gap(GapKind.DIFFERS, event))
        elif found is None:
            missing.append(event)
    gaps += [
        Gap(GapKind.UNCLAIMED, event.producer, event.case_id, event.event_id, event.type, event.recorded_at)
        for event in unclaimed
    ]
    return missing, gaps


def classify_missing(missing: Iterable[PublishedEvent], passage: DeliveryProgress) -> list[Gap]:
    """Late or lost, for each event that the log misses."""
    return [_gap(GapKind.HOLE if passage.is_lost(event) else GapKind.LAG, event) for event in missing]


def _gap(kind: GapKind, event: PublishedEvent) -> Gap:
    ask = event.ask if kind is GapKind.HOLE else None
    return Gap(kind, event.producer, event.case_id, event.event_id, event.type, event.since, ask)
