"""The event catalogue: every event type, its producers and its consumers. Pure.

Rules, queues, policies, schemas and the AsyncAPI document are generated from an application's catalogue, and consumers
check what they receive against it. A breaking change is a new version beside the old one, never an edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from switchyard.protocol.events import case_manager, failures, router, upstream
from switchyard.protocol.fields import Contract

CASE_MANAGER, ROUTER, AUDIT = "case_manager", "router", "audit"
EXTERNAL = "external"
"""`node_to` of an event that no service consumes: upstream systems subscribe to it with a rule of their own."""

UPSTREAM_PREFIX = "upstream."
MAX_SOURCE = 150
"""Characters of a source's name."""
"""EventBridge source prefix of every system that submits cases."""

OutcomeClass = Literal["reached", "stopped", "failed"]
"""Whether a case reached its goal, was stopped by a decision, or failed."""


Flow = tuple[str, str]


@dataclass(frozen=True)
class EventType:
    """One version of one event type, and the (producer, consumer) pairs between which it may travel.

    `answers` are the commands to which it is an answer: no other task may be answered with it. `stateful`: it hands
    out, or returns, the router's sealed state. `terminal`: it ends its case.
    """

    payload: type[Contract]
    flows: tuple[Flow, ...]
    version: int = 1
    answers: tuple[type[Contract], ...] = ()
    called: str = ""
    """The type's name where the class cannot have it: a second version's class needs another name."""
    stateful: bool = False
    terminal: bool = False
    observers: tuple[str, ...] = ()
    """Nodes that get a copy wherever it travels. A case never waits for them, and their failure is not its own."""

    @property
    def name(self) -> str:
        """The type as it is written in the envelope and in EventBridge's detail-type."""
        return self.called or self.payload.__name__

    @property
    def producers(self) -> tuple[str, ...]:
        """The nodes that may emit it, sorted."""
        return tuple(sorted({producer for producer, _ in self.flows}))

    @property
    def consumers(self) -> tuple[str, ...]:
        """The nodes that handle it, sorted."""
        return tuple(sorted({consumer for _, consumer in self.flows}))


def command_types(node: str, command: type[Contract], *answers: type[Contract]) -> tuple[EventType, ...]:
    """A command from the router to one node, and what that node may answer."""
    return (
        EventType(command, ((ROUTER, node),), stateful=True),
        *(EventType(answer, ((node, ROUTER),), answers=(command,), stateful=True) for answer in answers),
    )


def submission_types(submitted: type[Contract], opened: type[Contract]) -> tuple[EventType, ...]:
    """A submission from upstream, and the first event of the case that it opens."""
    return EventType(submitted, ((UPSTREAM_PREFIX, CASE_MANAGER),)), EventType(opened, ((CASE_MANAGER, ROUTER),))


def consent_types(agents: Iterable[str], *commands: type[Contract]) -> tuple[EventType, ...]:
    """What an application has whose agents act on behalf of users: `agents` may answer `commands` with `ReauthNeeded`,
    and the case then waits for its user."""
    return (
        EventType(
            failures.ReauthNeeded, tuple((node, ROUTER) for node in agents), answers=tuple(commands), stateful=True
        ),
        *command_types(CASE_MANAGER, router.AskConsent, case_manager.ConsentGranted, case_manager.ConsentExpired),
        EventType(case_manager.ConsentRequested, ((CASE_MANAGER, EXTERNAL),)),
        EventType(upstream.GrantRenewed, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
    )


class Catalogue:
    """An application's event types beside the system's own, and the nodes between which they travel. Raises
    `ValueError` for a type that is declared twice or travels to or from an unknown node.

    `observers` are agents that no case gives a task: each with the types that it gets copies of."""

    def __init__(
        self,
        agents: Iterable[str],
        types: Iterable[EventType],
        observers: Mapping[str, tuple[type[Contract], ...]] | None = None,
    ) -> None:
        self.agents = tuple(agents)
        self.observers = dict(observers or {})
        self.nodes = (ROUTER, CASE_MANAGER, *self.agents, AUDIT)
        """Every consumer: each has its own queue, dead-letter queue, process and role."""
        tasked = tuple(agent for agent in self.agents if agent not in self.observers)
        self.types = tuple(self._observed(type_) for type_ in (*types, *_system_types(tasked)))
        self._by_name = {(type_.name, type_.version): type_ for type_ in self.types}
        self._by_payload = {type_.payload: type_ for type_ in self.types}
        if not len(self.types) == len(self._by_name) == len(self._by_payload):
            names = [f"{type_.name} version {type_.version}" for type_ in self.types]
            raise ValueError(
                f"an event type is declared twice: {sorted({each for each in names if names.count(each) > 1})}"
            )
        known = {*self.nodes, UPSTREAM_PREFIX, EXTERNAL}
        for type_ in self.types:
            if unknown := ({node for flow in type_.flows for node in flow} | set(type_.observers)) - known:
                raise ValueError(f"{type_.name} travels between nodes that have no card: {sorted(unknown)}")
            if addressed := {target for _, target in type_.flows} & self.observers.keys():
                raise ValueError(f"{type_.name} is addressed to observers, which get copies only: {sorted(addressed)}")

    def _observed(self, type_: EventType) -> EventType:
        by = tuple(node for node, types in self.observers.items() if type_.payload in types)
        return replace(type_, observers=by) if by else type_

    def find(self, name: str, version: int) -> EventType | None:
        """The type of that name and version, if there is one."""
        return self._by_name.get((name, version))

    def of(self, payload: type[Contract]) -> EventType:
        """The type that has this payload. Raises `KeyError` if the catalogue has none."""
        return self._by_payload[payload]

    def has_type(self, name: str) -> bool:
        """Whether any version of a type of that name is in the catalogue."""
        return any(known == name for known, _ in self._by_name)

    def sources_for(self, consumer: str) -> tuple[str, ...]:
        """The nodes whose events `consumer` may receive, sorted."""
        flows = (flow for type_ in self.types for flow in type_.flows)
        return tuple(sorted({source for source, target in flows if target == consumer} - {UPSTREAM_PREFIX}))

    def types_for(self, consumer: str) -> tuple[EventType, ...]:
        """The event types that `consumer` handles, or observes."""
        return tuple(type_ for type_ in self.types if consumer in (*type_.consumers, *type_.observers))

    def types_emitted_by(self, producer: str) -> tuple[EventType, ...]:
        """The event types that `producer` may emit."""
        return tuple(type_ for type_ in self.types if producer in type_.producers)


def _system_types(agents: tuple[str, ...]) -> tuple[EventType, ...]:
    """What every application has: closing, failing, waiting, approving, suppressing, halting and retrying."""
    outside = ((CASE_MANAGER, EXTERNAL),)
    return (
        EventType(upstream.SuppressionRequested, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
        *command_types(
            CASE_MANAGER,
            router.AskApproval,
            case_manager.ApprovalGranted,
            case_manager.ApprovalDenied,
            case_manager.ApprovalReturned,
            case_manager.ApprovalExpired,
        ),
        *command_types(CASE_MANAGER, router.Wait, case_manager.WaitOver),
        *command_types(CASE_MANAGER, router.GatherBranches, case_manager.BranchesJoined),
        EventType(router.JoinBranch, ((ROUTER, CASE_MANAGER),)),
        EventType(upstream.FeedbackGiven, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
        EventType(upstream.ForgettingRequested, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
        EventType(case_manager.CaseFeedback, outside),
        EventType(case_manager.ContactSuppressed, outside, terminal=True),
        EventType(case_manager.PlaybookHalted, outside, terminal=True),
        EventType(case_manager.PlaybookResumed, outside, terminal=True),
        EventType(case_manager.BudgetSet, outside, terminal=True),
        EventType(case_manager.BudgetReached, outside, terminal=True),
        EventType(router.CloseCase, ((ROUTER, CASE_MANAGER),)),
        # An agent's failure goes to the router's failure edge; the router's own goes to close, never to the router.
        EventType(failures.TaskFailed, (*((node, ROUTER) for node in (*agents, CASE_MANAGER)), (ROUTER, CASE_MANAGER))),
        EventType(case_manager.CaseClosed, outside, terminal=True),
        EventType(case_manager.TaskRetried, ((CASE_MANAGER, ROUTER),)),
        EventType(case_manager.SubmissionRejected, outside, terminal=True),
        EventType(case_manager.RejectionsCounted, outside, terminal=True),
    )
