"""App: everything that the engine needs to know of an application. Pure data; code is named, and imported when used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from switchyard.app.cards import AgentCard
from switchyard.protocol.budgets import BUDGET_EXCEEDED
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER, UPSTREAM_PREFIX, Catalogue, OutcomeClass
from switchyard.protocol.events.upstream import FeedbackGiven, ForgettingRequested, GrantRenewed, SuppressionRequested
from switchyard.protocol.submissions import Submissions, TurnPolicy, UserSubmission, playbook_of
from switchyard.protocol.topology import ConsumerQueues, consumers
from switchyard.router.playbook import SPECIALIST, Playbook, RoutingTable, turn_policies

APP_VARIABLE = "SWITCHYARD_APP"
DEFAULT_APP = "services.app:APP"

API = "api"
"""The process that answers users over HTTP, its schema and its role."""

ENGINE_OUTCOMES: Mapping[str, OutcomeClass] = {
    "failed": "failed",
    "expired": "failed",
    "cancelled": "stopped",
    "rejected": "stopped",
    "no_agent": "stopped",
    BUDGET_EXCEEDED: "stopped",
}
"""Outcomes with which the engine itself ends a case."""


ANSWER = "answer"
"""The artefact that a case ends with, if it has one (`CaseClosed.answer`)."""


@dataclass(frozen=True)
class ProcessDescriptor:
    """One process of the application: an agent, one that consumes a queue of its own, or a *server*, which handles no
    event at all and is called over HTTP from inside.

    `environment` maps variables of the process to facts of the deployment, and `secrets` to names in `App.secrets`; the
    local stack has both, too. `local` are variables that only the local stack sets.
    """

    node: str
    run: str
    """`module:function`, a coroutine function without arguments."""
    settings: str = "switchyard.runtime.core.settings:WorkSettings"
    """Its settings class, as `module:class`; an agent whose card names model vendors has `ModelSettings`, too."""
    code: tuple[str, ...] = ()
    """What the process's image holds of the application's repository beside `App.code`: paths and patterns."""
    migrations: tuple[str, ...] = ()
    """Folders of migrations beside those of the inbox, as `package:folder`."""
    grants: tuple[str, ...] = ()
    """SQL files with the rights that others need in its schema, and it in theirs, as `package:file`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)
    local_secrets: Mapping[str, str] = field(default_factory=dict)
    """Secrets of the local stack only: in AWS, keys of KMS are in their place."""
    fetched_secrets: Mapping[str, str] = field(default_factory=dict)
    """Variables with the ARN of a secret that the process reads itself, so that it is not in its environment."""
    database: bool = False
    """Whether a process that is no agent has a schema and a role of its own in the work database."""
    egress: tuple[str, ...] = ()
    """What a process that is no agent calls outside, by the names of terraform's `hosts`."""
    consumer: ConsumerQueues | None = None
    """The queue of a process that handles no event of the catalogue."""
    publishes: tuple[str, ...] = ()
    """What such a process puts on the bus, as an upstream."""
    iam: tuple[Mapping[str, Any], ...] = ()
    """IAM statements for AWS services that only this process calls. Terraform replaces `${...}` by facts."""
    http: str | None = None
    """Prefix of the variables that say where the process serves HTTP: `_HOST` and `_PORT` are appended. Its port in the
    local stack is named `NODE_http`."""
    signers: bool = False
    """Whether the process checks signatures of approvers and operators, and needs their public keys."""
    operators: bool = False
    """Whether the process checks signatures of operators alone, and needs their public keys."""
    reviews: bool = False
    """Whether the process shows the log to people: it reads it as `audit_reader`, and opens artefacts as a reviewer."""
    answers: bool = False
    """Whether the process answers callers: it reads users' cases as `audit_api`, and opens `App.answers`."""


@dataclass(frozen=True)
class SimulatorDescriptor:
    """What the local stack runs in place of a system that the application calls. `command` is the module and its
    arguments; the stack appends `--host HOST --port PORT`. `name` is its port's, too."""

    name: str
    command: tuple[str, ...]
    health: str = "/health/ready"
    """The path that answers with 200 once it is ready."""


@dataclass(frozen=True)
class IdentityDescriptor:
    """Who acts on behalf of whom in the local stack, whose identity provider and token exchange take it from here."""

    process: str
    """The node of the identity service."""
    users: str
    """The users of the local identity provider, with public passwords: YAML, as `package:path`."""
    scopes: tuple[str, ...]
    """Every scope that the local token exchange knows."""
    role_scope: str
    """Text before a role's name in a scope."""
    agents: Mapping[str, Mapping[str, tuple[str, ...]]]
    """What tokens of an agent may be for at most: patterns of scopes, by audience. They act on behalf of users: each
    has a certificate and the identity service's address (`IdentityClientSettings`)."""
    sources: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Sources that act for themselves: the fields of a `ServiceGrant`, by the source's name on the bus."""
    callers: tuple[str, ...] = ()
    """Who calls the identity service besides these agents; each caller has a certificate with its name."""
    grant: Mapping[str, Any] = field(default_factory=dict)
    """What each user's grant covers, as the ingress takes it."""

    def certificate_names(self) -> tuple[str, ...]:
        """Who has a certificate: the identity service and those who call it."""
        return (self.process, *self.callers, *self.agents)

    def exchange_clients(self) -> dict[str, dict[str, list[str]]]:
        """Scopes and audiences of each client to register with the token exchange."""
        agents = {
            agent: {
                "scopes": [
                    scope
                    for scope in self.scopes
                    if any(fnmatchcase(scope, pattern) for patterns in audiences.values() for pattern in patterns)
                ],
                "audiences": list(audiences),
            }
            for agent, audiences in self.agents.items()
        }
        # A source gets no token for an audience: an agent exchanges its credential.
        sources = {source: {"scopes": list(grant["scopes"]), "audiences": []} for source, grant in self.sources.items()}
        return agents | sources


@dataclass(frozen=True)
class App:
    """An application. Raises `ValueError` if its parts contradict each other."""

    catalogue: Catalogue
    cards: Mapping[str, AgentCard]
    playbooks: Mapping[str, Playbook]
    current: Mapping[str, str]
    """The version that a new case gets, by playbook; open cases keep theirs."""
    submissions: Submissions
    outcomes: Mapping[str, OutcomeClass]
    processes: tuple[ProcessDescriptor, ...]
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Every secret of the application's own processes, and what it holds."""
    programs: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys((ROUTER, CASE_MANAGER, AUDIT), "switchyard.processes")
    )
    """The package that runs each process of the engine's in an image, called with the node's name."""
    code: tuple[str, ...] = ()
    """What every image holds of the application's repository: paths and patterns."""
    engine_in_repository: bool = False
    """Whether images hold the engine from this repository; else they install its distribution."""
    folders: tuple[str, ...] = ()
    """What the image of the command line holds besides."""
    demo_folders: tuple[str, ...] = ()
    """What the image of the simulators holds besides."""
    simulators: tuple[SimulatorDescriptor, ...] = ()
    identity: IdentityDescriptor | None = None
    """Without it there is no identity service, and no agent acts on behalf of a user."""
    local_users: str | None = None
    """The users of the local identity provider where there is no identity service: YAML, as `package:path`. People log
    in to the console with them."""
    local_upstreams: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """What each source may ask for in the local stack: SWITCHYARD_UPSTREAMS there."""
    local_memory_tenants: tuple[str, ...] = ()
    """Which tenants have consented to memory across sessions in the local stack: SWITCHYARD_MEMORY_TENANTS there."""
    erasures: tuple[str, ...] = ()
    """Functions of the work database that delete what no key seals, as `schema.function`, called with a person's
    pseudonym in the transaction that destroys their key."""
    local_submitters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Under which identities people submit in the local stack: SWITCHYARD_SUBMITTER_IDENTITIES there."""
    local_data: Mapping[str, str] = field(default_factory=dict)
    """Folders whose data simulators serve and processes read, as `package:path`: `{data:NAME}` in a simulator's command
    and in `local`. `switchyard stack up --data NAME=FOLDER` puts another one in its place."""
    model_scripts: tuple[str, ...] = ()
    """What the simulated models answer: scripts or folders of scripts, as `package:path`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The settings classes of programs that are no processes, as `module:class`, by their names."""
    prompts: tuple[str, ...] = ()
    """The text of each prompt in force, as `module:NAME`, where the module has that name. People read it beside the
    answer."""
    artefact_texts: Mapping[str, str] = field(default_factory=dict)
    """How a person reads an artefact, by its name: a function from bytes to text, as `module:function`. Without one,
    an artefact of a text type is shown as it is, and any other one is not shown."""
    artefact_pages: Mapping[str, str] = field(default_factory=dict)
    """How the recipient of an artefact sees it: a function from bytes to HTML or None. The console shows it apart."""
    answers: tuple[str, ...] = ()
    """Sealed artefacts that the API opens for the person who asked, by name."""
    answer_readers: tuple[str, ...] = ()
    """Roles in users' tokens whose holders read, and give feedback on, every case that users of their tenant asked."""
    caller_memory: str | None = None
    """The schema of the work database through whose functions `remembered_by` and `sealed_memory_by` the API shows
    callers what is remembered of them."""
    caller_memory_artefacts: tuple[str, ...] = ()
    """The names of the artefacts that it keeps."""
    first_command: str = "switchyard case list"
    """What `switchyard stack up` suggests to type."""
    demo_cases: str | None = None
    """What `switchyard demo` submits, and how each case must end: YAML, as `package:path`."""
    forgotten_inputs: str | None = None
    """A view of the audit database with `case_id`, `input_id`, `kind`, `reason` and `forgotten_at`: what a step was
    given and is gone since. `switchyard audit replay CASE` lists it."""
    what_if: Mapping[str, str] = field(default_factory=dict)
    """How tasks of an agent run again without effect, by agent: a `WhatIfAgent`, as `module:name`."""
    audit_views: tuple[str, ...] = ()
    """SQL files with views of the audit log for reviewers, as `package:path`."""
    retention_policies: str | None = None
    """A sequence of `PlaybookRetention`, as `module:name`: how long the cases of each playbook are kept."""

    def __post_init__(self) -> None:
        agents = tuple(self.cards)
        _check(agents == self.catalogue.agents, f"cards {agents} and the catalogue's agents {self.catalogue.agents}")
        for card in self.cards.values():
            for declared, types in (
                (card.consumes, self.catalogue.types_for(card.name)),
                (card.emits, self.catalogue.types_emitted_by(card.name)),
            ):
                found = {type_.name for type_ in types}
                _check(
                    set(declared) == found,
                    f"the card of {card.name} and the catalogue: {sorted(set(declared) ^ found)}",
                )
            observes = card.name in self.catalogue.observers
            _check(observes is bool(card.observes), f"{card.name}: an observer's card names playbooks, no other does")
        described = {process.node for process in self.processes}
        _check(set(agents) <= described, f"agents without a process: {sorted(set(agents) - described)}")
        if self.identity is not None:
            _check(self.identity.process in described, f"the identity service {self.identity.process} is not a process")
            strangers = sorted(self.identity.agents.keys() - self.cards.keys())
            _check(not strangers, f"agents that act on behalf of users, without a card: {strangers}")
        unknown = sorted(self.what_if.keys() - self.cards.keys())
        _check(not unknown, f"what-ifs of agents without a card: {unknown}")
        for process in self.processes:
            agent = process.node in self.cards
            _check(not (agent and (process.database or process.egress)), f"{process.node}: its card says that")
        _check(set(self.current.values()) <= self.playbooks.keys(), "`current` names a version that is not released")
        for model in self.submissions:
            _check(self.catalogue.has_type(model.__name__), f"{model.__name__} is not in the catalogue")
            name = playbook_of(model)
            _check(name in self.current, f"{model.__name__} opens the playbook {name}, which has no current version")
        users = [model.__name__ for model in self.submissions if issubclass(model, UserSubmission)]
        _check(len(users) <= 1, f"the API takes one kind of submission, and these are subclasses: {users}")
        _check(not self.has_api or bool(users), "there is an API, and no submission is a UserSubmission")
        for playbook in self.playbooks.values():
            ends = {edge.end.outcome for edge in playbook.edges if edge.end is not None} - self.all_outcomes.keys()
            _check(not ends, f"{playbook.version} has outcomes without a class: {sorted(ends)}")

    @property
    def user_submission(self) -> type[UserSubmission] | None:
        """What users submit through the API; None if nothing."""
        return next((model for model in self.submissions if issubclass(model, UserSubmission)), None)

    @property
    def has_api(self) -> bool:
        """Whether users reach it over HTTP."""
        return any(process.node == API for process in self.processes)

    @property
    def posted_types(self) -> tuple[str, ...]:
        """The types that the function behind the API puts on the bus."""
        kind = self.user_submission
        if kind is None or not self.has_api:
            return ()
        grants = (GrantRenewed.__name__,) if self.identity is not None else ()
        memory = (ForgettingRequested.__name__,) if self.caller_memory is not None else ()
        return kind.__name__, FeedbackGiven.__name__, *memory, *grants

    @property
    def all_outcomes(self) -> Mapping[str, OutcomeClass]:
        """The class of every outcome, the engine's own included."""
        return {**ENGINE_OUTCOMES, **self.outcomes}

    @property
    def routing_table(self) -> RoutingTable:
        """What the router decides with."""
        return RoutingTable(self.catalogue, self.playbooks)

    @property
    def decrypts(self) -> tuple[str, ...]:
        """The sealed artefacts that some agent opens, and the case's answer, which is for people."""
        return tuple(sorted({ANSWER, *(name for card in self.cards.values() for name in card.decrypts)}))

    @property
    def suppression_sources(self) -> frozenset[str]:
        """The bus sources of the application's own processes that report addresses to suppress."""
        reporters = (process for process in self.processes if SuppressionRequested.__name__ in process.publishes)
        return frozenset(UPSTREAM_PREFIX + process.node for process in reporters)

    @property
    def consumers(self) -> tuple[ConsumerQueues, ...]:
        """Every queue: the catalogue's nodes in order, then those of processes with a queue of their own."""
        own = (process.consumer for process in self.processes if process.consumer is not None)
        return (*consumers(self.catalogue), *own)

    @property
    def servers(self) -> tuple[ProcessDescriptor, ...]:
        """The processes that handle no event: they have neither a card nor a queue."""
        return tuple(each for each in self.processes if each.node not in self.cards and each.consumer is None)

    def playbooks_of(self, node: str) -> list[str]:
        """The playbooks, without versions, that give this node a task; for an observer those of its card."""
        if node in self.catalogue.observers:
            return sorted(self.cards[node].observes)
        return sorted(
            {
                playbook.version.partition("/")[0]
                for playbook in self.playbooks.values()
                for step in playbook.steps.values()
                if node in ({step.node} if step.node != SPECIALIST else self.catalogue.of(step.command).consumers)
            }
        )

    @property
    def turns(self) -> Mapping[str, TurnPolicy]:
        """The rule of turns that new cases get, by playbook, of those that have sessions."""
        return turn_policies(self.playbooks, self.current)

    def process(self, node: str) -> ProcessDescriptor:
        """The process of a node. Raises `KeyError`."""
        return {process.node: process for process in self.processes}[node]


def load_reference(reference: str) -> Any:
    """What a `module:attribute` names. Raises `ValueError` for another form, `ImportError` if it does not exist."""
    module, _, name = reference.partition(":")
    if not module or not name:
        raise ValueError(f"{reference} is not a reference: write module:attribute")
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        raise ImportError(f"{module} has no {name}") from None


def resource_path(reference: str) -> Path:
    """What a `package:path` names, wherever the package is installed."""
    package, _, path = reference.partition(":")
    return Path(str(files(package))) / path


class AppUnusable(Exception):
    """There is no application, or it contradicts itself. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@cache
def load_app() -> App:
    """The application that SWITCHYARD_APP names. Raises `AppUnusable`."""
    reference = os.environ.get(APP_VARIABLE) or DEFAULT_APP
    missing = AppUnusable(
        f"there is no application {reference}",
        f"run this in the application's repository, or name its App in {APP_VARIABLE} as module:name",
    )
    try:
        app = load_reference(reference)
    except ModuleNotFoundError as error:
        # A module that the application itself misses is a fault in it, with a traceback of its own.
        if not f"{reference.partition(':')[0]}.".startswith(f"{error.name}."):
            raise
        raise missing from error
    except ValueError as error:
        raise AppUnusable(f"the application {reference} cannot be used: {error}", "correct what it names") from error
    if not isinstance(app, App):
        raise missing
    return app


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(f"the application contradicts itself: {problem}")
