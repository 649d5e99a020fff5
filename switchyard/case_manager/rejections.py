"""Why a submission is not taken, and the hourly reports of how many were not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from switchyard.case_manager.store import CaseStore
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import RejectionsCounted
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.messaging.first_event import build_report
from switchyard.runtime.messaging.publisher import Publisher

REPORT_INTERVAL_S = 30.0
_HOUR = timedelta(hours=1)
_SETTLED = timedelta(minutes=1)
"""A rejection that is being stored while its hour ends still counts."""


class SubmissionInvalid(InvalidEvent):
    """The submission becomes a `SubmissionRejected` with this code, and no case."""

    def __init__(self, code: str, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(RejectionReason.INVALID, message, field=field, remedy=remedy)
        self.code = code


class PrincipalInvalid(SubmissionInvalid):
    """The submission does not prove who asks. The remedy says what to correct."""


class PrincipalExpired(PrincipalInvalid):
    """The proof is too old, or a clock is wrong: no integrity alarm."""


@dataclass(frozen=True)
class RejectionReports:
    """Reports each hour in which more was rejected than has an event, and forgets hours after `keep`."""

    store: CaseStore
    catalogue: Catalogue
    clock: Clock
    publisher: Publisher
    keep: timedelta

    async def tick(self) -> int:
        """Store and publish the reports that are due; return how many. Raises `Unavailable`."""
        now, events = self.clock.now(), []
        for row in await self.store.unreported_rejections(now - _HOUR - _SETTLED):
            names = ("source", "tenant", "code", "hour")
            payload = RejectionsCounted(
                submitted_by=row["source"],
                code=row["code"],
                count=row["count"],
                events=row["events"],
                **{name: timestamp(row[name]) for name in ("hour", "first_at", "last_at")},
            )
            event = build_report(
                self.catalogue,
                payload,
                chain=json.dumps(["rejections", *(str(row[name]) for name in names)]),
                tenant=row["tenant"],
                sub=f"service:{row['source']}",
                now=now,
            )
            if await self.store.report_rejections(row, event):
                events.append(event)
        if events:
            await self.publisher.publish(events)
        await self.store.forget_rejections(now - self.keep)
        return len(events)
