"""`route(event) -> events`: what happens next. No clock, no network, no database, no model. All inputs of a decision
travel in the event, so any decision ever made can be made again from the log."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field, JsonValue, ValidationError

from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.errors import InvalidEvent, NotDeployed, RejectionReason, forged, invalid
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase
from switchyard.protocol.fields import Artefact, Contract, Json, Name, StorageRef, TaskBudget
from switchyard.protocol.received import ReceivedEvent, first_validation_error
from switchyard.router.playbook import SPECIALIST, Playbook, PlaybookEdge, PlaybookEnding, PlaybookStep, RoutingTable
from switchyard.router.retry import reissue_command
from switchyard.router.state_seal import StateSeal


class CaseState(Contract):
    """What the router must remember of a case. Control facts only: results are artefacts."""

    step: Name = Field(description="The step that is under way.")
    node: Name = Field(description="Who must answer it.")
    agent: Name | None = None
    artefacts: dict[str, JsonValue] = Field(default_factory=dict, description="References, by their field.")
    facts: dict[str, JsonValue] | None = Field(default=None, description="What a step is granted, by its field.")
    taken: dict[str, int] | None = Field(default=None, description="How often it took each counted edge.")


def route(event: ReceivedEvent[Contract], seal: StateSeal, table: RoutingTable) -> list[Json]:
    """The events that follow from `event`.

    Raises `InvalidEvent`: forged, if the state is not ours or the wrong node answered; unknown, if the case's graph
    version is not in the table. Whether an operator may ask for a retry is decided before, in `decisions.py`.
    """
    playbook = table.playbooks.get(event.envelope.playbook_version)
    if playbook is None:
        message = f"playbook version {event.envelope.playbook_version} is not deployed"
        remedy = "keep a released version in graph.py while cases on it are open"
        raise NotDeployed(message, field="playbook_version", remedy=remedy)
    if isinstance(event.payload, TaskRetried):
        return [reissue_command(event, seal, table.catalogue)]
    if isinstance(event.payload, TaskFailed):
        if event.payload.task != seal.verify(event.envelope):
            raise forged("a failure of another task than the sealed one", "payload.task")
        failed = playbook.edge_for(event.payload, {})
        return [_close(table.catalogue, event, failed.end if failed and failed.end else PlaybookEnding("failed"), {})]
    before = _state_of(table.catalogue, event, seal, playbook)
    edge = playbook.edge_for(event.payload, (before.taken if before else None) or {})
    if edge is None:
        raise InvalidEvent(RejectionReason.UNKNOWN, f"{playbook.version} has no edge for {event.envelope.type}", "type")
    state = _remember(event, before, edge, playbook.grants)
    if edge.end is not None:
        return [_close(table.catalogue, event, edge.end, state.artefacts)]
    return [_command(table.catalogue, event, playbook, playbook.steps[str(edge.go)], state, seal=seal)]


def _state_of(
    catalogue: Catalogue, event: ReceivedEvent[Contract], seal: StateSeal, playbook: Playbook
) -> CaseState | None:
    """The state the case is in; None when it has just opened."""
    answers = catalogue.of(type(event.payload)).answers
    if not answers:  # the case manager opens a case; everything else that is routed answers a command
        return None
    seal.verify(event.envelope)
    sealed = seal.state_of(event.envelope, event.raw.get("state"))
    try:
        state = CaseState.model_validate_json(json.dumps(sealed))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise invalid(message, f"state.{field}", "deploy the router that knows this state") from None
    if state.node != event.envelope.node_from:
        raise forged(f"{event.envelope.node_from} answered a task that was given to {state.node}", "node_from")
    step = playbook.steps.get(state.step)
    if step is None or step.command not in answers:
        # One node may have several steps: an answer to one must not pass for an answer to another.
        raise forged(f"{event.envelope.type} is no answer to the step {state.step}", "type")
    return state


def _remember(
    event: ReceivedEvent[Contract], state: CaseState | None, edge: PlaybookEdge, grants: frozenset[str]
) -> CaseState:
    """The state with what the event adds: artefacts and granted facts under the names of their fields, the agent. A
    fact that the event has a field for and leaves out is forgotten: the newest event withdraws it."""
    fields = event.payload.model_dump(mode="json", exclude_none=True)
    artefacts = dict(state.artefacts) if state else {}
    facts = dict(state.facts or {}) if state else {}
    for name in type(event.payload).model_fields:
        value = getattr(event.payload, name)
        if isinstance(value, Artefact) or (isinstance(value, tuple) and value and isinstance(value[0], Artefact)):
            artefacts[name] = fields[name]
        elif name in grants:
            facts.pop(name, None)
            facts |= {name: fields[name]} if name in fields else {}
    taken = dict(state.taken or {}) if state else {}
    if edge.at_most is not None:
        taken[edge.name] = taken.get(edge.name, 0) + 1
    agent = fields.get("agent") or (state.agent if state else None)
    return CaseState(
        step="intake", node=ROUTER, agent=agent, artefacts=artefacts, facts=facts or None, taken=taken or None
    )


def _command(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    playbook: Playbook,
    step: PlaybookStep,
    state: CaseState,
    *,
    seal: StateSeal,
) -> Json:
    node = step.node
    if step.node == SPECIALIST:
        if state.agent not in catalogue.of(step.command).consumers:
            return _close(
                catalogue, event, PlaybookEnding("no_agent", "unknown_agent", "The chosen agent is not deployed."), {}
            )
        node = str(state.agent)
    known = (state.facts or {}) | state.artefacts
    granted = {field: known[name] for field, name in step.granted.items() if name in known}
    handed = state.model_copy(update={"step": step.name, "node": node}).model_dump(mode="json", exclude_none=True)
    try:
        command = step.command.model_validate_json(json.dumps(granted))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise invalid(f"{step.name} cannot be asked: {message}", field) from None
    sent = derive_event(
        catalogue,
        event.envelope,
        command,
        node_from=ROUTER,
        node_to=node,
        state=handed,
        storage_refs=_needed_storage_refs(event, state.artefacts),
        time_limit_ms=step.seconds * 1_000,
        later_p95_ms=playbook.later_p95_ms(catalogue, step.name),
        budget=TaskBudget(attempts=step.attempts, tokens=event.envelope.budget.tokens),
    )
    return sent | {"state_seal": seal.seal(sent)}


def _close(
    catalogue: Catalogue, event: ReceivedEvent[Contract], ending: PlaybookEnding, artefacts: Mapping[str, JsonValue]
) -> Json:
    failure = event.payload if isinstance(event.payload, TaskFailed) else None
    answer = Artefact.model_validate_json(json.dumps(artefacts["answer"])) if "answer" in artefacts else None
    payload = CloseCase(
        outcome=ending.outcome,
        code=ending.code or str(getattr(event.payload, "code", ending.outcome)),
        message=_describe_failure(failure) if failure else ending.message or getattr(event.payload, "message", ""),
        field=failure.field if failure else None,
        remedy=failure.remedy if failure else None,
        node=event.envelope.node_from if failure else None,
        answer=answer,
        rules=getattr(event.payload, "rules", None) or None,
    )
    kept = {"answer": artefacts["answer"]} if answer else {}
    return derive_event(
        catalogue, event.envelope, payload, node_from=ROUTER, storage_refs=_needed_storage_refs(event, kept)
    )


def _describe_failure(failure: TaskFailed) -> str:
    """The failure's message with what lay beneath it."""
    return "; caused by ".join((failure.message, *failure.causes))[:2_000]


def _needed_storage_refs(event: ReceivedEvent[Contract], artefacts: Mapping[str, JsonValue]) -> dict[str, StorageRef]:
    """The places of the artefacts that are still needed; the others are dropped here."""
    wanted = json.dumps(artefacts)
    return {sha256: place for sha256, place in event.envelope.storage_refs.items() if sha256 in wanted}
