"""Playbook halts: the events that report what operators halted and resumed, and the release of parked cases."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from switchyard.case_manager.first_event import build_report
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.events.case_manager import PlaybookHalted, PlaybookResumed
from switchyard.protocol.fields import Json
from switchyard.runtime.core.periodic import SetAside
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.messaging.outbox import event_text

_SQL = load_queries(__file__)
BATCH_SIZE = 100
EVERY_TENANT = "every-tenant"
"""`tenant` of an event about a playbook, which belongs to no tenant."""

_PAYLOADS = {"halted": PlaybookHalted, "resumed": PlaybookResumed}


@dataclass(frozen=True)
class PlaybookHalts:
    """What operators halt and resume, as the case manager acts on it."""

    database: Database
    catalogue: Catalogue
    aside: SetAside = field(default_factory=lambda: SetAside("control_change"))

    async def report_changes(self) -> list[Json]:
        """Store the events that report what operators did since the last call, and return them."""
        database = self.database.with_queries(_SQL)
        events = []
        for row in await database.rows("changes", BATCH_SIZE, self.aside.names()):
            with self.aside.guard(str(row["change_id"])):
                event = self._build_event(row)
                if await database.execute("store_event", row["change_id"], event_text(event)):
                    events.append(event)
        return events

    async def release_parked(self) -> list[Json]:
        """The first events of cases that were parked and whose playbook runs again."""
        rows = await self.database.with_queries(_SQL).rows("release_parked", BATCH_SIZE)
        return [json.loads(row["event"]) for row in rows]

    def _build_event(self, row: Any) -> Json:
        return build_report(
            self.catalogue,
            _PAYLOADS[row["kind"]](playbook=row["key"], operator=row["by"], why=row["why"]),
            chain=f"control_change/{row['change_id']}",
            tenant=EVERY_TENANT,
            sub=f"operator:{row['by']}",
            now=row["at"],
        )
