"""The catalogue: every event type, who may emit it and who gets it.

Rules, queues, policies, schemas and the AsyncAPI document are generated from here; consumers check what they receive
against it. A breaking change is a new version beside the old one, never an edit.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.cards import AGENT_CARDS, specialist_cards
from contracts.events import case_manager, compliance, drafter, email_sender, failures, router, triage, upstream
from contracts.events import specialists as found
from switchyard.protocol.fields import Contract

CASE_MANAGER, ROUTER, AUDIT = "case_manager", "router", "audit"
EXTERNAL = "external"
"""`node_to` of an event that no service of ours consumes: upstream systems subscribe to it with a rule of their own."""

UPSTREAM_PREFIX = "upstream."
"""EventBridge source prefix of every system that submits cases."""


Flow = tuple[str, str]


def _flows(producers: tuple[str, ...], *consumers: str) -> tuple[Flow, ...]:
    return tuple((producer, consumer) for producer in producers for consumer in consumers)


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

    @property
    def name(self) -> str:
        """The type as it stands in the envelope and in EventBridge's detail-type."""
        return self.called or self.payload.__name__

    @property
    def producers(self) -> tuple[str, ...]:
        """Who may emit it, sorted."""
        return tuple(sorted({producer for producer, _ in self.flows}))

    @property
    def consumers(self) -> tuple[str, ...]:
        """Who handles it, sorted."""
        return tuple(sorted({consumer for _, consumer in self.flows}))


def _command_types(node: str, command: type[Contract], *answers: type[Contract]) -> tuple[EventType, ...]:
    """A command of the router's to one node, and what that node may answer."""
    return (
        EventType(command, ((ROUTER, node),), stateful=True),
        *(EventType(answer, ((node, ROUTER),), answers=(command,), stateful=True) for answer in answers),
    )


_FOUND_BY = tuple(card.name for card in specialist_cards())
_AGENTS = tuple(AGENT_CARDS)

_TYPES = (
    EventType(upstream.CaseSubmitted, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
    EventType(case_manager.CaseOpened, ((CASE_MANAGER, ROUTER),)),
    *_command_types("triage", router.ChooseAgent, triage.AgentChosen, triage.NoAgentFits),
    EventType(router.AnswerQuestion, _flows((ROUTER,), *_FOUND_BY), stateful=True),
    EventType(found.FindingsReady, _flows(_FOUND_BY, ROUTER), answers=(router.AnswerQuestion,), stateful=True),
    *_command_types("drafter", router.DraftAnswer, drafter.AnswerDrafted),
    EventType(upstream.EmailCaseSubmitted, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
    EventType(upstream.SuppressionRequested, ((UPSTREAM_PREFIX, CASE_MANAGER),)),
    EventType(case_manager.EmailCaseOpened, ((CASE_MANAGER, ROUTER),)),
    *_command_types("compliance", router.CheckContact, compliance.ContactAllowed),
    EventType(
        compliance.ContactBlocked,
        (("compliance", ROUTER),),
        answers=(router.CheckContact, router.CheckSending),
        stateful=True,
    ),
    *_command_types("drafter", router.DraftEmail, drafter.EmailDrafted),
    *_command_types(
        "compliance",
        router.ReviewEmail,
        compliance.EmailPassed,
        compliance.RevisionNeeded,
        compliance.EmailBlocked,
    ),
    *_command_types(
        CASE_MANAGER,
        router.AskApproval,
        case_manager.ApprovalGranted,
        case_manager.ApprovalDenied,
        case_manager.ApprovalExpired,
    ),
    *_command_types(
        "compliance",
        router.CheckSending,
        compliance.SendingAllowed,
        compliance.SendingDeferred,
        compliance.ReviewOutdated,
    ),
    *_command_types(CASE_MANAGER, router.Wait, case_manager.WaitOver),
    *_command_types(
        "email_sender",
        router.SendEmail,
        email_sender.EmailSent,
        email_sender.SendingHalted,
        email_sender.SendingTooLate,
        email_sender.SendingStopped,
        email_sender.EmailUndeliverable,
        email_sender.SendingUnknown,
    ),
    EventType(email_sender.SendingResolved, (("email_sender", EXTERNAL),)),
    EventType(case_manager.ContactSuppressed, ((CASE_MANAGER, EXTERNAL),), terminal=True),
    EventType(case_manager.PlaybookHalted, ((CASE_MANAGER, EXTERNAL),), terminal=True),
    EventType(case_manager.PlaybookResumed, ((CASE_MANAGER, EXTERNAL),), terminal=True),
    EventType(router.CloseCase, ((ROUTER, CASE_MANAGER),)),
    # An agent's failure goes to the router's failure edge; the router's own goes to close, never back to the router.
    EventType(failures.TaskFailed, (*_flows((*_AGENTS, CASE_MANAGER), ROUTER), (ROUTER, CASE_MANAGER))),
    EventType(case_manager.CaseClosed, ((CASE_MANAGER, EXTERNAL),), terminal=True),
    EventType(case_manager.TaskRetried, ((CASE_MANAGER, ROUTER),)),
    EventType(case_manager.SubmissionRejected, ((CASE_MANAGER, EXTERNAL),), terminal=True),
)

CATALOGUE: dict[tuple[str, int], EventType] = {(type_.name, type_.version): type_ for type_ in _TYPES}
LATEST_TYPES: dict[type[Contract], EventType] = {type_.payload: type_ for type_ in _TYPES}
NODES: tuple[str, ...] = (ROUTER, CASE_MANAGER, *_AGENTS, AUDIT)
"""Every consumer: each has its own queue, dead-letter queue, process and role."""


def allowed_sources(consumer: str) -> tuple[str, ...]:
    """The nodes whose events `consumer` may receive, sorted."""
    flows = (flow for type_ in _TYPES for flow in type_.flows)
    return tuple(sorted({source for source, target in flows if target == consumer} - {UPSTREAM_PREFIX}))


def types_consumed_by(consumer: str) -> tuple[EventType, ...]:
    """The event types that `consumer` handles."""
    return tuple(type_ for type_ in _TYPES if consumer in type_.consumers)


def types_emitted_by(producer: str) -> tuple[EventType, ...]:
    """The event types that `producer` may emit."""
    return tuple(type_ for type_ in _TYPES if producer in type_.producers)
