"""How many events, messages and model calls a case takes, from the playbooks and the catalogue. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from services.orchestrator.graph import CURRENT, PLAYBOOKS
from switchyard.app.cards import specialist_cards
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, EXTERNAL, ROUTER
from switchyard.router.playbook import SPECIALIST, Playbook, PlaybookStep

GOAL_OUTCOMES = frozenset({"answered", "sent"})


@dataclass(frozen=True)
class CasePath:
    """One way through a playbook to its goal, without failures, repetitions and gathers."""

    playbook: str
    steps: tuple[PlaybookStep, ...]
    besides: tuple[PlaybookStep, ...]
    """Tasks that the case does not wait for."""
    queues: dict[str, int]
    """Messages that each queue gets for one case."""

    @property
    def events(self) -> int:
        """Events on the bus: the submission, the opening, two for each task, and two to close."""
        return 4 + 2 * (len(self.steps) + len(self.besides))

    @property
    def messages(self) -> int:
        """Messages on all queues, audit's copy of each event of ours included."""
        return sum(self.queues.values())

    @property
    def model_calls(self) -> int:
        """Steps whose agent calls a model. An agent with tools may call it more than once a step."""
        return sum(_calls_model(step) for step in self.steps)


def list_case_paths() -> tuple[CasePath, ...]:
    """The shortest and the longest way to the goal of each current playbook."""
    found = []
    for version in CURRENT.values():
        playbook = PLAYBOOKS[version]
        shortest, *longer = sorted(_ways(playbook), key=len)
        found += [_way(playbook, steps) for steps in (shortest, *longer[-1:])]
    return tuple(found)


def _ways(playbook: Playbook) -> list[tuple[PlaybookStep, ...]]:
    """Every way from an opening to the goal that takes no step twice."""
    found: list[tuple[PlaybookStep, ...]] = []
    openings = [edge.go for edge in playbook.edges if edge.go and not CATALOGUE.of(edge.event).answers]
    waiting: list[tuple[PlaybookStep, ...]] = [
        (playbook.steps[name],) for name in openings if name and not playbook.steps[name].branch
    ]
    while waiting:
        passed = waiting.pop()
        for edge in playbook.edges:
            if passed[-1].command not in CATALOGUE.of(edge.event).answers:
                continue
            if edge.end is not None and edge.end.outcome in GOAL_OUTCOMES:
                found.append(passed)
            elif edge.go is None or playbook.steps[edge.go].branch:
                continue
            elif playbook.steps[edge.go] not in passed:
                waiting.append((*passed, playbook.steps[edge.go]))
    return found


def _way(playbook: Playbook, steps: tuple[PlaybookStep, ...]) -> CasePath:
    queues = {CASE_MANAGER: 2, ROUTER: 1}  # the submission and the closing; the opening
    ends = [edge for edge in playbook.edges if steps[-1].command in CATALOGUE.of(edge.event).answers]
    besides = tuple(playbook.steps[edge.also] for edge in ends if edge.also is not None)
    for step in besides:
        queues[step.node] = queues.get(step.node, 0) + 1
    for step in steps:
        node = specialist_cards(AGENT_CARDS.values())[0].name if step.node == SPECIALIST else step.node
        queues[node] = queues.get(node, 0) + 1
        queues[ROUTER] += 1
    # Everything but upstream's submission goes to audit as well; what goes to the world has no queue of ours.
    queues[AUDIT] = 3 + 2 * (len(steps) + len(besides))
    assert EXTERNAL not in queues
    return CasePath(playbook.version, steps, besides, queues)


def _calls_model(step: PlaybookStep) -> bool:
    if step.node == SPECIALIST:
        return bool(specialist_cards(AGENT_CARDS.values())[0].vendors)
    # Compliance asks its judge about a draft; whether a person may be contacted, and when, are rules.
    if step.node == "compliance":
        return step.name == "review"
    return step.node in AGENT_CARDS and bool(AGENT_CARDS[step.node].vendors)
