"""The router answers or rejects any authentic event, and does so every time alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen, NoAgentFits
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent
from tests.reference import route
from tests.unit.protocol.bus_events import changed, with_digest
from tests.unit.protocol.json_values import objects, texts
from tests.unit.router.cases import ANSWER_QUESTION, CHOOSE, DRAFT, SEAL, artefact, opened, received, reply

names = st.one_of(
    st.sampled_from(["text_to_sql", "triage", "drafter", "router", "case_manager", "specialist"]),
    st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
)
codes = st.from_regex(r"[a-z][a-z0-9_]{1,63}", fullmatch=True)
artefacts = st.builds(artefact, names, texts)
failures = st.builds(
    TaskFailed,
    task=st.just(CHOOSE["event_id"]),
    task_type=st.sampled_from(["ChooseAgent", "Unknown"]),
    code=codes,
    message=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=2_000),
    field=st.none() | texts,
    remedy=st.none() | texts,
    attempts=st.integers(0, 20),
    causes=st.lists(texts, max_size=5).map(tuple),
)
seals = st.one_of(
    st.from_regex(r"[\x21-\x7e]{1,200}", fullmatch=True),
    st.builds("k1.{}.{}".format, st.integers(-1, 10**30), st.from_regex(r"[0-9a-f]{0,64}", fullmatch=True)),
)
GRAPHS = ["assist/1", "assist/2", "none/0"]

events = st.one_of(
    st.builds(opened, agent=st.none() | names, playbook_version=st.sampled_from(GRAPHS)),
    st.builds(reply, st.just(CHOOSE), st.builds(AgentChosen, agent=names, why=texts)),
    st.builds(reply, st.just(CHOOSE), st.builds(NoAgentFits, why=texts)),
    st.builds(
        reply,
        st.just(ANSWER_QUESTION),
        st.builds(
            FindingsReady,
            findings=st.lists(artefacts, min_size=1, max_size=6).map(tuple) | st.just((artefact("findings"),) * 200),
            rows=st.integers(0, 2**53 - 1),
        ),
        written=st.lists(artefacts, max_size=3).map(tuple),
    ),
    st.builds(
        reply,
        st.just(DRAFT),
        st.builds(AnswerDrafted, answer=artefacts, cites=st.lists(st.just("F1")).map(tuple)),
        written=st.lists(artefacts, max_size=3).map(tuple),
    ),
    st.builds(reply, st.sampled_from([CHOOSE, ANSWER_QUESTION, DRAFT]), failures),
)


def outcome(event: ReceivedEvent[Contract]) -> Any:
    """What the router makes of it. Anything but `InvalidEvent` escapes, and fails the test."""
    try:
        return route(event, SEAL)
    except InvalidEvent as rejection:
        return rejection.reason, rejection.message, rejection.field, rejection.remedy


@given(events)
def test_payload_of_any_value_is_routed_deterministically_or_refused(event: Json) -> None:
    first = outcome(received(event))
    assert first == outcome(received(event))
    if isinstance(first, list):
        (made,) = first
        assert made["parents"] == [event["digest"]]
        assert received({**made, "occurred_at": event["occurred_at"]}).envelope.case_id == event["case_id"]


@given(events, objects, seals)
def test_tampered_state_is_refused(event: Json, state: Json, seal: str) -> None:
    if "state" not in event:
        return
    tampered = received(with_digest(changed(changed(event, "state", state), "state_seal", seal)))
    first = outcome(tampered)
    assert isinstance(first, tuple)
    assert first == outcome(tampered)


@given(events, objects)
def test_unknown_fields_change_digest_not_decision(event: Json, extra: Json) -> None:
    reported = with_digest(changed(event, "payload.added_later", extra))
    before, after = outcome(received(event)), outcome(received(reported))
    if not isinstance(before, list):
        assert before == after
        return
    for was, is_now in zip(before, after, strict=True):
        assert is_now["parents"] == [reported["digest"]] != was["parents"]
        assert is_now["payload"] == was["payload"]
        assert is_now["event_id"] == was["event_id"]
