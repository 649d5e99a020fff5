"""Invariants of the catalogue: a new type keeps all of them."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from switchyard.app.cards import AgentCard, specialist_cards
from switchyard.protocol.catalogue import (
    AUDIT,
    CASE_MANAGER,
    EXTERNAL,
    ROUTER,
    UPSTREAM_PREFIX,
    Catalogue,
    EventType,
)
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.failures import ReauthNeeded, TaskFailed
from switchyard.protocol.fields import Artefact, Name, TypeName
from switchyard.runtime.crypto.vault import ADDRESS_FACT

COMMAND_VERBS = (
    *("Answer", "Ask", "Check", "Choose", "Close", "Draft", "Gather", "Join", "Keep", "Recall", "Review", "Send"),
    "Wait",
)
FACT = re.compile(
    r"(ed|Chosen|Feedback|Fits|Forgotten|Given|Halted|Kept|Over|Ready|Sent|Set|TooLate|Undeliverable|Unknown)$"
)
"""What happened, or what is so: past participles, and those that English forms otherwise."""

COMMANDS = {command for type_ in CATALOGUE.types for command in type_.answers}
TASKED = tuple(agent for agent in AGENT_CARDS if agent not in CATALOGUE.observers)
OF_THEIR_OWN = {"MemoryForgotten"}
"""Chains of one event, which belong to no case."""

NOT_AWAITED = {"KeepTurn"}
"""Commands that no case waits for: what follows from them goes to no node."""

each_type = pytest.mark.parametrize("type_", [pytest.param(found, id=found.name) for found in CATALOGUE.types])
each_card = pytest.mark.parametrize("card", [pytest.param(found, id=found.name) for found in AGENT_CARDS.values()])


@each_type
def test_type_has_known_producers_and_consumers(type_: EventType) -> None:
    assert type_.flows
    assert len(set(type_.flows)) == len(type_.flows)
    assert set(type_.producers) <= {*CATALOGUE.nodes, UPSTREAM_PREFIX}
    assert set(type_.consumers) <= {*CATALOGUE.nodes, EXTERNAL}


@each_type
def test_type_is_found_by_name_and_version_and_by_payload(type_: EventType) -> None:
    assert CATALOGUE.find(type_.name, type_.version) is type_
    assert CATALOGUE.of(type_.payload) is type_
    TypeAdapter(TypeName).validate_python(type_.name)


def test_node_other_than_audit_consumes_and_produces() -> None:
    for node in set(CATALOGUE.nodes) - {AUDIT}:
        assert CATALOGUE.types_for(node), node
        assert CATALOGUE.types_emitted_by(node), node
        TypeAdapter(Name).validate_python(node)
    assert CATALOGUE.types_for(AUDIT) == CATALOGUE.types_emitted_by(AUDIT) == ()


@each_type
def test_event_names_are_verbs_for_commands_and_participles_for_facts(type_: EventType) -> None:
    if type_.producers == (ROUTER,):
        assert type_.name.startswith(COMMAND_VERBS)
        assert not FACT.search(type_.name)
    else:
        assert FACT.search(type_.name)


def test_failures_are_called_failed() -> None:
    assert [type_.name for type_ in CATALOGUE.types if "Fail" in type_.name] == ["TaskFailed"]


def test_failures_go_to_router_and_of_router_to_case_manager() -> None:
    failed = CATALOGUE.of(TaskFailed)
    assert set(failed.flows) == {(agent, ROUTER) for agent in (*TASKED, CASE_MANAGER)} | {(ROUTER, CASE_MANAGER)}
    assert not failed.stateful


@each_type
def test_state_travels_with_commands_and_answers(type_: EventType) -> None:
    assert type_.stateful is (bool(type_.answers) or type_.payload in COMMANDS or type_.name in NOT_AWAITED)
    if type_.stateful:
        assert all(ROUTER in flow and set(flow) & {*AGENT_CARDS, CASE_MANAGER} for flow in type_.flows)


@each_type
def test_command_is_answered_by_each_of_its_consumers(type_: EventType) -> None:
    if type_.payload in COMMANDS:
        answers = [answer for answer in CATALOGUE.types if type_.payload in answer.answers]
        assert {producer for answer in answers for producer in answer.producers} == set(type_.consumers)


@each_type
def test_terminal_events_are_those_for_external(type_: EventType) -> None:
    # Four follow the end of their case, the other asks for what the case waits for.
    others = type_.name in {"SendingResolved", "ConsentRequested", "MemoryKept", "CaseFeedback", "CaseJudged"}
    assert type_.terminal is (type_.consumers == (EXTERNAL,) and not others)


def test_case_ending_events_come_from_the_case_manager_only() -> None:
    ending = [type_ for type_ in CATALOGUE.types if type_.terminal and type_.name not in OF_THEIR_OWN]
    assert {producer for type_ in ending for producer in type_.producers} == {CASE_MANAGER}


def test_agent_consumes_events_of_the_router_only() -> None:
    assert {agent: CATALOGUE.sources_for(agent) for agent in TASKED} == dict.fromkeys(TASKED, (ROUTER,))
    assert CATALOGUE.sources_for(CASE_MANAGER) == (ROUTER,)
    assert CATALOGUE.sources_for(ROUTER) == tuple(sorted((CASE_MANAGER, *TASKED)))


def test_observer_gets_copies_only_and_tells_no_node() -> None:
    for observer, observed in CATALOGUE.observers.items():
        assert CATALOGUE.sources_for(observer) == ()
        assert {type_.payload for type_ in CATALOGUE.types_for(observer)} == set(observed)
        assert all(type_.terminal for type_ in CATALOGUE.types_for(observer))
        assert {type_.consumers for type_ in CATALOGUE.types_emitted_by(observer)} == {(EXTERNAL,)}


def test_event_that_is_addressed_to_an_observer_is_refused() -> None:
    types = (EventType(ReauthNeeded, ((ROUTER, "watcher"),)),)
    with pytest.raises(ValueError, match="addressed to observers"):
        Catalogue(["watcher"], types, observers={"watcher": ()})
    with pytest.raises(ValueError, match="no card"):
        Catalogue([], (), observers={"watcher": (CaseClosed,)})


@each_card
def test_card_equals_the_catalogue(card: AgentCard) -> None:
    assert AGENT_CARDS[card.name] is card
    assert set(card.consumes) == {type_.name for type_ in CATALOGUE.types_for(card.name)}
    assert set(card.emits) == {type_.name for type_ in CATALOGUE.types_emitted_by(card.name)}


HELD_BY = {"charts": ("chart",), "files": ("plan", "plan_table")}
"""The names of the artefacts in fields that are not named after one."""


@each_card
def test_card_decrypts_only_artefacts_of_its_events(card: AgentCard) -> None:
    handled = [*CATALOGUE.types_for(card.name), *CATALOGUE.types_emitted_by(card.name)]
    artefacts = {
        name
        for type_ in handled
        for field_name, field in type_.payload.model_fields.items()
        if Artefact.__name__ in str(field.annotation)
        for name in HELD_BY.get(field_name, (field_name,))
    }
    effects = (
        {ADDRESS_FACT} if "address_key" in {name for type_ in handled for name in type_.payload.model_fields} else set()
    )
    # What an observer reads of a case was stored by others: services/judge/grants.sql.
    stored = {"question", "findings"} if card.name in CATALOGUE.observers else set()
    assert set(card.decrypts) <= artefacts | effects | stored


def test_specialists_have_distinct_descriptions_for_triage() -> None:
    for card in specialist_cards(AGENT_CARDS.values()):
        assert len(card.examples) >= 3
        assert card.not_for
    assert [card.name for card in specialist_cards(AGENT_CARDS.values())] == sorted(
        card.name for card in specialist_cards(AGENT_CARDS.values())
    )
