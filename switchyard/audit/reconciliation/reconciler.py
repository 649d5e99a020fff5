"""Reconciling, composed: the producers' tables, the log, the queues between them, and the router's own decisions."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from switchyard.audit.reconciliation.completeness import (
    DeliveryProgress,
    Gap,
    GapKind,
    PublishedEvent,
    classify_missing,
    find_missing_events,
)
from switchyard.audit.reconciliation.presence import LogPresence, PresenceRow
from switchyard.audit.reconciliation.producers import Producers
from switchyard.protocol.catalogue import AUDIT, ROUTER
from switchyard.router.decisions import decide_routing
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import RecordedSeal
from switchyard.runtime.core.clock import Clock

CASES_PER_PAGE = 200
"""Cases compared at once: what is in memory does not grow with the log."""

REPAIR_POLL_S = 0.25
CountQueuedMessages = Callable[[], Awaitable[dict[str, int]]]
"""How many messages each consumer's queue and dead-letter queue hold."""


@dataclass
class ReconciliationReport:
    """What a comparison found, by producer."""

    cases: int = 0
    published: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    filled: list[Gap] = field(default_factory=list)

    def of(self, kind: GapKind) -> list[Gap]:
        """The gaps of one kind that stand."""
        return [gap for gap in self.gaps if gap.kind is kind and gap not in self.filled]

    @property
    def ok(self) -> bool:
        """Whether the log holds what was published, or will by itself."""
        return all(gap.kind is GapKind.LAG or gap in self.filled for gap in self.gaps)

    def lag(self, producer: str, now: datetime) -> timedelta:
        """How long the oldest event that is on its way has been so."""
        late = [now - gap.since for gap in self.gaps if gap.producer == producer and gap.kind is GapKind.LAG]
        return max(late, default=timedelta(0))


@dataclass(frozen=True)
class Reconciler:
    """What reconciling depends on."""

    producers: Producers
    presence: LogPresence
    waiting: CountQueuedMessages
    clock: Clock
    grace: timedelta
    table: RoutingTable

    async def run(self, since: datetime) -> ReconciliationReport:
        """Compare every case of which something was published or recorded since, each as a whole."""
        found = ReconciliationReport(published=dict.fromkeys((*self.producers.nodes, ROUTER), 0))
        async for cases in self._pages(since):
            await self._compare(cases, found)
        return found

    async def repair(self, found: ReconciliationReport, *, wait_s: float) -> None:
        """Have every hole published again by who can, and wait until the log has it.

        What the router made of a lost event cannot be known before that is back, so the cases are compared again then.
        """
        deadline = time.monotonic() + wait_s
        while (holes := found.of(GapKind.HOLE)) and time.monotonic() < deadline:
            for ask in {gap.ask for gap in holes if gap.ask is not None}:
                await self.producers.ask(*ask)
            cases = sorted({uuid.UUID(gap.case_id) for gap in holes})
            await self._wait_until_filled(found, holes, cases, deadline)
            known = {gap.event_id for gap in found.gaps}
            again = ReconciliationReport()
            await self._compare(cases, again)
            found.gaps += [gap for gap in again.of(GapKind.HOLE) if gap.event_id not in known]

    async def _wait_until_filled(
        self, found: ReconciliationReport, holes: Sequence[Gap], cases: Sequence[uuid.UUID], deadline: float
    ) -> None:
        wanted, rows = {gap.event_id: gap for gap in holes}, await self.presence.rows(cases)
        missing = {
            event.event_id: event
            for event in (*await self.producers.published(cases), *_expected_router_events(rows, self.table))
        }
        while wanted and time.monotonic() < deadline:
            await asyncio.sleep(REPAIR_POLL_S)
            asked = [missing[each] for each in wanted if each in missing]
            left = {event.event_id for event in await self.presence.still_missing(asked)}
            for event_id in {event.event_id for event in asked} - left:
                found.filled.append(wanted.pop(event_id))

    async def _compare(self, cases: Sequence[uuid.UUID], found: ReconciliationReport) -> None:
        stored = await self.producers.published(cases)  # before the log: what comes in between is in both
        rows = await self.presence.rows(cases)
        published = [*stored, *_expected_router_events(rows, self.table)]
        # What the router made of an event that is lost, or whose body was retired, cannot be known.
        known = {row.recorded_event.digest for row in rows if row.node_to != ROUTER or row.body is not None}
        recorded_event = [
            row.recorded_event for row in rows if row.recorded_event.producer != ROUTER or known.issuperset(row.parents)
        ]
        missing, gaps = find_missing_events(published, recorded_event)
        if any(gap.kind is GapKind.UNCLAIMED for gap in gaps):
            # What was stored, published and recorded since the first look is claimed at the second.
            _, gaps = find_missing_events([*published, *await self.producers.published(cases)], recorded_event)
        if missing:
            # The queues first: what they held then, and what was in none, the log has or never will.
            now, queues = self.clock.now(), await self.waiting()
            passage = DeliveryProgress(
                now, await self.presence.delivered_until(now), _count_in_flight(queues), self.grace
            )
            gaps += classify_missing(await self.presence.still_missing(missing), passage)
        found.cases += len(cases)
        found.gaps += gaps
        for event in published:
            found.published[event.producer] = found.published.get(event.producer, 0) + 1

    async def _pages(self, since: datetime) -> AsyncIterator[list[uuid.UUID]]:
        """The cases to compare, in the order of their ids, from every source at once."""
        after = uuid.UUID(int=0)
        while True:
            sources = [await self.producers.cases(node, since, after, CASES_PER_PAGE) for node in self.producers.nodes]
            sources.append(await self.presence.cases(since, after, CASES_PER_PAGE))
            # Beyond the end of a full page there may be more of that source: the next round has it.
            full = [ids[-1] for ids in sources if len(ids) == CASES_PER_PAGE]
            page = sorted({case for ids in sources for case in ids if not full or case <= min(full)})
            if not page:
                return
            yield page
            after = page[-1]


def _expected_router_events(rows: Sequence[PresenceRow], table: RoutingTable) -> list[PublishedEvent]:
    """What the router must have published because of events of the log: it keeps nothing, but it decides the same."""
    return [
        PublishedEvent(
            ROUTER,
            row.recorded_event.case_id,
            event["event_id"],
            event["digest"],
            date.fromisoformat(event["opened_on"]),
            event["type"],
            row.recorded_event.recorded_at,
            ask=(row.recorded_event.producer, row.recorded_event.event_id),
            cause=row.recorded_event.digest,
        )
        for row in rows
        if row.node_to == ROUTER and row.body is not None
        for event in decide_routing(row.body, RecordedSeal(), table).events
    ]


def _count_in_flight(queues: dict[str, int]) -> dict[str, int]:
    """The messages that a producer's events, or the redelivery that publishes them, may be behind."""
    return {node: count + queues[AUDIT] for node, count in queues.items()}
