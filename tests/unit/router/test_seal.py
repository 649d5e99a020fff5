"""The router takes back only the state that it handed out: to this node, for this case, at this step."""

from __future__ import annotations

import pytest

from contracts.events.drafter import AnswerDrafted
from contracts.events.triage import AgentChosen
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import Json
from switchyard.router.state_seal import StateSeal
from tests.reference import route
from tests.unit.protocol.bus_events import changed, golden, with_digest, without
from tests.unit.router.cases import (
    ANSWER,
    ANSWER_QUESTION,
    CHOOSE,
    CHOSEN,
    DRAFTED,
    FOUND,
    SEAL,
    failed,
    received,
    reply,
    routed,
)

OLD, NEW = b"1" * 32, b"2" * 32
PARTS = dict(zip(("key", "seq", "task", "state", "mac"), CHOSEN["state_seal"].split("."), strict=True))


def with_seal(**parts: str) -> Json:
    """The answer under a seal with some parts replaced."""
    return tampered(CHOSEN, state_seal=".".join((PARTS | parts).values()))


def tampered(event: Json, **fields: object) -> Json:
    """The event with other fields and a digest that fits them, as a compromised agent could publish it."""
    return with_digest(event | fields)


def other_case() -> Json:
    """The same step of another case."""
    opening = with_digest(changed(golden("CaseOpened"), "case_id", "00000000-0000-4000-8000-000000000000"))
    return routed(opening)


STATE, SEAL_FIELD = "state", "state_seal"
FORGED = {
    "an altered state": (STATE, with_digest(changed(CHOSEN, "state.agent", "text_to_sql"))),
    "an added fact": (STATE, with_digest(changed(CHOSEN, "state.approved", True))),
    "a dropped artefact": (STATE, with_digest(without(DRAFTED, "state.artefacts.question"))),
    "no state": (STATE, with_digest(without(CHOSEN, "state"))),
    "the state of another case": (
        SEAL_FIELD,
        tampered(CHOSEN, state=other_case()["state"], state_seal=other_case()["state_seal"]),
    ),
    "an earlier step": (SEAL_FIELD, tampered(FOUND, state=CHOOSE["state"], state_seal=CHOOSE["state_seal"])),
    "a later step": (SEAL_FIELD, tampered(CHOSEN, state=DRAFTED["state"], state_seal=DRAFTED["state_seal"])),
    "another tenant": (SEAL_FIELD, tampered(CHOSEN, tenant="other")),
    "another session": (SEAL_FIELD, tampered(CHOSEN, session_id="stolen")),
    "another day": (SEAL_FIELD, tampered(CHOSEN, opened_on="2020-01-01")),
    "a later deadline": (SEAL_FIELD, tampered(CHOSEN, case_deadline="2099-01-01T00:00:00Z")),
    "a greater role": (
        SEAL_FIELD,
        with_digest(changed(CHOSEN, "principal.scopes", ["role:ACCOUNTADMIN"])),
    ),
    "another person": (
        SEAL_FIELD,
        with_digest(changed(CHOSEN, "principal.subject", "00000000-0000-4000-8000-000000000000")),
    ),
    "more attempts": (SEAL_FIELD, with_digest(changed(CHOSEN, "budget.attempts", 20))),
    "another cause": (SEAL_FIELD, tampered(CHOSEN, parents=["0" * 64])),
    "no cause": (SEAL_FIELD, tampered(CHOSEN, parents=[])),
    "another sequence number on the event": ("seq", tampered(CHOSEN, seq=CHOSEN["seq"] + 1)),
    "the second of two siblings": ("seq", tampered(CHOSEN, ordinal=1, siblings=2)),
    "a second answer": ("event_id", tampered(CHOSEN, event_id="00000000-0000-4000-8000-000000000000")),
    "no seal": (SEAL_FIELD, with_digest(without(CHOSEN, "state_seal"))),
    "neither": (SEAL_FIELD, with_digest(without(without(CHOSEN, "state"), "state_seal"))),
    "an unknown key": (SEAL_FIELD, with_seal(key="k9")),
    "no key": (SEAL_FIELD, with_seal(key="")),
    "another sequence number on the seal": (SEAL_FIELD, with_seal(seq="2")),
    "no number": (SEAL_FIELD, with_seal(seq="one")),
    "a negative number": (SEAL_FIELD, with_seal(seq="-1")),
    "another task": (SEAL_FIELD, with_seal(task=CHOSEN["event_id"])),
    "another state's hash": (SEAL_FIELD, with_seal(state="0" * 64)),
    "no mac": (SEAL_FIELD, with_seal(mac="")),
    "a cut mac": (SEAL_FIELD, tampered(CHOSEN, state_seal=CHOSEN["state_seal"][:-1])),
    "a seal of no parts": (SEAL_FIELD, tampered(CHOSEN, state_seal="sealed")),
}


@pytest.mark.parametrize(("field", "event"), [pytest.param(*forged, id=name) for name, forged in FORGED.items()])
def test_event_with_altered_sealed_state_is_forged(field: str, event: Json) -> None:
    with pytest.raises(InvalidEvent) as caught:
        route(received(event), SEAL)
    assert (caught.value.reason, caught.value.field) == (RejectionReason.FORGED, field)
    assert "untouched" in (caught.value.remedy or "")


FAILED = failed(ANSWER_QUESTION)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(with_digest(without(FAILED, "state_seal")), id="without a seal"),
        pytest.param(tampered(FAILED, case_id="00000000-0000-4000-8000-000000000000"), id="of another case"),
        pytest.param(tampered(FAILED, state_seal=CHOOSE["state_seal"]), id="of another's task"),
        pytest.param(with_digest(changed(FAILED, "payload.task", CHOOSE["event_id"])), id="naming another task"),
    ],
)
def test_failure_of_a_task_of_another_agent_is_forged(event: Json) -> None:
    with pytest.raises(InvalidEvent) as caught:
        route(received(event), SEAL)
    assert caught.value.reason is RejectionReason.FORGED


def test_rotated_keys_route_the_same() -> None:
    before, after = routed(CHOSEN, SEAL), routed(CHOSEN, StateSeal({"k2": NEW, "k1": OLD}))
    assert before["state_seal"] != after["state_seal"]
    assert (before["event_id"], before["digest"]) == (after["event_id"], after["digest"])


def test_answer_of_another_node_than_the_commands_is_forged() -> None:
    answer = AnswerDrafted(answer=ANSWER, cites=())
    with pytest.raises(InvalidEvent, match="another's task") as caught:
        route(received(reply(ANSWER_QUESTION, answer, node="drafter")), SEAL)
    assert (caught.value.reason, caught.value.field) == (RejectionReason.FORGED, "state_seal")


def test_new_key_signs_and_the_old_one_verifies() -> None:
    rotating = StateSeal({"k2": NEW, "k1": OLD})
    asked = routed(CHOSEN, rotating)
    assert asked["state_seal"].startswith("k2.")
    assert asked["state"] == ANSWER_QUESTION["state"]


def test_new_key_is_unknown_to_a_router_without_it() -> None:
    rotated = reply(routed(golden("CaseOpened"), StateSeal({"k2": NEW, "k1": OLD})), AgentChosen(agent="text_to_sql"))
    with pytest.raises(InvalidEvent, match="no seal of this router"):
        route(received(rotated), StateSeal({"k1": OLD}))
    assert routed(rotated, StateSeal({"k1": OLD, "k2": NEW}))["state_seal"].startswith("k1.")


def test_dropped_key_no_longer_verifies() -> None:
    with pytest.raises(InvalidEvent, match="no seal of this router"):
        route(received(CHOSEN), StateSeal({"k2": NEW}))


def test_key_with_other_bytes_under_its_id_does_not_verify() -> None:
    with pytest.raises(InvalidEvent, match="altered"):
        route(received(CHOSEN), StateSeal({"k1": NEW}))


@pytest.mark.parametrize("keys", [{"k1": b"1" * 31}, {"k1": OLD, "k2": b""}, {"k.1": OLD}])
def test_weak_key_or_ambiguous_id_is_refused_at_start(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="state key"):
        StateSeal(keys)
