"""Authentic events of one case, as the services would write them, and the bodies in which they arrive."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.events.case_manager import CaseOpened
from contracts.events.router import AnswerQuestion
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import SOURCE_PREFIX, Envelope, add_digest
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef, TaskBudget
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.session_scope import SessionScope
from tests.integration.known_cases import known_cases
from tests.reference import derive_event

NODE = "text_to_sql"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MARKER = "Zanzibar-4711"
"""Part of every question, state and finding of these tests: it must not appear where payload text may not."""


def fresh_id() -> str:
    """An id that no other test uses."""
    return str(uuid.uuid4())


def envelope_of(event: Json) -> Envelope:
    """An event's envelope, as a consumer reads it."""
    return Envelope.model_validate_json(json.dumps(event))


def scope_of(event: Json) -> SessionScope:
    """What a handler of this event sees."""
    return SessionScope.of(envelope_of(event))


def question(text: str = f"How deep is {MARKER}?") -> tuple[Artefact, StorageRef]:
    """An artefact without a subject, inline."""
    data = text.encode()
    sha256 = hashlib.sha256(data).hexdigest()
    artefact = Artefact(name="question", sha256=sha256, size=len(data), media_type="text/plain")
    return artefact, StorageRef(inline=base64.b64encode(data).decode())


def opened(
    case_id: str | None = None,
    *,
    subject: str | None = None,
    known: bool = True,
    **fields: Any,
) -> Json:
    """The first event of a case of its own; the case manager knows it unless it is not `known`."""
    case_id = case_id or fresh_id()
    asked, place = question()
    principal: Json = {"sub": "service:upstream.tests", "tenant": "acme", "scopes": [], "act": []}
    opening = add_digest(
        {
            "event_id": str(uuid.uuid5(uuid.UUID(case_id), "CaseOpened")),
            "type": "CaseOpened",
            "version": 1,
            "tenant": "acme",
            "case_id": case_id,
            "session_id": f"session-{case_id}",
            "opened_on": NOW.date().isoformat(),
            "playbook_version": "assist/1",
            "seq": 0,
            "ordinal": 0,
            "siblings": 1,
            "node_from": "case_manager",
            "node_to": "router",
            "parents": [],
            "occurred_at": timestamp(NOW),
            "trace": {},
            "case_deadline": timestamp(NOW + timedelta(minutes=15)),
            "budget": {"attempts": 3, "tokens": 0},
            "principal": principal | ({"subject": subject} if subject else {}),
            "payload": CaseOpened(
                playbook="assist", question=asked, agent=NODE, submitted_by="upstream.tests"
            ).model_dump(mode="json", exclude_none=True),
            "storage_refs": {asked.sha256: place.model_dump(exclude_none=True)},
        }
        | {name: value for name, value in fields.items() if value is not None}
    )
    if known and (cases := known_cases()) is not None:
        cases.add_case(opening)
    return opening


def command(
    case_id: str | None = None,
    *,
    payload: Contract | None = None,
    node: str = NODE,
    attempts: int = 3,
    time_limit_ms: int | None = None,
    note: str = MARKER,
    subject: str | None = None,
    known: bool = True,
    case_deadline: str | None = None,
    opening: Json | None = None,
) -> Json:
    """A command that the router gives to `node`. `note` is part of its state, and so of its digest."""
    asked, place = question()
    event = derive_event(
        envelope_of(opening or opened(case_id, subject=subject, known=known, case_deadline=case_deadline)),
        payload or AnswerQuestion(question=asked),
        node_from="router",
        node_to=node,
        state={"step": "specialist", "node": node, "note": note},
        state_seal="local.1.0123456789abcdef",
        storage_refs={asked.sha256: place},
        time_limit_ms=time_limit_ms,
        budget=TaskBudget(attempts=attempts),
    )
    return stamp_event(event, occurred_at=timestamp(NOW), trace={})


def rewritten(event: Json, **changes: Any) -> Json:
    """The event with other fields and the digest that belongs to them: authentic, with any content."""
    changed = {name: value for name, value in (event | changes).items() if name != "digest"}
    return changed | {"digest": event_digest(changed)}


def bus_body(event: Json, *, source: str | None = None, detail_type: str | None = None) -> str:
    """The SQS body that EventBridge makes of an event."""
    return json.dumps(
        {
            "version": "0",
            "id": fresh_id(),
            "detail-type": detail_type or event["type"],
            "source": source or SOURCE_PREFIX + event["node_from"],
            "account": "000000000000",
            "time": "2026-07-01T12:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail": event,
        }
    )
