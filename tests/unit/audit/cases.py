"""Cases to record and to tamper with: made by the contracts' own functions, as the services make them."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen
from switchyard.audit.records.stored_row import StoredRow
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.envelope import SOURCE_PREFIX, Envelope, add_digest, event_id_for
from switchyard.protocol.events.case_manager import CaseClosed, ConsentGranted, ConsentRequested
from switchyard.protocol.events.failures import ReauthNeeded, TaskFailed
from switchyard.protocol.events.router import AskConsent, CloseCase
from switchyard.protocol.fields import Artefact, Contract, Json, ModelCall, StorageRef
from tests.reference import derive_event, examine_message

NOW = datetime.now(UTC).replace(microsecond=0)
OPENED = NOW - timedelta(minutes=10)
QUESTION, FINDINGS, ANSWER = (
    Artefact(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), size=len(name), media_type="text/plain")
    for name in ("question", "findings", "answer")
)
CALL = ModelCall(
    vendor="bedrock",
    model_id="claude-test",
    role="primary",
    reason="primary",
    latency_ms=812,
    prompt_version="p7",
    decision={"window": 20},
)


def first(
    number: int = 0,
    *,
    opened: datetime = OPENED,
    tenant: str = "acme",
    session_id: str = "s-1",
    deadline: timedelta = timedelta(minutes=15),
    text: str = "",
) -> Json:
    """The first event of case `number`. `text` makes it larger, outside what is digested."""
    case_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"case/{number}"))
    payload = CaseOpened(playbook="assist", question=QUESTION, submitted_by="upstream.test")
    place = StorageRef(inline=text or base64.b64encode(b"question").decode()).model_dump(exclude_none=True)
    return add_digest(
        {
            "event_id": str(uuid.uuid5(uuid.UUID(case_id), "CaseOpened")),
            "type": "CaseOpened",
            "version": 1,
            "tenant": tenant,
            "case_id": case_id,
            "session_id": session_id,
            "opened_on": opened.date().isoformat(),
            "playbook_version": "assist/1",
            "seq": 0,
            "ordinal": 0,
            "siblings": 1,
            "node_from": "case_manager",
            "node_to": "router",
            "parents": [],
            "occurred_at": moment(opened),
            "trace": {},
            "case_deadline": moment(opened + deadline),
            "budget": {"attempts": 3, "tokens": 0},
            "principal": {"sub": "service:upstream.test", "tenant": tenant, "subject": str(uuid.UUID(int=number))},
            "payload": payload.model_dump(mode="json", exclude_none=True),
            "storage_refs": {QUESTION.sha256: place},
        }
    )


def follow(cause: Json, payload: Contract, node_from: str, *, after_ms: int = 250, **more: Any) -> Json:
    """The event that `node_from` emits because of `cause`, `after_ms` later."""
    envelope = Envelope.model_validate_json(json.dumps(cause))
    at = datetime.fromisoformat(envelope.occurred_at) + timedelta(milliseconds=after_ms)
    return stamp_event(derive_event(envelope, payload, node_from=node_from, **more), occurred_at=moment(at), trace={})


def answered(number: int = 0, **more: Any) -> list[Json]:
    """A case from its submission to its answer: nine transitions."""
    events = [first(number, **more)]

    def then(payload: Contract, node_from: str, **fields: Any) -> None:
        events.append(follow(events[-1], payload, node_from, **fields))

    for_triage, for_sql, for_drafter = ({"step": step} for step in ("triage", "specialist", "drafter"))
    then(ChooseAgent(question=QUESTION), "router", state=for_triage, time_limit_ms=30_000)
    then(AgentChosen(agent="text_to_sql"), "triage", state=for_triage, model_call=CALL)
    then(AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql", state=for_sql, time_limit_ms=60_000)
    then(FindingsReady(findings=(FINDINGS,), rows=3), "text_to_sql", state=for_sql)
    then(DraftAnswer(question=QUESTION, findings=(FINDINGS,)), "router", state=for_drafter, time_limit_ms=60_000)
    then(AnswerDrafted(answer=ANSWER, cites=("F1",)), "drafter", state=for_drafter, model_call=CALL, rubric_score=8_750)
    then(CloseCase(outcome="answered", code="answered", answer=ANSWER), "router")
    then(CaseClosed(outcome="answered", code="answered", answer=ANSWER), "case_manager")
    return events


def forked() -> list[Json]:
    """A case whose router asks two questions at once and gets no further."""
    opened = first()
    asks = [
        follow(opened, AnswerQuestion(question=QUESTION), "router", node_to="text_to_sql", ordinal=ordinal, siblings=2)
        for ordinal in (0, 1)
    ]
    return [opened, *asks]


def consented() -> list[Json]:
    """A case whose agent needs its user, who is asked for consent, gives it, and gets no further."""
    events = answered()[:4]
    needed = ReauthNeeded(audience="https://warehouse.example")
    events.append(follow(events[-1], needed, "text_to_sql", state={"step": "specialist"}))
    asked = AskConsent(audience="https://warehouse.example")
    command = follow(events[-1], asked, "router", state={"step": "consent"}, time_limit_ms=60_000)
    grant = str(uuid.UUID(int=9))
    notice = ConsentRequested(grant=grant, audience="https://warehouse.example", until=moment(NOW))
    answer = follow(command, ConsentGranted(grant=grant), "case_manager", state={"step": "consent"}, after_ms=60_000)
    return [*events, command, follow(command, notice, "case_manager"), answer]


def failed(command: Json, node: str) -> Json:
    """The failure of a command."""
    payload = TaskFailed(
        task=command["event_id"], task_type=command["type"], code="defect", message="It broke.", attempts=1
    )
    return follow(command, payload, node)


def rewritten(event: Json, **fields: Any) -> Json:
    """The event with other content and the digest that belongs to it, as a forger who knows the format makes it."""
    return add_digest({name: value for name, value in {**event, **fields}.items() if name != "digest"})


def renamed(event: Json, cause: Json, **fields: Any) -> Json:
    """The event rewritten, with the id that follows from `cause`, too."""
    changed = {**event, **fields}
    derived = event_id_for(cause["event_id"], changed["node_from"], changed["type"], changed["ordinal"])
    return rewritten(changed, event_id=derived)


def bus_event(event: Json, **fields: Any) -> Json:
    """The event as EventBridge hands it to a queue."""
    wrapped = {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, event["digest"])),
        "detail-type": event["type"],
        "source": SOURCE_PREFIX + event["node_from"],
        "account": "000000000000",
        "time": event["occurred_at"][:19] + "Z",
        "region": "us-east-1",
        "resources": [],
        "detail": event,
    }
    return {**wrapped, **fields}


def body(event: Json, **fields: Any) -> str:
    """The text of the SQS message that carries the event."""
    return json.dumps(bus_event(event, **fields), ensure_ascii=False)


def bodies(events: Iterable[Json]) -> list[str]:
    """The texts of several events."""
    return [body(event) for event in events]


def stored(events: Iterable[Json]) -> list[StoredRow]:
    """The rows as audit writes them, each recorded a second after it happened."""
    rows = [examine_message(text).row for text in bodies(events)]
    assert None not in rows
    return [StoredRow(row, row.event_ts + timedelta(seconds=1)) for row in rows if row is not None]


def moment(at: datetime) -> str:
    """As contracts carry it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
