"""CATALOGUE: this application's event types, beside the system's own."""

from __future__ import annotations

from contracts.cards import AGENT_CARDS
from contracts.events import (
    case_manager,
    compliance,
    drafter,
    email_sender,
    memory,
    router,
    specialists,
    triage,
    upstream,
)
from switchyard.app.cards import specialist_cards
from switchyard.protocol.catalogue import (
    EXTERNAL,
    ROUTER,
    Catalogue,
    EventType,
    command_types,
    consent_types,
    submission_types,
)
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.judgement import CaseJudged

_SPECIALISTS = tuple(card.name for card in specialist_cards(AGENT_CARDS.values()))

_ON_BEHALF_OF_USERS = tuple(card.name for card in AGENT_CARDS.values() if "ReauthNeeded" in card.emits)

CATALOGUE = Catalogue(
    AGENT_CARDS,
    (
        *submission_types(upstream.CaseSubmitted, case_manager.CaseOpened),
        *command_types("triage", router.ChooseAgent, triage.AgentChosen, triage.AgentsChosen, triage.NoAgentFits),
        EventType(router.AnswerQuestion, tuple((ROUTER, node) for node in _SPECIALISTS), stateful=True),
        EventType(
            specialists.FindingsReady,
            tuple((node, ROUTER) for node in _SPECIALISTS),
            answers=(router.AnswerQuestion,),
            stateful=True,
        ),
        *consent_types(_ON_BEHALF_OF_USERS, router.AnswerQuestion),
        *command_types("memory", router.RecallMemory, memory.MemoryRecalled),
        *command_types("memory", router.KeepTurn),
        EventType(memory.MemoryKept, (("memory", EXTERNAL),)),
        EventType(memory.MemoryForgotten, (("memory", EXTERNAL),), terminal=True),
        *command_types("drafter", router.DraftAnswer, drafter.AnswerDrafted),
        *submission_types(upstream.EmailCaseSubmitted, case_manager.EmailCaseOpened),
        *command_types("compliance", router.CheckContact, compliance.ContactAllowed),
        EventType(
            compliance.ContactBlocked,
            (("compliance", ROUTER),),
            answers=(router.CheckContact, router.CheckSending),
            stateful=True,
        ),
        *command_types("drafter", router.DraftEmail, drafter.EmailDrafted),
        *command_types(
            "compliance", router.ReviewEmail, compliance.EmailPassed, compliance.RevisionNeeded, compliance.EmailBlocked
        ),
        *command_types(
            "compliance",
            router.CheckSending,
            compliance.SendingAllowed,
            compliance.SendingDeferred,
            compliance.ReviewOutdated,
        ),
        *command_types(
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
        EventType(CaseJudged, (("judge", EXTERNAL),)),
    ),
    observers={"judge": (CaseClosed,)},
)
