"""`route(event) -> events`: what happens next. No clock, no network, no database, no model. All inputs of a decision
travel in the event, so any decision ever made can be made again from the log."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from switchyard.protocol.branches import FanOut, PlannedBranch
from switchyard.protocol.budgets import BUDGET_EXCEEDED
from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.errors import InvalidEvent, NotDeployed, RejectionReason, forged, invalid
from switchyard.protocol.events.case_manager import BranchesJoined, TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import CloseCase, GatherBranches
from switchyard.protocol.fields import Artefact, Contract, Json
from switchyard.protocol.received import ReceivedEvent, first_validation_error
from switchyard.router.branches import end_branch, fan_out, join_results, keep_answers, leaves_branch, next_tokens
from switchyard.router.case_state import BranchPlan, CaseState
from switchyard.router.commands import build_command, describe_failure, needed_storage_refs
from switchyard.router.playbook import (
    OPENING,
    SPECIALIST,
    Playbook,
    PlaybookEdge,
    PlaybookEnding,
    PlaybookStep,
    RoutingTable,
)
from switchyard.router.retry import quoted_command, reissue_command
from switchyard.router.state_seal import StateSeal


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
    match event.payload:
        case TaskRetried():
            return _retry(event, seal, table.catalogue, playbook)
        case TaskFailed() as failure:
            return _fail(event, failure, seal, table.catalogue, playbook)
        case _:
            return _advance(event, seal, table.catalogue, playbook)


def _fail(
    event: ReceivedEvent[Contract], failure: TaskFailed, seal: StateSeal, catalogue: Catalogue, playbook: Playbook
) -> list[Json]:
    """What follows from a failed task: the end of its branch, or of its case. A side step's failure is its own."""
    if failure.task != seal.verify(event.envelope):
        raise forged("a failure of another task than the sealed one", "payload.task")
    if event.envelope.branch is not None:
        return [end_branch(catalogue, event, None)]
    if failure.task_type in {playbook.steps[name].command.__name__ for name in playbook.side_steps}:
        return []
    if failure.code == BUDGET_EXCEEDED:
        return [_close(catalogue, event, PlaybookEnding(BUDGET_EXCEEDED), {})]
    failed = playbook.edge_for(failure)
    return [_close(catalogue, event, failed.end if failed and failed.end else PlaybookEnding("failed"), {})]


def _advance(event: ReceivedEvent[Contract], seal: StateSeal, catalogue: Catalogue, playbook: Playbook) -> list[Json]:
    """What follows from an opening or an answer, by the first edge that it takes."""
    before = _state_of(catalogue, event, seal, playbook)
    edge = playbook.edge_for(event.payload, before.place if before else OPENING)
    if edge is None:
        raise InvalidEvent(RejectionReason.UNKNOWN, f"{playbook.version} has no edge for {event.envelope.type}", "type")
    if leaves_branch(playbook, before, edge):
        return [end_branch(catalogue, event, edge)]
    state = _remember(event, before, edge, playbook)
    gather = _gather_of(playbook, before, edge) if state.plan else None
    if gather is not None:
        return fan_out(catalogue, event, playbook, gather, state, tokens=next_tokens(event), seal=seal)
    if edge.end is not None:
        besides = [] if edge.also is None else [_side_task(catalogue, event, playbook, edge.also, state, seal=seal)]
        return [_close(catalogue, event, edge.end, state.artefacts, siblings=1 + len(besides)), *besides]
    step = playbook.steps[str(edge.go)]
    if step.node == SPECIALIST and state.agent not in catalogue.of(step.command).consumers:
        ending = PlaybookEnding("no_agent", "unknown_agent", "The chosen agent is not deployed.")
        return [_close(catalogue, event, ending, {})]
    return [build_command(catalogue, event, playbook, step, state, seal=seal, tokens=next_tokens(event))]


def _side_task(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    playbook: Playbook,
    name: str,
    state: CaseState,
    *,
    seal: StateSeal,
) -> Json:
    """A task that the case does not wait for. Its state says nothing: no answer comes back to the router."""
    step = playbook.steps[name]
    known = CaseState(step="intake", node=ROUTER, artefacts=state.artefacts, facts=state.facts)
    return build_command(catalogue, event, playbook, step, known, seal=seal, tokens=0, part=True, ordinal=1, siblings=2)


def _gather_of(playbook: Playbook, before: CaseState | None, edge: PlaybookEdge) -> PlaybookStep | None:
    """The gather that the edge leads to or, while its sequence is unfinished, comes from."""
    names = (edge.go, before.step if before else None)
    return next(
        (playbook.steps[name] for name in names if name in playbook.steps and playbook.steps[name].branch), None
    )


def _retry(event: ReceivedEvent[Contract], seal: StateSeal, catalogue: Catalogue, playbook: Playbook) -> list[Json]:
    """A failed task again. Of a gather whose branches all failed, that is every branch."""
    command, quoted = quoted_command(event, seal)
    if command.type != GatherBranches.__name__:
        return [reissue_command(event, command, quoted, seal, catalogue)]
    state = _read_state(quoted["state"])
    step = playbook.steps.get(state.step)
    if step is None or not step.branch:
        raise InvalidEvent(RejectionReason.UNKNOWN, f"{playbook.version} has no gather {state.step}", "payload.command")
    return fan_out(catalogue, event, playbook, step, state, tokens=command.budget.tokens, seal=seal)


def _state_of(
    catalogue: Catalogue, event: ReceivedEvent[Contract], seal: StateSeal, playbook: Playbook
) -> CaseState | None:
    """The state the case is in; None when it has just opened."""
    answers = catalogue.of(type(event.payload)).answers
    if not answers:  # the case manager opens a case; everything else that is routed answers a command
        return None
    seal.verify(event.envelope)
    sealed = seal.state_of(event.envelope, event.raw.get("state"))
    state = _read_state(sealed)
    if state.node != event.envelope.node_from:
        raise forged(f"{event.envelope.node_from} answered a task that was given to {state.node}", "node_from")
    step = playbook.steps.get(state.step)
    if step is None or step.command not in answers:
        # One node may have several steps: an answer to one must not pass for an answer to another.
        raise forged(f"{event.envelope.type} is no answer to the step {state.step}", "type")
    return state


def _read_state(sealed: Json) -> CaseState:
    try:
        return CaseState.model_validate_json(json.dumps(sealed))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise invalid(message, f"state.{field}", "deploy the router that knows this state") from None


def _remember(
    event: ReceivedEvent[Contract], state: CaseState | None, edge: PlaybookEdge, playbook: Playbook
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
        elif name in playbook.grants:
            facts.pop(name, None)
            facts |= {name: fields[name]} if name in fields else {}
    taken = dict(state.taken or {}) if state else {}
    if edge.at_most is not None:
        taken[edge.name] = taken.get(edge.name, 0) + 1
    agent = fields.get("agent") or (state.agent if state else None)
    plan = state.plan if state else None
    if isinstance(event.payload, FanOut):
        plan = BranchPlan(mode=event.payload.mode, branches=event.payload.branches)
    elif edge.go is not None and (asked := playbook.steps[edge.go].asks) is not None:
        plan = BranchPlan(mode="parallel", branches=(PlannedBranch(agent=asked),))
    remembered = CaseState(
        step="intake",
        node=ROUTER,
        agent=agent,
        artefacts=artefacts,
        facts=facts or None,
        taken=taken or None,
        plan=plan,
        gather=state.gather if state else None,
    )
    if not isinstance(event.payload, BranchesJoined):
        return remembered
    optional = state is not None and playbook.steps[state.step].asks is not None
    return keep_answers(remembered, event.payload) if optional else join_results(remembered, event.payload)


def _close(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    ending: PlaybookEnding,
    artefacts: Mapping[str, JsonValue],
    *,
    siblings: int = 1,
) -> Json:
    failure = event.payload if isinstance(event.payload, TaskFailed) else None
    answer = Artefact.model_validate_json(json.dumps(artefacts["answer"])) if "answer" in artefacts else None
    payload = CloseCase(
        outcome=ending.outcome,
        code=ending.code or str(getattr(event.payload, "code", ending.outcome)),
        message=describe_failure(failure) if failure else ending.message or getattr(event.payload, "message", ""),
        field=failure.field if failure else None,
        remedy=failure.remedy if failure else None,
        node=event.envelope.node_from if failure else None,
        answer=answer,
        rules=getattr(event.payload, "rules", None) or None,
    )
    kept = {"answer": artefacts["answer"]} if answer else {}
    return derive_event(
        catalogue,
        event.envelope,
        payload,
        node_from=ROUTER,
        siblings=siblings,
        storage_refs=needed_storage_refs(event, kept),
    )
