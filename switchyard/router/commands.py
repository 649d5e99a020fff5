"""The router's commands: what a step is granted, under the router's seal. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from switchyard.protocol.branches import Branch
from switchyard.protocol.catalogue import ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.errors import invalid
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Contract, Json, StorageRef, TaskBudget
from switchyard.protocol.received import ReceivedEvent, first_validation_error
from switchyard.router.case_state import CaseState
from switchyard.router.playbook import SPECIALIST, Playbook, PlaybookStep
from switchyard.router.state_seal import StateSeal


def build_command(
    catalogue: Catalogue,
    event: ReceivedEvent[Contract],
    playbook: Playbook,
    step: PlaybookStep,
    state: CaseState,
    *,
    seal: StateSeal,
    tokens: int,
    later_p95_ms: int | None = None,
    branch: Branch | None = None,
    part: bool = False,
    ordinal: int = 0,
    siblings: int = 1,
) -> Json:
    """The command of a step, to the state's agent if the step is a specialist's. In a branch, or for a `part` of the
    case, the state that goes with it has only what the command is granted. Raises `InvalidEvent` if the state has too
    little for the command."""
    node = str(state.agent) if step.node == SPECIALIST else step.node
    known = (state.facts or {}) | state.artefacts
    granted = {field: known[name] for field, name in step.granted.items() if name in known} | dict(step.given)
    if branch is not None or part:
        kept = {
            name: {each: granted[each] for each in found if each in granted}
            for name, found in (("artefacts", state.artefacts), ("facts", state.facts or {}))
        }
        state = state.model_copy(update=kept | {"facts": kept["facts"] or None})
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
        ordinal=ordinal,
        siblings=siblings,
        state=handed,
        storage_refs=needed_storage_refs(event, {"artefacts": state.artefacts, "facts": state.facts}),
        time_limit_ms=step.seconds * 1_000,
        later_p95_ms=playbook.later_p95_ms(catalogue, step.name) if later_p95_ms is None else later_p95_ms,
        budget=TaskBudget(attempts=step.attempts, tokens=tokens),
        branch=branch,
    )
    return seal_command(sent, seal)


def seal_command(command: Json, seal: StateSeal) -> Json:
    """The command under the router's seal."""
    return command | {"state_seal": seal.seal(command)}


def needed_storage_refs(event: ReceivedEvent[Contract], needed: Mapping[str, Any]) -> dict[str, StorageRef]:
    """The places of the artefacts that are still needed; the others are dropped here."""
    wanted = json.dumps(needed)
    return {sha256: place for sha256, place in event.envelope.storage_refs.items() if sha256 in wanted}


def describe_failure(failure: TaskFailed) -> str:
    """The failure's message with what lay beneath it."""
    return "; caused by ".join((failure.message, *failure.causes))[:2_000]
