"""What the case manager does for the money ledger: ends reservations of killed agents, and reports thresholds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import structlog

from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.events.case_manager import BudgetReached
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.first_event import build_report
from switchyard.runtime.messaging.outbox import event_text
from switchyard.runtime.messaging.publisher import Publisher

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)

BUDGET_INTERVAL_S = 30.0
BATCH_SIZE = 500
THRESHOLDS = (50, 80, 100)
"""Percent of a day's limit."""

REPORTED_DAYS = 2
"""A day's last calls are closed after its end."""

KEEP_CALLS_DAYS, KEEP_CASES_DAYS, KEEP_DAYS = 7, 120, 400


@dataclass(frozen=True)
class BudgetReports:
    """The ledger's tick. Any number of case managers may run it. Days and leases are by the database's clock."""

    database: Database
    catalogue: Catalogue
    clock: Clock
    publisher: Publisher

    async def tick(self) -> int:
        """Store and publish the thresholds that were reached, each once per tenant and day; return how many. Raises
        `Unavailable`."""
        database = self.database.with_queries(_SQL)
        if lost := await database.value("lose_calls", BATCH_SIZE):
            log.warning("budget.calls_lost", count=lost)
        events = []
        for row in await database.rows("due_reports", BATCH_SIZE, REPORTED_DAYS):
            events += await self._report(database, row)
        if events:
            await self.publisher.publish(events)
        await database.execute("forget", KEEP_CALLS_DAYS, KEEP_CASES_DAYS, KEEP_DAYS)
        return len(events)

    async def _report(self, database: Database, row: Any) -> list[Json]:
        reached = [percent for percent in THRESHOLDS if row["reported"] < percent <= row["percent"]]
        events = [self._event(row, percent) for percent in reached]
        async with database.transaction() as transaction:
            if not await transaction.execute("report", row["tenant"], row["day"], row["percent"]):
                return []  # another case manager did
            for event in events:
                await transaction.execute("store_event", event_text(event))
        for percent in reached:
            log.warning("budget.reached", tenant=row["tenant"], percent=percent, stopped=row["stopped_calls"])
        return events

    def _event(self, row: Any, percent: int) -> Json:
        day = row["day"].isoformat()
        return build_report(
            self.catalogue,
            BudgetReached(
                day=day,
                percent=percent,
                limit_micros=row["limit_micros"],
                spent_micros=row["spent"],
                stopped_calls=row["stopped_calls"],
            ),
            chain=json.dumps(["budget", row["tenant"], day, percent]),
            tenant=row["tenant"],
            sub=f"service:{CASE_MANAGER}",
            now=self.clock.now(),
        )
