"""The reconciler: compares the producers' stored events and the router's decisions with the log, and fills holes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from switchyard.audit.reconciliation.completeness import (
    DeliveryProgress,
    Gap,
    GapKind,
    PublishedEvent,
    RecordedEvent,
    classify_missing,
    find_missing_events,
)
from switchyard.audit.reconciliation.credentials import IssuedCredential, compare_credentials
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.protocol.catalogue import AUDIT, ROUTER
from switchyard.router.decisions import decide_routing
from switchyard.router.playbook import RoutingTable
from switchyard.router.state_seal import RecordedSeal
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
RECENT_WINDOW = timedelta(minutes=10)
RECENT_ROWS = 100
"""The latest rows of a producer, whose oldest shows its progress, because queues do not keep the order."""

CASES_PER_PAGE = 200
"""Cases compared at once: memory does not grow with the log."""

REPAIR_POLL_S = 0.25
CountQueuedMessages = Callable[[], Awaitable[dict[str, int]]]
"""The number of messages in each consumer's queue and dead-letter queue."""


class LogPresence:
    """Reads the log. Every method raises `Unavailable` when the database cannot be reached."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)

    async def last_index(self) -> int:
        """The last log index."""
        return int(await self._database.value("last_index"))

    async def cases(self, since: datetime | None, after_index: int, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases, in the order of their ids, with a log index after this one or else recorded since."""
        query, bound = ("cases_indexed", after_index) if after_index else ("cases_recorded", since)
        return [row["case_id"] for row in await self._database.rows(query, bound, after, limit)]

    async def recorded(self, cases: Sequence[uuid.UUID]) -> list[RecordedEvent]:
        """All events of some cases."""
        rows = await self._database.rows("events_of", list(cases))
        return [RecordedEvent(**row | {"parents": tuple(row["parents"])}) for row in map(dict, rows)]

    async def still_missing(self, events: Sequence[PublishedEvent]) -> list[PublishedEvent]:
        """The events that the log still lacks."""
        days, ids = [event.opened_on for event in events], [uuid.UUID(event.event_id) for event in events]
        there = {row["event_id"] for row in await self._database.rows("which_are_there", days, ids)}
        return [event for event in events if event.event_id not in there]

    async def delivered_until(self, now: datetime) -> dict[str, datetime]:
        """By producer, the moment after which its latest recorded events happened."""
        rows = await self._database.rows("passed", now - RECENT_WINDOW, RECENT_ROWS)
        return {row["node_from"]: row["since"] for row in rows}


@dataclass
class ReconciliationReport:
    """The result of a comparison. `last_index` is the log index up to which the log was compared."""

    cases: int = 0
    last_index: int = 0
    published: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    filled: list[Gap] = field(default_factory=list)

    def of(self, kind: GapKind) -> list[Gap]:
        """The gaps of one kind that were not filled."""
        return [gap for gap in self.gaps if gap.kind is kind and gap not in self.filled]

    @property
    def open_gaps(self) -> list[Gap]:
        """The gaps that were not filled, those on their way included."""
        return [gap for gap in self.gaps if gap not in self.filled]

    @property
    def ok(self) -> bool:
        """Whether the log has every published event, or will get it by itself."""
        return all(gap.kind is GapKind.LAG or gap in self.filled for gap in self.gaps)

    def lag(self, producer: str, now: datetime) -> timedelta:
        """The age of a producer's oldest event that is on its way."""
        late = [now - gap.since for gap in self.gaps if gap.producer == producer and gap.kind is GapKind.LAG]
        return max(late, default=timedelta(0))


class PublishedEvents(Protocol):
    """What producers published. Methods raise `Unavailable`."""

    @property
    def nodes(self) -> Sequence[str]:
        """The producers."""

    async def cases(self, node: str, since: datetime | None, after: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """The next cases, in the order of their ids, with events that a producer published (since a time)."""

    async def published(self, cases: Sequence[uuid.UUID]) -> list[PublishedEvent]:
        """All that the producers have published of some cases."""

    async def issued(self, cases: Sequence[uuid.UUID]) -> list[IssuedCredential] | None:
        """The credentials that were issued for some cases; None where none ever are."""

    async def ask(self, node: str, event_id: str) -> bool:
        """Have an event published again; whether its producer has published it before."""


@dataclass(frozen=True)
class Reconciler:
    """Compares the log with its producers."""

    producers: PublishedEvents
    presence: LogPresence
    waiting: CountQueuedMessages
    clock: Clock
    grace: timedelta
    table: RoutingTable

    async def run(
        self,
        since: datetime | None = None,
        *,
        after_index: int = 0,
        progress: Callable[[ReconciliationReport], None] | None = None,
    ) -> ReconciliationReport:
        """Compare every case, each as a whole: what producers published and what the log has. `progress` gets the
        report before it is complete, after each page of cases.

        `since` and `after_index` narrow it, to cases with events published since, or with later log indexes. A time in
        the log is its owner's to set, so that without `after_index` only a comparison of everything is complete.
        """
        found = ReconciliationReport(published=dict.fromkeys((*self.producers.nodes, ROUTER), 0))
        found.last_index = await self.presence.last_index()
        async for cases in self._pages(since, after_index):
            await self._compare(cases, found)
            if progress is not None:
                progress(found)
        return found

    async def repair(self, found: ReconciliationReport, *, wait_s: float) -> None:
        """Have every hole published again, and wait until the log has it.

        The router's decision on a lost event is unknown until the event is in the log, so the cases are compared again.
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
        wanted, rows = {gap.event_id: gap for gap in holes}, await self.presence.recorded(cases)
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
        # Before the log, so that an event that arrives in between is in both.
        stored = await self.producers.published(cases)
        rows = await self.presence.recorded(cases)
        published = [*stored, *_expected_router_events(rows, self.table)]
        # The router's decision on an event that is lost, or whose body was retired, is unknown.
        known = {row.digest for row in rows if row.node_to != ROUTER or row.body is not None}
        recorded = [row for row in rows if row.producer != ROUTER or known.issuperset(row.parents)]
        missing, gaps = find_missing_events(published, recorded)
        if any(gap.kind is GapKind.UNCLAIMED for gap in gaps):
            # An event that was published and recorded since the first read is in the second.
            _, gaps = find_missing_events([*published, *await self.producers.published(cases)], recorded)
        if missing:
            # The queues first: a message that was in none of them is in the log by now, or never will be.
            now, queues = self.clock.now(), await self.waiting()
            # The messages before a producer's events are in its own queue and in audit's.
            waiting = {node: count + queues[AUDIT] for node, count in queues.items()}
            progress = DeliveryProgress(now, await self.presence.delivered_until(now), waiting, self.grace)
            gaps += classify_missing(await self.presence.still_missing(missing), progress)
        # After the log: what is recorded was issued before.
        if (issued := await self.producers.issued(cases)) is not None:
            gaps += compare_credentials(issued, rows, settled_before=self.clock.now() - self.grace)
        found.cases += len(cases)
        found.gaps += gaps
        for event in published:
            found.published[event.producer] = found.published.get(event.producer, 0) + 1

    async def _pages(self, since: datetime | None, after_index: int) -> AsyncIterator[list[uuid.UUID]]:
        """The cases to compare, in the order of their ids, from all sources."""
        after = uuid.UUID(int=0)
        while True:
            sources = [await self.producers.cases(node, since, after, CASES_PER_PAGE) for node in self.producers.nodes]
            sources.append(await self.presence.cases(since, after_index, after, CASES_PER_PAGE))
            # A full page ends at its last id: the next round reads on.
            full = [ids[-1] for ids in sources if len(ids) == CASES_PER_PAGE]
            page = sorted({case for ids in sources for case in ids if not full or case <= min(full)})
            if not page:
                return
            yield page
            after = page[-1]


def _expected_router_events(rows: Sequence[RecordedEvent], table: RoutingTable) -> list[PublishedEvent]:
    """The events that the router must have published: it stores none, but its decisions can be repeated."""
    return [
        PublishedEvent(
            ROUTER,
            row.case_id,
            event["event_id"],
            event["digest"],
            date.fromisoformat(event["opened_on"]),
            event["type"],
            row.recorded_at,
            ask=(row.producer, row.event_id),
            cause=row.digest,
        )
        for row in rows
        if row.node_to == ROUTER and row.body is not None
        for event in decide_routing(row.body, RecordedSeal(), table).events
    ]
