"""The router takes back only the state that it handed out: to this node, for this case, at this step."""

from __future__ import annotations

import pytest

from contracts.errors import InvalidEvent, Refusal
from contracts.events.drafter import AnswerDrafted
from contracts.events.triage import AgentChosen
from contracts.fields import Json
from services.orchestrator.routing import route
from services.orchestrator.seal import StateSeal
from tests.unit.contracts.bus_events import changed, golden, with_digest, without
from tests.unit.orchestrator.cases import (
    ANSWER,
    ANSWER_QUESTION,
    CHOOSE,
    CHOSEN,
    DRAFTED,
    FOUND,
    SEAL,
    received,
    reply,
    routed,
)

OLD, NEW = b"1" * 32, b"2" * 32
MAC = CHOSEN["state_seal"].rpartition(".")[2]


def tampered(event: Json, **fields: object) -> Json:
    """The event with other fields and a digest that fits them, as a compromised agent could publish it."""
    return with_digest(event | fields)


def other_case() -> Json:
    """The same step of another case."""
    opening = with_digest(changed(golden("CaseOpened"), "case_id", "00000000-0000-4000-8000-000000000000"))
    return routed(opening)


FORGED = {
    "an altered state": with_digest(changed(CHOSEN, "state.agent", "text_to_sql")),
    "an added fact": with_digest(changed(CHOSEN, "state.approved", True)),
    "a dropped artefact": with_digest(without(DRAFTED, "state.artefacts.question")),
    "the state of another case": tampered(CHOSEN, state=other_case()["state"], state_seal=other_case()["state_seal"]),
    "the state of an earlier step": tampered(FOUND, state=CHOOSE["state"], state_seal=CHOOSE["state_seal"]),
    "the state of a later step": tampered(CHOSEN, state=DRAFTED["state"], state_seal=DRAFTED["state_seal"]),
    "another sequence number on the seal": tampered(CHOSEN, state_seal=f"k1.2.{MAC}"),
    "another sequence number on the event": tampered(CHOSEN, seq=CHOSEN["seq"] + 1),
    "no seal": with_digest(without(CHOSEN, "state_seal")),
    "no state": with_digest(without(CHOSEN, "state")),
    "neither": with_digest(without(without(CHOSEN, "state"), "state_seal")),
    "an unknown key": tampered(CHOSEN, state_seal=f"k9.1.{MAC}"),
    "no key": tampered(CHOSEN, state_seal=f".1.{MAC}"),
    "no number": tampered(CHOSEN, state_seal=f"k1.one.{MAC}"),
    "a negative number": tampered(CHOSEN, state_seal=f"k1.-1.{MAC}"),
    "a huge number": tampered(CHOSEN, state_seal=f"k1.{'9' * 100}.{MAC}"),
    "no mac": tampered(CHOSEN, state_seal="k1.1."),
    "a cut mac": tampered(CHOSEN, state_seal=CHOSEN["state_seal"][:-1]),
    "a seal of no parts": tampered(CHOSEN, state_seal="sealed"),
}


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in FORGED.items()])
def test_refuses(event: Json) -> None:
    with pytest.raises(InvalidEvent) as caught:
        route(received(event), SEAL)
    assert (caught.value.refusal, caught.value.field) == (Refusal.FORGED, "state_seal")
    assert "untouched" in (caught.value.remedy or "")


def test_a_node_that_was_not_asked_cannot_answer() -> None:
    answer = AnswerDrafted(answer=ANSWER, cites=())
    with pytest.raises(InvalidEvent, match="drafter answered a task that was given to text_to_sql") as caught:
        route(received(reply(ANSWER_QUESTION, answer, node="drafter")), SEAL)
    assert (caught.value.refusal, caught.value.field) == (Refusal.FORGED, "node_from")


def test_a_new_key_signs_while_the_old_one_still_verifies() -> None:
    rotating = StateSeal({"k2": NEW, "k1": OLD})
    asked = routed(CHOSEN, rotating)
    assert asked["state_seal"].startswith("k2.")
    assert asked["state"] == ANSWER_QUESTION["state"]


def test_a_router_that_was_not_rotated_yet_cannot_read_the_new_key() -> None:
    rotated = reply(routed(golden("CaseOpened"), StateSeal({"k2": NEW, "k1": OLD})), AgentChosen(agent="text_to_sql"))
    with pytest.raises(InvalidEvent, match="no state under a seal of this router"):
        route(received(rotated), StateSeal({"k1": OLD}))
    assert routed(rotated, StateSeal({"k1": OLD, "k2": NEW}))["state_seal"].startswith("k1.")


def test_a_dropped_key_no_longer_verifies() -> None:
    with pytest.raises(InvalidEvent, match="no state under a seal of this router"):
        route(received(CHOSEN), StateSeal({"k2": NEW}))


def test_a_key_under_the_same_id_with_other_bytes_does_not_verify() -> None:
    with pytest.raises(InvalidEvent, match="altered"):
        route(received(CHOSEN), StateSeal({"k1": NEW}))


@pytest.mark.parametrize("keys", [{"k1": b"1" * 31}, {"k1": OLD, "k2": b""}, {"k.1": OLD}])
def test_a_weak_key_or_an_ambiguous_id_is_refused_at_start(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="state key"):
        StateSeal(keys)
