"""Where every event of a case leads."""

from __future__ import annotations

import pytest

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from contracts.events.case_manager import CaseOpened
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen, NoAgentFits
from services.orchestrator.graph import CURRENT, PLAYBOOKS
from switchyard.app.cards import specialist_cards
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.envelope import MAX_STATE_BYTES
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Contract, Json
from switchyard.router.playbook import Playbook, end_case, on, task_step
from tests.reference import route
from tests.unit.protocol.bus_events import changed, golden, with_digest
from tests.unit.router.cases import (
    ANSWER,
    ANSWER_QUESTION,
    CHOOSE,
    CHOSEN,
    CLOSE,
    DRAFT,
    DRAFTED,
    FINDINGS,
    FOUND,
    OPENED,
    SEAL,
    artefact,
    failed,
    opened,
    question,
    received,
    reply,
    routed,
)

UNFIT = reply(CHOOSE, NoAgentFits(why="It asks for a route."))
NAMED = opened(agent="text_to_sql")
FAILED = failed(ANSWER_QUESTION)
COMMANDS = {"triage": CHOOSE, "drafter": DRAFT} | {
    card.name: routed(opened(agent=card.name)) for card in specialist_cards(AGENT_CARDS.values())
}


def payload(event: Json) -> Contract:
    return received(event).payload


@pytest.mark.parametrize(
    ("event", "command", "node", "seconds"),
    [
        pytest.param(OPENED, ChooseAgent, "triage", 30, id="a new case goes to triage"),
        pytest.param(NAMED, AnswerQuestion, "text_to_sql", 60, id="a named agent skips triage"),
        pytest.param(CHOSEN, AnswerQuestion, "text_to_sql", 60, id="the chosen agent gets the question"),
        pytest.param(FOUND, DraftAnswer, "drafter", 60, id="findings go to the drafter"),
    ],
)
def test_event_is_routed_to_its_command(event: Json, command: type[Contract], node: str, seconds: int) -> None:
    asked = routed(event)
    assert type(payload(asked)) is command
    assert asked["node_to"] == asked["state"]["node"] == node
    assert (asked["time_limit_ms"], asked["budget"]["attempts"]) == (seconds * 1_000, 3)
    assert asked["parents"] == [event["digest"]]
    assert asked["seq"] == event["seq"] + 1


@pytest.mark.parametrize(
    ("event", "outcome", "code"),
    [
        pytest.param(DRAFTED, "answered", "answered", id="an answer ends it"),
        pytest.param(UNFIT, "no_agent", "no_agent_fits", id="a question for no agent ends it"),
        pytest.param(FAILED, "failed", "time_limit", id="a failure ends it"),
        pytest.param(opened(agent="palmist"), "no_agent", "unknown_agent", id="an unknown agent from upstream ends it"),
        pytest.param(
            reply(CHOOSE, AgentChosen(agent="palmist")),
            "no_agent",
            "unknown_agent",
            id="one that triage made up ends it",
        ),
        pytest.param(
            reply(CHOOSE, AgentChosen(agent="drafter")), "no_agent", "unknown_agent", id="no specialist, no question"
        ),
    ],
)
def test_event_closes_the_case_with_its_outcome(event: Json, outcome: str, code: str) -> None:
    closed = routed(event)
    reported = payload(closed)
    assert isinstance(reported, CloseCase)
    assert (reported.outcome, reported.code, closed["node_to"]) == (outcome, code, "case_manager")
    assert "state" not in closed


def test_edges_of_the_playbook_are_all_covered() -> None:
    taken = [
        PLAYBOOKS["assist/1"].edge_for(payload(event))
        for event in (OPENED, NAMED, CHOSEN, UNFIT, FOUND, DRAFTED, FAILED)
    ]
    assert taken == [*(edge for edge in taken if edge is not None)]
    assert {id(edge) for edge in taken} == {id(edge) for edge in PLAYBOOKS["assist/1"].edges}


def test_router_has_an_edge_for_each_of_its_types() -> None:
    edges = [edge for book in PLAYBOOKS.values() for edge in book.edges]
    # A retry is no edge: it repeats whichever command failed.
    assert {type_.payload for type_ in CATALOGUE.types_for("router")} - {TaskRetried} == {edge.event for edge in edges}


def test_step_is_granted_the_artefacts_of_its_command_only() -> None:
    asked = question(OPENED)
    assert payload(CHOOSE) == ChooseAgent(question=asked)
    assert payload(ANSWER_QUESTION) == AnswerQuestion(question=asked)
    assert payload(DRAFT) == DraftAnswer(question=asked, findings=(FINDINGS,))


def test_answer_travels_to_close() -> None:
    reported = payload(CLOSE)
    assert isinstance(reported, CloseCase)
    assert reported.answer == ANSWER


def test_attachments_travel_as_long_as_the_case_needs_them() -> None:
    asked = question(OPENED).sha256
    assert set(CHOOSE["storage_refs"]) == {asked}
    assert set(ANSWER_QUESTION["storage_refs"]) == {asked}
    assert set(DRAFT["storage_refs"]) == {asked, FINDINGS.sha256}
    assert set(DRAFTED["storage_refs"]) == {asked, FINDINGS.sha256, ANSWER.sha256}
    assert set(CLOSE["storage_refs"]) == {ANSWER.sha256}


def test_unnamed_storage_ref_is_dropped() -> None:
    stray = artefact("findings", "stray")
    found = reply(ANSWER_QUESTION, FindingsReady(findings=(FINDINGS,)), written=(FINDINGS, stray))
    assert stray.sha256 in found["storage_refs"]
    assert stray.sha256 not in routed(found)["storage_refs"]


@pytest.mark.parametrize("node", sorted(COMMANDS))
def test_agent_failure_closes_the_case_with_its_causes(node: str) -> None:
    closed = routed(failed(COMMANDS[node], causes=("throttled", "no connection")))
    assert payload(closed) == CloseCase(
        outcome="failed",
        code="time_limit",
        message="no result within 60000 ms; caused by throttled; caused by no connection",
        field="payload.question",
        remedy="ask for less",
        node=node,
    )
    assert closed["storage_refs"] == {}


def test_signed_statement_is_handed_to_no_agent() -> None:
    event = golden("CaseOpened", variant="attested")
    attested = event["payload"]["attested"]["statement"]["sha256"]
    command = routed(event)
    assert attested in event["storage_refs"]
    assert attested not in str(command)
    assert event["payload"]["question"]["sha256"] in command["storage_refs"]


def test_long_failure_is_cut_to_the_limit_of_its_contract() -> None:
    reported = payload(routed(failed(CHOOSE, causes=("x" * 2_000, "y" * 2_000))))
    assert isinstance(reported, CloseCase)
    assert len(reported.message) == 2_000


def test_token_budget_is_handed_on() -> None:
    event = with_digest(changed(OPENED, "budget", {"attempts": 7, "tokens": 9_000}))
    assert routed(event)["budget"] == {"attempts": 3, "tokens": 9_000}


@pytest.mark.parametrize(
    "event", [OPENED, NAMED, CHOSEN, UNFIT, FOUND, DRAFTED, FAILED], ids=lambda event: event["type"]
)
def test_redelivery_makes_the_same_events(event: Json) -> None:
    once, again = (route(received(event), SEAL) for _ in range(2))
    assert once == again
    assert [(made["event_id"], made["digest"]) for made in once] == [
        (made["event_id"], made["digest"]) for made in again
    ]


def test_redelivery_with_other_clock_and_trace_gives_same_events() -> None:
    moved = FOUND | {"occurred_at": "2026-07-02T00:00:00Z", "trace": {}}
    moved["storage_refs"] = {sha256: {"uri": "s3://bucket/key"} for sha256 in FOUND["storage_refs"]}
    once, again = route(received(FOUND), SEAL), route(received(moved), SEAL)
    assert [(event["event_id"], event["digest"]) for event in once] == [(e["event_id"], e["digest"]) for e in again]


def test_state_stays_small_in_a_whole_case() -> None:
    for command in COMMANDS.values():
        assert len(canonical_json(command["state"])) < MAX_STATE_BYTES // 8


def test_more_findings_than_the_state_can_name_are_refused() -> None:
    many = tuple(artefact("findings", str(number)) for number in range(200))
    with pytest.raises(InvalidEvent, match="16 KB") as caught:
        routed(reply(ANSWER_QUESTION, FindingsReady(findings=many)))
    assert (caught.value.reason, caught.value.field) == (RejectionReason.TOO_LARGE, "state")


ASSIST_2 = Playbook(
    "assist/2",
    task_step("drafter", DraftAnswer, attempts=1, seconds=5),
    on(FindingsReady, go="drafter"),
    on(CaseOpened, end_case("rejected", "retired", "Not in this version.")),
)


@pytest.mark.parametrize(
    "event", [OPENED, NAMED, CHOSEN, UNFIT, FOUND, DRAFTED, FAILED], ids=lambda event: event["type"]
)
def test_newer_version_does_not_change_an_open_case(event: Json) -> None:
    both = PLAYBOOKS | {"assist/2": ASSIST_2}
    assert route(received(event), SEAL, both) == route(received(event), SEAL)


def test_case_keeps_the_version_of_its_opening() -> None:
    both = PLAYBOOKS | {"assist/2": ASSIST_2}
    reported = payload(routed(opened(playbook_version="assist/2"), playbooks=both))
    assert isinstance(reported, CloseCase)
    assert reported.code == "retired"


def test_withdrawn_version_of_an_open_case_is_named() -> None:
    with pytest.raises(InvalidEvent, match="assist/1 is not deployed") as caught:
        route(received(CHOSEN), SEAL, {"assist/2": ASSIST_2})
    assert (caught.value.reason, caught.value.field) == (RejectionReason.UNKNOWN, "playbook_version")
    assert "while cases on it are open" in (caught.value.remedy or "")


WITHOUT_NO_AGENT = Playbook(
    "assist/1",
    task_step("triage", ChooseAgent, attempts=1, seconds=5),
    on(CaseOpened, go="triage"),
    on(AgentChosen, end_case("no_agent")),
)


def test_event_without_an_edge_in_its_version_is_named() -> None:
    with pytest.raises(InvalidEvent, match="no edge for NoAgentFits") as caught:
        route(received(UNFIT), SEAL, {"assist/1": WITHOUT_NO_AGENT})
    assert (caught.value.reason, caught.value.field) == (RejectionReason.UNKNOWN, "type")


def test_new_cases_get_a_version_that_exists() -> None:
    assert set(CURRENT.values()) <= PLAYBOOKS.keys()
    assert {name: version.partition("/")[0] for name, version in CURRENT.items()} == {name: name for name in CURRENT}


def test_command_has_later_p95_for_playbooks_with_figures() -> None:
    for version, expected in (
        ("assist/1", None),
        ("assist/2", PLAYBOOKS["assist/2"].later_p95_ms(CATALOGUE, "triage")),
    ):
        assert routed(opened(playbook_version=version)).get("later_p95_ms") == expected


def test_task_stopped_by_a_money_limit_ends_its_case_with_that_outcome() -> None:
    command = routed(opened(agent="text_to_sql"))
    stopped = changed(changed(failed(command), "payload.code", "budget_exceeded"), "payload.message", "no money")
    ending = routed(with_digest(stopped))
    assert {name: ending["payload"][name] for name in ("outcome", "code", "message", "node")} == {
        "outcome": "budget_exceeded",
        "code": "budget_exceeded",
        "message": "no money",
        "node": "text_to_sql",
    }
