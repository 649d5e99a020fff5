"""The graph is short, whole, and draws itself."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentsChosen
from services.orchestrator import graph
from services.orchestrator.graph import ASSIST_1, CURRENT, OUTBOUND_EMAIL_1, PLAYBOOKS
from switchyard.router.playbook import (
    Playbook,
    PlaybookEdge,
    PlaybookStep,
    end_case,
    gather_step,
    on,
    task_step,
    turn_policies,
)
from tests.unit.router.cases import OPENED, received

ARROW = re.compile(r"  (\w+) -[-.]+>\|([A-Za-z0-9_, ]+)\| (\w+)(\[[\w: ]+\]|\(\[\w+\]\))")
RESERVED = {"end", "graph", "flowchart", "subgraph", "style", "class", "click"}

each_playbook = pytest.mark.parametrize(
    "playbook", [pytest.param(book, id=book.version) for book in PLAYBOOKS.values()]
)


def test_graph_is_at_most_40_lines_per_playbook() -> None:
    text = Path(inspect.getfile(graph)).read_text()
    for declared in re.findall(r"^[A-Z_0-9]+ = Playbook\($.*?^\)$", text, re.MULTILINE | re.DOTALL):
        assert len(declared.splitlines()) <= 40
    assert text.count("= Playbook(") + text.count(".with_p95(") == len(PLAYBOOKS)


@each_playbook
def test_playbook_is_listed_under_its_version(playbook: Playbook) -> None:
    assert PLAYBOOKS[playbook.version] is playbook
    assert re.fullmatch(r"[a-z][a-z0-9_]*/[0-9]+", playbook.version)
    assert playbook.name == playbook.version.split("/")[0]


@each_playbook
def test_playbook_is_drawn_with_each_edge(playbook: Playbook) -> None:
    head, *arrows = playbook.mermaid(CATALOGUE).splitlines()
    assert head == "flowchart LR"
    drawn = [ARROW.fullmatch(arrow) for arrow in arrows]
    assert all(drawn), arrows
    begun = [edge.also for edge in playbook.edges if edge.also]
    begun += [step.branch[0] for step in playbook.steps.values() if step.branch]
    targets = [arrow.group(3) for arrow in drawn if arrow]
    assert targets[len(arrows) - len(begun) :] == begun
    targets = targets[: len(arrows) - len(begun)]
    assert [target for target, _ in groupby(targets)] == [
        target for target, _ in groupby(edge.go or (edge.end and edge.end.outcome) for edge in playbook.edges)
    ]
    assert not RESERVED & {name for arrow in drawn if arrow for name in (arrow.group(1), arrow.group(3))}


def test_assist_1_has_this_diagram() -> None:
    assert PLAYBOOKS["assist/1"].mermaid(CATALOGUE).splitlines() == [
        "flowchart LR",
        "  case_manager -->|CaseOpened with agent| specialist[specialist: AnswerQuestion]",
        "  case_manager -->|CaseOpened| triage[triage: ChooseAgent]",
        "  triage -->|AgentChosen| specialist[specialist: AnswerQuestion]",
        "  triage -->|NoAgentFits| no_agent([no_agent])",
        "  specialist -->|FindingsReady| drafter[drafter: DraftAnswer]",
        "  drafter -->|AnswerDrafted| answered([answered])",
        "  any -->|TaskFailed| failed([failed])",
    ]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param((on(CaseOpened, go="nowhere"),), "nowhere", id="an edge to nowhere"),
        pytest.param((task_step("triage", ChooseAgent, attempts=1, seconds=1),), "triage", id="a step without an edge"),
        pytest.param((on(CaseOpened),), "either", id="an edge that leads to nothing"),
        pytest.param(
            (
                task_step("drafter", DraftAnswer, attempts=1, seconds=1),
                on(AnswerDrafted, end_case("answered"), go="drafter"),
            ),
            "either",
            id="an edge that leads to two things",
        ),
    ],
)
def test_invalid_graph_is_refused(parts: tuple[PlaybookStep | PlaybookEdge, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"broken/1.*{message}"):
        Playbook("broken/1", *parts)


def test_first_matching_edge_is_taken() -> None:
    first, second = on(CaseOpened, end_case("rejected", "first")), on(CaseOpened, end_case("rejected", "second"))
    opened = received(OPENED).payload
    assert Playbook("order/1", first, second).edge_for(opened) is first


def test_assist_2_equals_assist_1_with_the_p95_of_later_steps() -> None:
    first, second = PLAYBOOKS["assist/1"], PLAYBOOKS["assist/2"]
    assert second.edges == first.edges
    assert [replace(step, p95=None) for step in second.steps.values()] == list(first.steps.values())
    later = {name: second.later_p95_ms(CATALOGUE, name) for name in second.steps}
    p95 = {name: 1_000 * (step.p95 or 0) for name, step in second.steps.items()}
    assert later == {"triage": p95["specialist"] + p95["drafter"], "specialist": p95["drafter"], "drafter": 0}
    assert {name: first.later_p95_ms(CATALOGUE, name) for name in first.steps} == dict.fromkeys(first.steps)


def test_assist_3_is_assist_2_and_asks_for_consent() -> None:
    second, third = PLAYBOOKS["assist/2"], PLAYBOOKS["assist/3"]
    assert third.edges[: len(second.edges)] == second.edges
    assert {name: third.steps[name] for name in second.steps} == second.steps
    assert [third.later_p95_ms(CATALOGUE, name) for name in second.steps] == [
        second.later_p95_ms(CATALOGUE, name) for name in second.steps
    ]
    added = [line for line in third.mermaid(CATALOGUE).splitlines() if line not in second.mermaid(CATALOGUE)]
    assert added == [
        "  specialist -->|ReauthNeeded, at most 5 times| consent[consent: AskConsent]",
        "  specialist -->|ReauthNeeded| expired([expired])",
        "  consent -->|ConsentGranted| specialist[specialist: AnswerQuestion]",
        "  consent -->|ConsentExpired| expired([expired])",
    ]


def test_assist_4_is_assist_3_and_asks_several_specialists() -> None:
    third, fourth = PLAYBOOKS["assist/3"], PLAYBOOKS["assist/4"]
    assert {replace(edge, also=None) for edge in fourth.edges} >= set(third.edges)
    assert {name: fourth.steps[name] for name in third.steps if name != "triage"} == {
        name: step for name, step in third.steps.items() if name != "triage"
    }
    assert fourth.steps["triage"] == replace(third.steps["triage"], given={"at_most": 3})
    assert [fourth.later_p95_ms(CATALOGUE, name) for name in third.steps] == [
        third.later_p95_ms(CATALOGUE, name) for name in third.steps
    ]
    added = [line for line in fourth.mermaid(CATALOGUE).splitlines() if line not in third.mermaid(CATALOGUE)]
    assert added == [
        "  case_manager -->|CaseOpened with previous_case| recall[recall: GatherBranches]",
        "  case_manager -->|CaseOpened with remember| recall[recall: GatherBranches]",
        "  memory -->|MemoryRecalled| recall[recall: GatherBranches]",
        "  recall -->|BranchesJoined with agent| specialist[specialist: AnswerQuestion]",
        "  recall -->|BranchesJoined| triage[triage: ChooseAgent]",
        "  triage -->|AgentsChosen| gather[gather: GatherBranches]",
        "  gather -->|BranchesJoined| drafter[drafter: DraftAnswer]",
        "  drafter -.->|AnswerDrafted| keep[keep: KeepTurn]",
        "  recall -->|for 4 s| memory[memory: RecallMemory]",
        "  gather -->|each of at most 3 branches| specialist[specialist: AnswerQuestion]",
    ]


SPECIALIST_STEP = task_step("specialist", AnswerQuestion, attempts=1, seconds=1)
GATHER_STEP = gather_step("gather", "specialist", at_most=2)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param(
            (SPECIALIST_STEP, GATHER_STEP, on(CaseOpened, go="gather")), "a fan-out leads", id="no fan-out"
        ),
        pytest.param((SPECIALIST_STEP, on(AgentsChosen, go="specialist")), "a fan-out leads", id="no gather"),
        pytest.param(
            (SPECIALIST_STEP, gather_step("gather", "gather", at_most=2), on(AgentsChosen, go="gather"),
             on(CaseOpened, go="specialist")),
            "or a gather", id="a gather in a branch",
        ),
        pytest.param(
            (SPECIALIST_STEP, gather_step("gather", "specialist", "nowhere", at_most=2), on(AgentsChosen, go="gather")),
            "is missing", id="a step that does not exist",
        ),
    ],
)  # fmt: skip
def test_invalid_fan_out_is_refused(parts: tuple[PlaybookStep | PlaybookEdge, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"broken/1.*{message}"):
        Playbook("broken/1", *parts)


def test_cycle_in_the_graph_is_counted_once() -> None:
    book = Playbook(
        "loop/1",
        task_step("specialist", AnswerQuestion, attempts=1, seconds=9),
        task_step("drafter", DraftAnswer, attempts=1, seconds=9),
        on(CaseOpened, go="specialist"),
        on(FindingsReady, go="drafter"),
        on(AnswerDrafted, go="specialist"),
    ).with_p95("loop/2", specialist=5, drafter=3)
    assert (
        book.later_p95_ms(CATALOGUE, "specialist"),
        book.later_p95_ms(CATALOGUE, "drafter"),
    ) == (3_000, 5_000)


def test_figures_for_other_steps_than_the_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"assist/9.*drafter.*triage"):
        PLAYBOOKS["assist/1"].with_p95("assist/9", specialist=1)


def test_turns_of_a_playbook_with_sessions_are_queued_unless_it_says_otherwise() -> None:
    strict = Playbook("assist/9", *ASSIST_1.steps.values(), *ASSIST_1.edges, turns="reject")
    assert (ASSIST_1.turns, OUTBOUND_EMAIL_1.turns) == ("queue", None)
    assert strict.with_p95("assist/10", triage=1, specialist=1, drafter=1).turns == "reject"
    assert turn_policies(PLAYBOOKS, CURRENT) == {"assist": "queue"}


def test_turns_of_a_playbook_without_sessions_are_refused() -> None:
    with pytest.raises(ValueError, match="no sessions"):
        Playbook("outbound_email/9", *OUTBOUND_EMAIL_1.steps.values(), *OUTBOUND_EMAIL_1.edges, turns="queue")
