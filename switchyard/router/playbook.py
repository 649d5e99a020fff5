"""The words in which `graph.py` is written: steps, edges, endings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from switchyard.protocol.branches import FanOut
from switchyard.protocol.catalogue import CASE_MANAGER, Catalogue
from switchyard.protocol.events.case_manager import SessionTurn
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import GatherBranches
from switchyard.protocol.fields import Contract
from switchyard.protocol.submissions import TurnPolicy

SPECIALIST = "specialist"
"""The step whose node is the agent that another agent, or upstream, chose."""


@dataclass(frozen=True)
class PlaybookStep:
    """A task for a node: its command, how often it may fail, how long one attempt may take. The command's fields are
    what the step is granted: artefacts and facts of these names (or, in `renamed`, of another) and nothing else."""

    name: str
    node: str
    command: type[Contract]
    attempts: int
    seconds: int
    p95: int | None = None
    """Seconds that 95 of 100 such tasks take from command to answer; None where the playbook does not say."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, JsonValue] = field(default_factory=dict)
    """Fields of the command that the playbook itself states."""
    branch: tuple[str, ...] = ()
    """Of a gather: the steps of one branch, which begins at the first."""
    asks: str | None = None
    """Of a gather that the playbook itself begins: the one agent that it asks, and goes on without if it must."""
    at_most: int = 1
    """Of a gather: how many branches a case may have."""

    @property
    def granted(self) -> dict[str, str]:
        """For each field of the command, the name of the artefact or fact."""
        return {name: self.renamed.get(name, name) for name in self.command.model_fields if name not in self.given}


@dataclass(frozen=True)
class PlaybookEnding:
    """How a case ends. Without a `code`, the event says it."""

    outcome: str
    code: str | None = None
    message: str = ""


@dataclass(frozen=True)
class CasePlace:
    """Where a case is: the step that was answered, how often it took each counted edge, and what is known of it."""

    step: str | None = None
    taken: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[str] = frozenset()


OPENING = CasePlace()


@dataclass(frozen=True)
class PlaybookEdge:
    """On an event of this type (and, if `having` is set, with that field in it; or, if the event has no such field, in
    a case that knows it), go to a step or end the case. `at_most`: how often one case may take it; after that
    it does not match. `after`: only if the event answers this step. `also`: a step whose task is given besides, and not
    waited for."""

    event: type[Contract]
    go: str | None
    end: PlaybookEnding | None
    having: str | None
    at_most: int | None
    after: str | None = None
    also: str | None = None

    @property
    def name(self) -> str:
        """Under which the times that a case took it are counted."""
        return f"{self.event.__name__}/{self.go}"

    def matches(self, payload: Contract, place: CasePlace) -> bool:
        """Whether the event takes this edge in a case that is at `place`."""
        if type(payload) is not self.event or self.after not in (None, place.step):
            return False
        if self.having is not None and not self._is_known(self.having, payload, place):
            return False
        return self.at_most is None or place.taken.get(self.name, 0) < self.at_most

    @staticmethod
    def _is_known(name: str, payload: Contract, place: CasePlace) -> bool:
        if name in type(payload).model_fields:
            return getattr(payload, name) is not None
        return name in place.known


def task_step(
    name: str,
    command: type[Contract],
    *,
    attempts: int,
    seconds: int,
    node: str | None = None,
    p95: int | None = None,
    given: Mapping[str, JsonValue] | None = None,
    **renamed: str,
) -> PlaybookStep:
    """Declare a step; its node has its name unless another is given, and so has each artefact or fact its field's.
    `given` are fields of the command that the playbook states."""
    return PlaybookStep(name, node or name, command, attempts, seconds, p95, renamed, given or {})


def gather_step(name: str, *branch: str, at_most: int, p95: int | None = None) -> PlaybookStep:
    """Declare a fan-out with its join: every branch begins at the first step of `branch` and stays within these steps.
    Any other edge ends the branch: one to another step as its result, an ending as its failure. `at_most`: branches."""
    return PlaybookStep(name, CASE_MANAGER, GatherBranches, 1, 0, p95, branch=branch, at_most=at_most)


def optional_step(name: str, asked: str, agent: str, *, seconds: int, p95: int | None = None) -> PlaybookStep:
    """Declare a gather of one branch, whose one step is `asked`, that the case goes on without: when it fails, and when
    `seconds` are over. Its answer's artefacts are kept under the names of their fields."""
    return PlaybookStep(name, CASE_MANAGER, GatherBranches, 1, seconds, p95, branch=(asked,), asks=agent)


def end_case(outcome: str, code: str | None = None, message: str = "") -> PlaybookEnding:
    """Declare an ending."""
    return PlaybookEnding(outcome, code, message)


def on(
    event: type[Contract],
    end: PlaybookEnding | None = None,
    *,
    go: str | None = None,
    having: str | None = None,
    at_most: int | None = None,
    after: str | None = None,
    also: str | None = None,
) -> PlaybookEdge:
    """Declare an edge; the first that matches is taken."""
    return PlaybookEdge(event, go, end, having, at_most, after, also)


class Playbook:
    """A graph under a version, `name/number`. `turns`: what becomes of a submission whose session has an open turn; a
    playbook has sessions if its cases open with a `SessionTurn`. Raises `ValueError` for an edge or a step that leads
    nowhere, and for `turns` without sessions."""

    def __init__(self, version: str, *parts: PlaybookStep | PlaybookEdge, turns: TurnPolicy | None = None) -> None:
        self.version = version
        self.name = version.partition("/")[0]
        self.steps = {part.name: part for part in parts if isinstance(part, PlaybookStep)}
        self.edges = tuple(part for part in parts if isinstance(part, PlaybookEdge))
        gathers = [step for step in self.steps.values() if step.branch]
        self.side_steps = {edge.also for edge in self.edges if edge.also is not None}
        targets = {edge.go for edge in self.edges if edge.go is not None} | {step.branch[0] for step in gathers}
        targets |= self.side_steps
        if targets != set(self.steps):
            raise ValueError(f"{version}: steps and targets differ: {sorted(targets ^ set(self.steps))}")
        if any(edge.event is TaskFailed and edge.end is None for edge in self.edges):
            # A failure carries no state, so there is nothing to go on with.
            raise ValueError(f"{version}: a failed task ends the case")
        if any((edge.go is None) == (edge.end is None) for edge in self.edges):
            raise ValueError(f"{version}: an edge either goes to a step or ends the case")
        self._check_gathers(gathers)
        has_sessions = any(issubclass(edge.event, SessionTurn) for edge in self.edges)
        if turns is not None and not has_sessions:
            raise ValueError(f"{version}: it has no sessions: no edge is on a SessionTurn")
        self.turns: TurnPolicy | None = (turns or "queue") if has_sessions else None
        granting = (step for step in self.steps.values() if not step.branch)
        self.grants = frozenset(name for step in granting for name in step.granted.values())

    def _check_gathers(self, gathers: list[PlaybookStep]) -> None:
        names = {step.name for step in gathers if step.asks is None}
        if unknown := {edge.after for edge in self.edges if edge.after is not None} - self.steps.keys():
            raise ValueError(f"{self.version}: edges after steps that are missing: {sorted(unknown)}")
        for step in gathers:
            if not set(step.branch) <= self.steps.keys() - {each.name for each in gathers}:
                raise ValueError(f"{self.version}: a branch of {step.name} has a step that is missing, or a gather")
        reached = {(edge.go, issubclass(edge.event, FanOut)) for edge in self.edges if edge.go is not None}
        if {go for go, fans_out in reached if fans_out} != names or {
            go for go, fans_out in reached if not fans_out
        } & names:
            raise ValueError(f"{self.version}: a fan-out leads to a gather, and nothing else does")

    def with_p95(self, version: str, **p95: int) -> Playbook:
        """The same graph under a new version that says how many seconds its steps usually take (P95), by name. Raises
        `ValueError` unless every step has its figure."""
        if set(p95) != set(self.steps):
            raise ValueError(f"{version}: figures and steps differ: {sorted(set(p95) ^ set(self.steps))}")
        steps = [replace(step, p95=p95[name]) for name, step in self.steps.items()]
        return Playbook(version, *steps, *self.edges, turns=self.turns)

    def later_p95_ms(self, catalogue: Catalogue, step: str) -> int | None:
        """What the steps after this one need along the longest way, or None where the playbook does not say. A sum of
        P95s is more than the P95 of the sum: it errs towards leaving the later steps enough."""
        if any(known.p95 is None for known in self.steps.values()):
            return None
        return 1_000 * self._longest_after(catalogue, step, frozenset({step}))

    def _longest_after(self, catalogue: Catalogue, step: str, passed: frozenset[str]) -> int:
        # A way back, such as one more draft, is not counted twice: it is the exception, and has its own deadline.
        ways = [
            (self.steps[later].p95 or 0) + self._longest_after(catalogue, later, passed | {later})
            for later in self._steps_after(catalogue, step)
            if later not in passed
        ]
        return max(ways, default=0)

    def _steps_after(self, catalogue: Catalogue, step: str) -> set[str]:
        """The steps that the answers to a step lead to."""
        command = self.steps[step].command
        answered = [edge for edge in self.edges if command in catalogue.of(edge.event).answers]
        return {edge.go for edge in answered if edge.go and edge.after in (None, step)}

    def edge_for(self, payload: Contract, place: CasePlace = OPENING) -> PlaybookEdge | None:
        """The first edge that the event takes, in a case that is at `place`."""
        return next((edge for edge in self.edges if edge.matches(payload, place)), None)

    def mermaid(self, catalogue: Catalogue) -> str:
        """The graph as a Mermaid flowchart."""
        lines = ["flowchart LR"]
        waiting_for = {step.name: step.command.__name__ for step in self.steps.values()}
        for edge in self.edges:
            label = edge.event.__name__
            label += f" with {edge.having}" if edge.having else ""
            label += f", at most {edge.at_most} times" if edge.at_most else ""
            target = f"{edge.go}[{edge.go}: {waiting_for[edge.go]}]" if edge.go else f"{_end(edge)}([{_end(edge)}])"
            lines += [f"  {origin} -->|{label}| {target}" for origin in self._origins(catalogue, edge)]
        for edge in self.edges:
            if edge.also is not None:
                besides = f"{edge.also}[{edge.also}: {waiting_for[edge.also]}]"
                lines += [
                    f"  {origin} -.->|{edge.event.__name__}| {besides}" for origin in self._origins(catalogue, edge)
                ]
        for step in self.steps.values():
            for first in step.branch[:1]:
                label = f"each of at most {step.at_most} branches" if step.asks is None else f"for {step.seconds} s"
                lines.append(f"  {step.name} -->|{label}| {first}[{first}: {waiting_for[first]}]")
        return "\n".join(lines)

    def _origins(self, catalogue: Catalogue, edge: PlaybookEdge) -> list[str]:
        """The steps that the event answers."""
        type_ = catalogue.of(edge.event)
        if not type_.answers:
            return [type_.producers[0] if len(type_.producers) == 1 else "any"]
        steps = [step.name for step in self.steps.values() if step.command in type_.answers]
        # An edge that says no step is for those for which no other edge on the event says one.
        own = {each.after for each in self.edges if each.event is edge.event and each.after is not None}
        return [name for name in steps if name == edge.after or (edge.after is None and name not in own)]


def _end(edge: PlaybookEdge) -> str:
    return edge.end.outcome if edge.end else ""


def turn_policies(playbooks: Mapping[str, Playbook], current: Mapping[str, str]) -> dict[str, TurnPolicy]:
    """The rule of turns that new cases get, by playbook, of those that have sessions."""
    rules = {name: playbooks[version].turns for name, version in current.items()}
    return {name: rule for name, rule in rules.items() if rule is not None}


@dataclass(frozen=True)
class RoutingTable:
    """What the router decides with: the event types and every released playbook, by version."""

    catalogue: Catalogue
    playbooks: Mapping[str, Playbook]
