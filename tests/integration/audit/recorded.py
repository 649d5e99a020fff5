"""A small log with fixed ids and times: what docs/audit/queries.md is asked of."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen, NoAgentFits
from switchyard.protocol.envelope import Envelope, add_digest, event_id_for
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Access, Contract, Json, ModelCall
from tests.unit.audit import cases

DAY = datetime(2026, 6, 17, 9, tzinfo=UTC)
ANA, BEN = (str(uuid.UUID(int=number)) for number in (0xA, 0xB))
CONTENT = hashlib.sha256(b"email").hexdigest()
PRIMARY = {"vendor": "bedrock", "model_id": "us.anthropic.claude-sonnet-4-5", "role": "primary", "reason": "primary"}
FALLBACK = {"vendor": "openai", "model_id": "gpt-5.2", "role": "fallback", "reason": "ttft"}
STALLED = {
    "role": "primary",
    "vendor": "bedrock",
    "model_id": "us.anthropic.claude-sonnet-4-5",
    "started_ms": 0,
    "ended_ms": 1_504,
    "outcome": "abandoned",
}


class Case:
    """One case, built event by event."""

    def __init__(self, number: int, *, subject: str, session_id: str, minute: int) -> None:
        opened = cases.first(number, opened=DAY + timedelta(minutes=minute), session_id=session_id)
        principal = opened["principal"] | {"subject": subject}
        self.events = [cases.rewritten(opened, principal=principal)]

    def then(self, payload: Contract, node_from: str, after_ms: int, **fields: Any) -> None:
        """The next event."""
        self.events.append(cases.follow(self.events[-1], payload, node_from, after_ms=after_ms, **fields))

    def close(self, outcome: Any, code: str) -> list[Json]:
        """The end."""
        self.then(CloseCase(outcome=outcome, code=code), "router", 20)
        self.then(CaseClosed(outcome=outcome, code=code), "case_manager", 30)
        return self.events


def call(which: dict[str, str], latency_ms: int, tokens: tuple[int, int], *, lost: int = 0) -> ModelCall:
    """One agent run."""
    decision: dict[str, Any] = {"attempts": [STALLED]} if which["role"] == "fallback" else {}
    known: dict[str, Any] = dict(which)
    return ModelCall(
        **known,
        latency_ms=latency_ms,
        calls=2 if decision else 1,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        loser_tokens=lost,
        prompt_version="2026-06-01",
        decision=decision,
    )


def credential(subject: str, number: int) -> Access:
    """What the warehouse was read with."""
    return Access(
        subject=subject,
        agent="text_to_sql",
        grant=str(uuid.uuid5(uuid.UUID(subject), "grant")),
        jti=f"tok-{number}",
        audience="https://warehouse.example",
        scopes=("session:role:NORTH" if subject == ANA else "session:role:SOUTH",),
    )


def answered(number: int, subject: str, session_id: str, minute: int, drafted: ModelCall, slow_ms: int) -> list[Json]:
    """A question that was answered, by the drafter's model call given."""
    case = Case(number, subject=subject, session_id=session_id, minute=minute)
    asked, found, written = cases.QUESTION, (cases.FINDINGS,), cases.ANSWER
    state: list[Json] = [{"step": step} for step in ("triage", "specialist", "drafter")]
    case.then(ChooseAgent(question=asked), "router", 12, state=state[0], time_limit_ms=30_000)
    chosen = call(PRIMARY, 210, (640, 12))
    case.then(AgentChosen(agent="text_to_sql"), "triage", 260, state=state[0], model_call=chosen)
    case.then(AnswerQuestion(question=asked), "router", 11, node_to="text_to_sql", state=state[1], time_limit_ms=60_000)
    query = call(PRIMARY, 480, (1_850, 95))
    used = credential(subject, number)
    case.then(
        FindingsReady(findings=found, rows=5), "text_to_sql", 730, state=state[1], model_call=query, access=[used]
    )
    case.then(DraftAnswer(question=asked, findings=found), "router", 14, state=state[2], time_limit_ms=60_000)
    case.then(AnswerDrafted(answer=written, cites=("F1",)), "drafter", slow_ms, state=state[2], model_call=drafted)
    return case.close("answered", "answered")


def failed(number: int, subject: str, minute: int) -> list[Json]:
    """A question whose every query was refused."""
    case = Case(number, subject=subject, session_id="s-ben-1", minute=minute)
    asked = cases.QUESTION
    case.then(AnswerQuestion(question=asked), "router", 9, node_to="text_to_sql", time_limit_ms=60_000)
    failure = TaskFailed(
        task=case.events[-1]["event_id"],
        task_type="AnswerQuestion",
        code="query_refused",
        message="every query that the model wrote was refused, the last as sql_not_a_select",
        attempts=3,
    )
    case.then(failure, "text_to_sql", 1_900, model_call=call(PRIMARY, 1_420, (5_400, 310)))
    return case.close("failed", "query_refused")


def unfit(number: int, subject: str, minute: int) -> list[Json]:
    """A question for which there is no agent."""
    case = Case(number, subject=subject, session_id="s-ana-1", minute=minute)
    case.then(ChooseAgent(question=cases.QUESTION), "router", 10, time_limit_ms=30_000)
    case.then(NoAgentFits(), "triage", 300, model_call=call(PRIMARY, 240, (655, 9)))
    return case.close("no_agent", "no_agent_fits")


def emailed(
    number: int, subject: str, minute: int, *, without: tuple[str, ...] = (), settled: bool | None = None
) -> list[Json]:
    """An email on its way through the gates: sent back once, approved by a person, sent.

    With `settled`, what became of the sending was unknown, and a person found out that it was sent, or was not.
    """
    opened = cases.first(number, opened=DAY + timedelta(minutes=minute), session_id="account-4711")
    payload = {"playbook": "outbound_email", "purpose": "reminder", "submitted_by": "upstream.test"}
    events = [
        cases.rewritten(
            opened,
            type="EmailCaseOpened",
            playbook_version="outbound_email/1",
            principal=opened["principal"] | {"subject": subject},
            payload=payload,
        )
    ]
    judged: Json = {"pack": "2026.05", "review": {}}
    by_rule = [{"rule": "R06", "verdict": "block", "input_hash": CONTENT}]
    ok: Json = {"content_sha256": CONTENT}
    steps: list[tuple[str, str, str, Json, Json]] = [
        ("CheckContact", "router", "compliance", {}, {"time_limit_ms": 30_000}),
        ("ContactAllowed", "compliance", "router", judged, {}),
        ("DraftEmail", "router", "drafter", {}, {"time_limit_ms": 60_000}),
        ("EmailDrafted", "drafter", "router", {}, {}),
        ("ReviewEmail", "router", "compliance", {}, {"time_limit_ms": 60_000}),
        (
            "RevisionNeeded",
            "compliance",
            "router",
            judged | {"code": "draft_blocked", "message": "R06 opt-out missing", "rules": ["R06"], "results": by_rule},
            {"rubric_score": 0},
        ),
        ("DraftEmail", "router", "drafter", {}, {"time_limit_ms": 60_000}),
        ("EmailDrafted", "drafter", "router", {}, {}),
        ("ReviewEmail", "router", "compliance", {}, {"time_limit_ms": 60_000}),
        ("EmailPassed", "compliance", "router", judged | ok | {"approval": "first_contact"}, {"rubric_score": 9_120}),
        ("AskApproval", "router", "case_manager", ok, {"time_limit_ms": 60_000}),
        ("ApprovalGranted", "case_manager", "router", ok | {"approver": "carla@acme.example", "reason": "ok"}, {}),
        ("CheckSending", "router", "compliance", ok, {"time_limit_ms": 30_000}),
        ("SendingAllowed", "compliance", "router", judged | ok, {}),
        ("SendEmail", "router", "email_sender", ok | {"pack": "2026.05"}, {"time_limit_ms": 60_000}),
        ("EmailSent", "email_sender", "router", ok | {"provider": "ses", "provider_message_id": "m-1"}, {}),
    ]
    if settled is not None:
        steps[-1] = (
            "SendingUnknown",
            "email_sender",
            "router",
            ok | {"code": "outcome_unknown", "message": "no answer"},
            {},
        )
    for type_, node_from, node_to, payload, fields in steps:
        if type_ in without:
            continue
        events.append(_next(events[-1], type_, node_from, node_to, payload, fields))
    case = Case(number, subject=subject, session_id="account-4711", minute=minute)
    case.events = events
    # The terminal event's type is known to every catalogue; its payload is read as it stands.
    case.then(CloseCase(outcome="answered", code="sent"), "router", 20)
    case.then(CaseClosed(outcome="answered", code="sent"), "case_manager", 30)
    ending = case.events[-1]
    outcome = "sent" if settled is None else "unknown"
    case.events[-1] = cases.rewritten(ending, payload=ending["payload"] | {"outcome": outcome})
    if settled is not None:
        found: Json = ok | {"sent": settled, "operator": "dora", "evidence": "the provider's console"}
        case.events.append(_next(case.events[-3], "SendingResolved", "email_sender", "external", found, {}))
    return case.events


def _next(cause: Json, type_: str, node_from: str, node_to: str, payload: Json, fields: Json) -> Json:
    envelope = Envelope.model_validate_json(json.dumps(cause))
    at = datetime.fromisoformat(envelope.occurred_at) + timedelta(milliseconds=150)
    kept = {
        name: value
        for name, value in cause.items()
        if name not in {"digest", "payload", "rubric_score", "time_limit_ms", "model_call", "storage_refs"}
    }
    return add_digest(
        kept
        | {
            "event_id": event_id_for(envelope.event_id, node_from, type_, 0),
            "type": type_,
            "node_from": node_from,
            "node_to": node_to,
            "seq": envelope.seq + 1,
            "parents": [envelope.digest],
            "occurred_at": cases.moment(at),
            "payload": payload,
        }
        | fields
    )


def log() -> list[str]:
    """The bodies, in the order in which they arrive."""
    by_primary, by_fallback = call(PRIMARY, 790, (900, 140)), call(FALLBACK, 2_310, (880, 150), lost=905)
    stories = [
        answered(101, ANA, "s-ana-1", 0, by_primary, 1_050),
        answered(102, BEN, "s-ben-1", 3, by_fallback, 2_700),
        failed(103, BEN, 7),
        unfit(104, ANA, 11),
        emailed(105, ANA, 20),
    ]
    genuine = stories[0][6]
    forged = cases.body(cases.rewritten(genuine, rubric_score=10_000))
    altered = cases.body(stories[1][4] | {"session_id": "s-eve-1"})
    return [*(text for events in stories for text in cases.bodies(events)), forged, altered]


CASES = {
    name: cases.first(number)["case_id"]
    for name, number in {"answered": 101, "failed over": 102, "failed": 103, "no agent": 104, "email": 105}.items()
}
