"""The next event of a case follows from its cause and from nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion
from contracts.events.triage import AgentChosen, NoAgentFits
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.envelope import MAX_DETAIL_BYTES, MAX_STATE_BYTES, Envelope, event_id_for, serialize_detail
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Contract, Json, ModelCall
from tests.reference import derive_event, read_event, sole_destination
from tests.unit.protocol.bus_events import delivered, golden
from tests.unit.protocol.json_values import objects

CHOOSE = Envelope.model_validate_json(json.dumps(golden("ChooseAgent")))
OPENED = Envelope.model_validate_json(json.dumps(golden("CaseOpened")))
CHOSEN = AgentChosen(agent="text_to_sql", why="It asks for figures.")
QUESTION = AnswerQuestion.model_validate_json(json.dumps(golden("AnswerQuestion")["payload"]))


def stamped(event: Json) -> Json:
    return stamp_event(event, occurred_at="2026-07-01T08:00:01Z", trace={"traceparent": "00-1-1-01"})


def test_same_cause_derives_the_same_event() -> None:
    assert derive_event(CHOOSE, CHOSEN, node_from="triage") == derive_event(CHOOSE, CHOSEN, node_from="triage")


def test_id_depends_on_parent_node_type_and_ordinal_alone() -> None:
    ids = {
        event_id_for(CHOOSE.event_id, "triage", "AgentChosen"),
        event_id_for(OPENED.event_id, "triage", "AgentChosen"),
        event_id_for(CHOOSE.event_id, "drafter", "AgentChosen"),
        event_id_for(CHOOSE.event_id, "triage", "NoAgentFits"),
        event_id_for(CHOOSE.event_id, "triage", "AgentChosen", 1),
    }
    assert len(ids) == 5
    other_words = derive_event(CHOOSE, AgentChosen(agent="text_to_sql"), node_from="triage")
    assert other_words["event_id"] == derive_event(CHOOSE, CHOSEN, node_from="triage")["event_id"] in ids


def test_derived_event_inherits_the_case_and_names_its_cause() -> None:
    event = derive_event(CHOOSE, CHOSEN, node_from="triage")
    for field in ("tenant", "case_id", "session_id", "opened_on", "playbook_version", "case_deadline"):
        assert event[field] == getattr(CHOOSE, field)
    assert event["parents"] == [CHOOSE.digest]
    assert event["seq"] == CHOOSE.seq + 1


@given(objects)
def test_state_of_any_value_is_received_unchanged(state: Json) -> None:
    event = stamped(derive_event(CHOOSE, CHOSEN, node_from="triage", state=state, state_seal="k.1.0"))
    assert read_event(delivered(event), node="router").raw["state"] == state


def test_clock_and_trace_do_not_change_the_digest() -> None:
    event = derive_event(CHOOSE, CHOSEN, node_from="triage")
    assert stamped(event)["digest"] == event["digest"]
    assert read_event(delivered(stamped(event)), node="router").payload == CHOSEN


@pytest.mark.parametrize(
    ("node_from", "payload", "node_to", "message"),
    [
        ("drafter", CHOSEN, None, "may not emit"),
        ("drafter", CHOSEN, "router", "may not send"),
        ("router", QUESTION, "drafter", "may not send"),
        ("router", QUESTION, "unknown", "may not send"),
    ],
)
def test_event_without_a_flow_is_refused(node_from: str, payload: Contract, node_to: str | None, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message) as caught:
        derive_event(CHOOSE, payload, node_from=node_from, node_to=node_to)
    assert (caught.value.reason, caught.value.field) == (RejectionReason.UNKNOWN, "node_to")


@pytest.mark.parametrize(
    ("node", "payload", "target"),
    [
        ("triage", NoAgentFits, "router"),
        ("drafter", TaskFailed, "router"),
        ("router", TaskFailed, "case_manager"),
        ("case_manager", CaseClosed, "external"),
    ],
)
def test_sole_destination_is_the_catalogues(node: str, payload: type[Contract], target: str) -> None:
    assert sole_destination(node, payload) == target


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"share": 0.5}, "float"),
        ({"text": "a\x00"}, "NUL"),
        ({"text": "\ud800"}, "UTF-8"),
        ({"count": 2**53}, "beyond"),
    ],
)
def test_state_without_a_canonical_form_is_refused(state: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=message) as caught:
        derive_event(CHOOSE, CHOSEN, node_from="triage", state=state)
    assert caught.value.field == f"state.{next(iter(state))}"


def test_float_in_a_model_decision_is_refused() -> None:
    call = ModelCall(
        vendor="bedrock", model_id="m", role="primary", reason="primary", latency_ms=1, decision={"p95": 1.5}
    )
    with pytest.raises(InvalidEvent, match="float") as caught:
        derive_event(CHOOSE, CHOSEN, node_from="triage", model_call=call)
    assert caught.value.field == "model_call.decision.p95"


def test_state_at_its_limit_is_accepted_and_over_it_refused() -> None:
    room = MAX_STATE_BYTES - len('{"s":""}')
    assert derive_event(CHOOSE, CHOSEN, node_from="triage", state={"s": "x" * room})
    with pytest.raises(InvalidEvent, match="16 KB") as caught:
        derive_event(CHOOSE, CHOSEN, node_from="triage", state={"s": "x" * (room + 1)})
    assert (caught.value.reason, caught.value.field) == (RejectionReason.TOO_LARGE, "state")


def test_state_is_measured_in_bytes() -> None:
    with pytest.raises(InvalidEvent, match="16 KB"):
        derive_event(CHOOSE, CHOSEN, node_from="triage", state={"s": "\u00fc" * (MAX_STATE_BYTES // 2)})


def test_detail_over_the_limit_of_the_bus_is_refused() -> None:
    drafted = golden("AnswerDrafted")
    assert len(serialize_detail(drafted)) < MAX_DETAIL_BYTES
    with pytest.raises(InvalidEvent, match="over the limit") as caught:
        serialize_detail(drafted | {"payload": {"text": "x" * MAX_DETAIL_BYTES}})
    assert (caught.value.reason, caught.value.field) == (RejectionReason.TOO_LARGE, "payload")


def test_detail_reads_back_as_the_event() -> None:
    drafted = golden("AnswerDrafted")
    assert json.loads(serialize_detail(drafted)) == drafted
    assert AnswerDrafted.model_validate_json(json.dumps(json.loads(serialize_detail(drafted))["payload"]))
