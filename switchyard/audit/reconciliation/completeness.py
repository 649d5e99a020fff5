"""Completeness of the log: the events that producers stored as published, compared with the log. Pure.

A missing event is late (lag) as long as it may still arrive; after that it is a hole. It may arrive while it is young,
and while a queue on its way holds messages, unless everything that audit recorded lately of its producer is later.
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
"""Audit's objective: an event that the bus accepted is in the log within this time. A redelivery takes half of it."""


class GapKind(StrEnum):
    """How the log and a producer disagree."""

    LAG = "lag"  # on its way
    HOLE = "hole"  # published and not in the log: it will not arrive by itself
    DIFFERS = "differs"  # the log has another event with this id, or another decision on the same parent
    UNCLAIMED = "unclaimed"  # in the log, and not published by the producer that it names
    UNRECORDED = "unrecorded"  # a credential was issued for a task, and the log does not say that it was used
    UNISSUED = "unissued"  # the log says that a credential was used, and none was issued so


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event that a producer stored before it published it. `ask` is the producer and the event to publish again.

    For the router, which stores nothing, that is the parent: the router makes the same event of it again.
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
    """An event of the log. `body` is read for events to the router only, whose decisions are repeated."""

    producer: str
    case_id: str
    event_id: str
    digest: str
    type: str
    recorded_at: datetime
    parents: tuple[str, ...] = ()
    node_to: str = ""
    body: str | None = None
    subject: str | None = None
    access: str | None = None
    terminal: bool = False

    @property
    def cause(self) -> str | None:
        """The digest of the event that the router decided on; None for a producer that stores what it publishes."""
        return self.parents[0] if self.producer == ROUTER and self.parents else None


@dataclass(frozen=True, slots=True)
class DeliveryProgress:
    """The state of delivery at `now`, by producer.

    `delivered_until`: all events that audit recorded lately happened after it. `waiting`: messages in the queues that
    the producer's events pass.
    """

    now: datetime
    delivered_until: Mapping[str, datetime]
    waiting: Mapping[str, int]
    grace: timedelta = DELIVERY_GRACE

    def is_lost(self, event: PublishedEvent) -> bool:
        """Whether a missing event will not arrive by itself."""
        if self.now - event.since <= self.grace:
            return False
        delivered_until = self.delivered_until.get(event.producer)
        if delivered_until is not None and event.since <= delivered_until - self.grace:
            return True
        return self.waiting.get(event.producer, 0) == 0


@dataclass(frozen=True, slots=True)
class Gap:
    """One difference. `ask` is the producer and the event to publish again; None if that is not possible."""

    kind: GapKind
    producer: str
    case_id: str
    event_id: str
    type: str
    since: datetime
    ask: tuple[str, str] | None = None


def find_missing_events(
    published: Iterable[PublishedEvent], recorded: Iterable[RecordedEvent]
) -> tuple[list[PublishedEvent], list[Gap]]:
    """The events that the log lacks, and the other differences."""
    log = {event.event_id: event for event in recorded}
    stored = {event.event_id: event for event in published}
    kept = {event.cause for event in stored.values()} - {None}
    kept -= {event.cause for event in stored.values() if event.event_id not in log}
    # An event that the router routed at the second delivery has its failure and its command in the log, which `verify`
    # and the replay accept, too.
    unclaimed = [
        event
        for event_id, event in log.items()
        if event_id not in stored and not (event.type == _FAILED and event.producer == ROUTER and event.cause in kept)
    ]
    # If the log has another decision on the same parent, today's decision is not lost: it would be a second one.
    otherwise = {event.cause for event in unclaimed if event.cause is not None}
    missing: list[PublishedEvent] = []
    gaps: list[Gap] = []
    for event in stored.values():
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


def classify_missing(missing: Iterable[PublishedEvent], progress: DeliveryProgress) -> list[Gap]:
    """A lag or a hole for each missing event."""
    return [_gap(GapKind.HOLE if progress.is_lost(event) else GapKind.LAG, event) for event in missing]


def _gap(kind: GapKind, event: PublishedEvent) -> Gap:
    ask = event.ask if kind is GapKind.HOLE else None
    return Gap(kind, event.producer, event.case_id, event.event_id, event.type, event.since, ask)
