"""Make the next event of a case from its cause. Pure: the clock's and the transport's facts are stamped on later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from switchyard.protocol.branches import Branch
from switchyard.protocol.canonical import check_storable
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.envelope import Envelope, add_digest, event_id_for
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.fields import Access, Contract, Json, ModelCall, StorageRef, TaskBudget


class TaskProblem(Protocol):
    """What `TaskFailed` is made of; every task error of the runtime has it."""

    code: str
    message: str
    field: str | None
    remedy: str | None
    model_call: ModelCall | None


def sole_destination(catalogue: Catalogue, node_from: str, payload: type[Contract]) -> str:
    """Where `node_from` sends a `payload`, if the catalogue leaves no choice. Raises `InvalidEvent` if the node may not
    emit it or must name the consumer."""
    targets = [target for source, target in catalogue.of(payload).flows if source == node_from]
    if len(targets) != 1:
        what = "may not emit" if not targets else "must name the consumer of"
        raise InvalidEvent(RejectionReason.UNKNOWN, f"{node_from} {what} {payload.__name__}", "node_to")
    return targets[0]


def derive_event(
    catalogue: Catalogue,
    cause: Envelope,
    payload: Contract,
    *,
    node_from: str,
    node_to: str | None = None,
    ordinal: int = 0,
    siblings: int = 1,
    state: Json | None = None,
    state_seal: str | None = None,
    storage_refs: Mapping[str, StorageRef] | None = None,
    time_limit_ms: int | None = None,
    later_p95_ms: int | None = None,
    budget: TaskBudget | None = None,
    model_call: ModelCall | None = None,
    bundle: str | None = None,
    access: Sequence[Access] = (),
    rubric_score: int | None = None,
    attempt: str | None = None,
    branch: Branch | None = None,
    joined: Sequence[Envelope] = (),
) -> Json:
    """The event that `node_from` emits because of `cause`, complete but for `occurred_at` and `trace`.

    `attempt` names the retry, `branch` the branch that begins here; everything that follows from the event inherits
    them. `joined` are further causes: the ends of the branches, in order.

    Its id and digest depend on nothing but the arguments. Raises `InvalidEvent` for a flow that the catalogue
    does not have, for what has no canonical form (a float, a NUL), and for a state over its limit.
    """
    type_ = catalogue.of(type(payload))
    target = node_to or sole_destination(catalogue, node_from, type(payload))
    if (node_from, target) not in type_.flows:
        raise InvalidEvent(RejectionReason.UNKNOWN, f"{node_from} may not send {type_.name} to {target}", "node_to")
    fields: dict[str, Any] = {
        "event_id": event_id_for(cause.event_id, node_from, type_.name, ordinal),
        "type": type_.name,
        "version": type_.version,
        "tenant": cause.tenant,
        "case_id": cause.case_id,
        "session_id": cause.session_id,
        "opened_on": cause.opened_on,
        "playbook_version": cause.playbook_version,
        "seq": max(each.seq for each in (cause, *joined)) + 1,
        "ordinal": ordinal,
        "siblings": siblings,
        "node_from": node_from,
        "node_to": target,
        "parents": [each.digest for each in (cause, *joined)],
        "case_deadline": cause.case_deadline,
        "budget": (budget or cause.budget).model_dump(mode="json"),
        "principal": cause.principal.model_dump(mode="json", exclude_none=True),
        "payload": payload.model_dump(mode="json", exclude_none=True),
    }
    own_branch = branch or cause.branch
    optional: dict[str, Any] = {
        "time_limit_ms": time_limit_ms,
        "later_p95_ms": later_p95_ms,
        "state": state,
        "state_seal": state_seal,
        "model_call": model_call.model_dump(mode="json") if model_call else None,
        "bundle": bundle,
        "access": [each.model_dump(mode="json") for each in access] or None,
        "rubric_score": rubric_score,
        "attempt": attempt or cause.attempt,
        "branch": own_branch.model_dump(mode="json") if own_branch else None,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    check_storable(fields)
    places = {
        sha256: place.model_dump(mode="json", exclude_none=True) for sha256, place in (storage_refs or {}).items()
    }
    return add_digest(fields | {"storage_refs": places})


def stamp_event(event: Json, *, occurred_at: str, trace: Mapping[str, str]) -> Json:
    """Add the producer's clock and trace to an event; neither is digested."""
    return event | {"occurred_at": occurred_at, "trace": dict(trace)}


def build_task_failed(
    catalogue: Catalogue,
    command: Envelope,
    node: str,
    error: TaskProblem,
    attempts: int,
    *,
    causes: tuple[str | None, ...] = (),
    access: Sequence[Access] = (),
    bundle: str | None = None,
) -> Json:
    """The event that ends `command` without a result."""
    payload = TaskFailed(
        task=command.event_id,
        task_type=command.type,
        code=error.code,
        message=error.message[:2_000],
        field=error.field[:200] if error.field else None,
        remedy=error.remedy[:2_000] if error.remedy else None,
        attempts=attempts,
        causes=tuple(cause[:2_000] for cause in (*causes, *getattr(error, "causes", ())) if cause),
    )
    # The seal goes back without the state: it proves that this node was asked this task.
    seal = command.state_seal if command.node_to == node else None
    return derive_event(
        catalogue,
        command,
        payload,
        node_from=node,
        state_seal=seal,
        model_call=error.model_call,
        bundle=bundle,
        access=access,
    )
