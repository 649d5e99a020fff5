"""A case, walked step by step with the real contracts, router and seal."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from contracts.catalogue import CATALOGUE
from contracts.events.case_manager import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen
from services.orchestrator.graph import PLAYBOOKS
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Artefact, Contract, Json, StorageRef
from switchyard.protocol.received import ReceivedEvent
from switchyard.router.playbook import Playbook
from switchyard.router.state_seal import StateSeal
from tests.reference import derive_event, read_event, route
from tests.unit.protocol.bus_events import changed, delivered, golden, with_digest

SEAL = StateSeal({"k1": b"1" * 32})


def received(event: Json) -> ReceivedEvent[Contract]:
    """The event as its consumer reads it off the bus."""
    return read_event(delivered(event), node=event["node_to"])


def routed(event: Json, seal: StateSeal = SEAL, playbooks: Mapping[str, Playbook] = PLAYBOOKS) -> Json:
    """The one event that the router publishes because of this one."""
    (answer,) = route(received(event), seal, playbooks)
    return stamped(answer)


def stamped(event: Json) -> Json:
    return stamp_event(event, occurred_at="2026-07-01T08:00:01Z", trace={"traceparent": "00-1-1-01"})


def opened(*, agent: str | None = None, playbook_version: str = "assist/1") -> Json:
    """A case that has just opened."""
    event = changed(golden("CaseOpened"), "playbook_version", playbook_version)
    return with_digest(changed(event, "payload.agent", agent) if agent else event)


def reply(command: Json, payload: Contract, *, node: str | None = None, written: tuple[Artefact, ...] = ()) -> Json:
    """What an agent publishes: its payload, with the state and the attachments as they were handed to it."""
    envelope = received(command).envelope
    carries_state = CATALOGUE.of(type(payload)).stateful
    return stamped(
        derive_event(
            envelope,
            payload,
            node_from=node or command["node_to"],
            state=command["state"] if carries_state else None,
            state_seal=command["state_seal"],
            storage_refs={**envelope.storage_refs, **dict(map(place, written))} if carries_state else None,
        )
    )


def artefact(name: str, text: str = "") -> Artefact:
    data = f"{name}/{text}".encode()
    return Artefact(name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data), media_type="text/plain")


def place(found: Artefact) -> tuple[str, StorageRef]:
    return found.sha256, StorageRef(inline=base64.b64encode(found.name.encode()).decode())


FINDINGS = artefact("findings")
ANSWER = artefact("answer")

OPENED = opened()
CHOOSE = routed(OPENED)
CHOSEN = reply(CHOOSE, AgentChosen(agent="text_to_sql"))
ANSWER_QUESTION = routed(CHOSEN)
FOUND = reply(ANSWER_QUESTION, FindingsReady(findings=(FINDINGS,), rows=10), written=(FINDINGS,))
DRAFT = routed(FOUND)
DRAFTED = reply(DRAFT, AnswerDrafted(answer=ANSWER, cites=("F1",)), written=(ANSWER,))
CLOSE = routed(DRAFTED)


def failed(command: Json, *, causes: tuple[str, ...] = ()) -> Json:
    """The agent's failure to do what the command says."""
    payload = TaskFailed(
        task=command["event_id"],
        task_type=command["type"],
        code="time_limit",
        message="no result within 60000 ms",
        field="payload.question",
        remedy="ask for less",
        attempts=3,
        causes=causes,
    )
    return reply(command, payload)


def question(event: Json) -> Artefact:
    """The question of the event's case."""
    payload = received(event).payload
    assert isinstance(payload, CaseOpened)
    return payload.question
