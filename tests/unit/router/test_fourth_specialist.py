"""A further specialist is a card, its flows and a process: the router, the playbooks and the case manager stay."""

from __future__ import annotations

from dataclasses import replace

from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from services.app import APP
from switchyard.app.application import ProcessDescriptor
from switchyard.app.cards import AgentCard
from switchyard.protocol.catalogue import ROUTER, Catalogue, EventType
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Json
from switchyard.protocol.received import read_event
from switchyard.router.routing import route
from tests.unit.protocol.bus_events import delivered
from tests.unit.router.branch_cases import PARTS, chosen
from tests.unit.router.cases import SEAL

CARD = AgentCard(
    name="core_samples",
    kind="specialist",
    purpose="Describes core samples.",
    consumes=("AnswerQuestion",),
    emits=("FindingsReady", "TaskFailed"),
)


def extended() -> Catalogue:
    """The application's catalogue with the flows of one more specialist."""

    def flows(type_: EventType) -> EventType:
        if type_.payload is AnswerQuestion:
            return replace(type_, flows=(*type_.flows, (ROUTER, CARD.name)))
        if type_.payload is FindingsReady:
            return replace(type_, flows=(*type_.flows, (CARD.name, ROUTER)))
        return type_

    system = {type_.payload for type_ in Catalogue((), ()).types} | {TaskFailed}
    own = [flows(type_) for type_ in CATALOGUE.types if type_.payload not in system]
    return Catalogue((*CATALOGUE.agents, CARD.name), own, CATALOGUE.observers)


WITH_FOURTH = replace(
    APP,
    catalogue=extended(),
    cards={**APP.cards, CARD.name: CARD},
    processes=(*APP.processes, ProcessDescriptor(CARD.name, "core_samples:run")),
)


def followed(event: Json) -> list[Json]:
    catalogue, table = WITH_FOURTH.catalogue, WITH_FOURTH.routing_table
    return route(read_event(catalogue, delivered(event), node=event["node_to"]), SEAL, table)


def test_fourth_specialist_in_parallel_is_one_branch_of_two() -> None:
    event = chosen(2, agents=("text_to_sql", CARD.name))
    gather, first, second = followed(event)
    assert (gather["type"], first["node_to"], second["node_to"]) == ("GatherBranches", "text_to_sql", CARD.name)
    assert second["payload"]["part"]["sha256"] == PARTS[1].sha256


def test_fourth_specialist_is_the_later_step_of_a_sequence() -> None:
    _, first = followed(chosen(2, "sequence", agents=(CARD.name, "text_to_sql")))
    assert (first["type"], first["node_to"]) == ("AnswerQuestion", CARD.name)


def test_playbooks_are_the_released_ones() -> None:
    assert WITH_FOURTH.routing_table.playbooks is APP.routing_table.playbooks
    assert "assist" in WITH_FOURTH.playbooks_of(CARD.name)
