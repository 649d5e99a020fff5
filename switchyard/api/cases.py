"""The cases of callers, read from the log: never another person's, unless their role says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from switchyard.api.callers import Caller
from switchyard.api.problems import InvalidRequest, NotFound
from switchyard.api.views import CaseListView, ConsentView, EventView, FeedbackView, ListedCase, RejectionView
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.events.case_manager import CaseClosed, CaseFeedback, ConsentRequested, TaskRetried
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
LIST_TIMEOUT_S = 5.0

SHOWN: Mapping[str, tuple[str, ...]] = {
    CaseClosed.__name__: ("outcome", "code", "message", "field", "remedy"),
    CaseFeedback.__name__: ("thumb", "reviewer"),
    ConsentRequested.__name__: ("grant", "audience", "until", "url"),
}
"""What callers see of an event's content, by its type. The rest is for operators and auditors."""


@dataclass(frozen=True)
class CaseEvents:
    """Events of one case in the order of the log, from some position on."""

    rows: Sequence[Any]

    @property
    def last(self) -> int | None:
        """The position of the last event."""
        return self.rows[-1]["place_in_case"] if self.rows else None

    @property
    def ending(self) -> Any:
        """The latest ending, unless the case was opened again after it; None while the case is open."""
        for row in reversed(self.rows):
            if row["terminal"]:
                return row
            if row["transition"] == TaskRetried.__name__:
                return None
        return None

    @property
    def whole(self) -> bool:
        """Whether the causes of all of them are among them: an ending may be recorded before what led to it."""
        digests = {row["transcript_hash"] for row in self.rows}
        return all(digests.issuperset(row["parents"]) for row in self.rows)

    @property
    def ended_with(self) -> Mapping[str, Any]:
        """What callers see of the latest ending."""
        payload = read_payload(self.ending)
        shown = {name: payload[name] for name in SHOWN[CaseClosed.__name__] if payload.get(name)}
        return {"outcome": self.ending["outcome"]} | shown

    @property
    def feedback(self) -> FeedbackView | None:
        """The latest feedback."""
        given = [row for row in self.rows if row["transition"] == CaseFeedback.__name__]
        payload = read_payload(given[-1]) if given else {}
        if not payload:
            return None
        at = timestamp(given[-1]["event_ts"])
        return FeedbackView(thumb=payload["thumb"], reviewer=bool(payload.get("reviewer")), at=at)

    @property
    def consent(self) -> ConsentView | None:
        """What the case waits for its user for."""
        for row in self.rows:
            if row["transition"] == ConsentRequested.__name__ and not self._answered(row):
                payload = read_payload(row)
                names = ("grant", "until", "url")
                return ConsentView.model_validate({name: payload[name] for name in names if name in payload})
        return None

    def _answered(self, request: Any) -> bool:
        return any(
            row["parents"] == request["parents"]
            for row in self.rows
            if row["node_from"] == CASE_MANAGER and row["transition"] != ConsentRequested.__name__
        )


@dataclass(frozen=True)
class CallerCases:
    """Reads the view of cases that users asked (`audit`), and who is who (`work`)."""

    audit: Database
    work: Database
    clock: Clock

    async def events(self, case_id: UUID, after: int = 0) -> CaseEvents:
        """The events of a case after a position. Who may see them is `find`'s to say. Raises `Unavailable`."""
        return CaseEvents(await self.audit.with_queries(_SQL).rows("events", case_id, after))

    async def find(self, caller: Caller, case_id: UUID) -> tuple[CaseEvents, bool]:
        """The events of a case of the caller, and whether it is their own; no events if the log has none. Raises
        `NotFound` for the case of somebody else, as for one that does not exist, and `Unavailable`."""
        # Both are asked in each case, so that the time of an answer says nothing.
        subject = await self.subject(caller)
        found = await self.events(case_id)
        if not found.rows:
            return found, False
        first = found.rows[0]
        own = subject is not None and first["subject"] == subject
        if first["tenant"] != caller.user.tenant or not (own or caller.reads_all):
            raise no_such_case()
        return found, own

    async def rejection(self, caller: Caller, case_id: UUID) -> RejectionView | None:
        """Why a submission of the caller under this id was rejected, if one was. Raises `Unavailable`."""
        row = await self.work.with_queries(_SQL).row("rejection", case_id, caller.fingerprint)
        if row is None:
            return None
        at = timestamp(row["rejected_at"])
        return RejectionView(code=row["code"], message=row["message"], field=row["field"], remedy=row["remedy"], at=at)

    async def subject(self, caller: Caller) -> str | None:
        """The caller's pseudonym; None for one who never asked, or was erased."""
        subject: str | None = await self.work.with_queries(_SQL).value(
            "subject_of", caller.user.tenant, caller.fingerprint
        )
        return subject

    async def page(self, caller: Caller, query: Mapping[str, str]) -> CaseListView:
        """A page of the caller's own cases. Raises `InvalidRequest` or `Unavailable`."""
        size, before, session = _page_size(query), _read_key(query.get("before")), _session(query)
        subject = await self.subject(caller)
        if subject is None:
            return CaseListView(cases=[])
        rows = await self.audit.with_queries(_SQL).rows(
            "page", subject, caller.user.tenant, session, *before, size + 1, timeout_s=LIST_TIMEOUT_S
        )
        link = None
        if len(rows) > size:
            last = rows[size - 1]
            key = f"{last['opened_on'].isoformat()}~{timestamp(last['opened_at'])}~{last['case_id']}"
            kept = {"session": session} if session else {}
            link = "/v1/cases?" + urlencode(kept | {"limit": str(size), "before": key})
        now = self.clock.now()
        return CaseListView(cases=[_listed(row, now) for row in rows[:size]], next=link)


def no_such_case() -> NotFound:
    """The answer for a case that is not there, or not the caller's."""
    return NotFound(
        "there is no such case of yours",
        field="case_id",
        remedy="use the case_id that POST /v1/cases returned; a new case can be read after some seconds",
    )


def read_payload(row: Any) -> Json:
    """An event's payload; empty once its body is retired."""
    found = json.loads(row["payload"]) if row["payload"] else {}
    return found if isinstance(found, dict) else {}


def event_view(row: Any) -> EventView:
    """An event as callers see it."""
    detail = None
    if (shown := SHOWN.get(row["transition"])) is not None:
        payload = read_payload(row)
        detail = {name: payload[name] for name in shown if name in payload}
    return EventView(
        position=row["place_in_case"],
        seq=row["seq"],
        event_id=row["event_id"],
        type=row["transition"],
        node_from=row["node_from"],
        node_to=row["node_to"],
        at=timestamp(row["event_ts"]),
        digest=row["transcript_hash"],
        detail=detail,
    )


def _listed(row: Any, now: datetime) -> ListedCase:
    status = "closed" if row["closed"] else "unended" if row["case_deadline"] < now else "open"
    return ListedCase(
        case_id=str(row["case_id"]),
        session_id=row["session_id"],
        status=status,
        outcome=row["outcome"] if row["closed"] else None,
        opened_at=timestamp(row["opened_at"]),
    )


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(PAGE_SIZE))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= MAX_PAGE_SIZE:
        raise InvalidRequest("not a page size", field="limit", remedy=f"write a number from 1 to {MAX_PAGE_SIZE}")
    return int(text)


def _session(query: Mapping[str, str]) -> str | None:
    session = query.get("session")
    if session is not None and (len(session) > 200 or "\0" in session):
        raise InvalidRequest(
            "no id of a session", field="session", remedy="use the session_id of a case, or leave it out"
        )
    return session


def _read_key(text: str | None) -> tuple[date, datetime, UUID] | tuple[None, None, None]:
    if not text:
        return None, None, None
    try:
        day, moment, case = text.split("~")
        return date.fromisoformat(day), datetime.fromisoformat(moment).astimezone(UTC), UUID(case)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "no position in the list", field="before", remedy="follow `next` of the page before"
        ) from None
