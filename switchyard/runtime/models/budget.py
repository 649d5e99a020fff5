"""What one task may spend on models: its time, its earlier attempts, and who may see its data. Pure."""

from __future__ import annotations

import json

from pydantic import ValidationError

from latency_failover import LatencyBudget, ModelAttempt
from switchyard.protocol.fields import Artefact, Contract, Json
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task

DEFAULT_TASK_LIMIT_MS = 60_000
"""For a task whose playbook sets no time limit."""

MIN_BUDGET_MS = 1_000
"""Less is no time for any model."""

PERSONAL_LABEL = "personal"
GENERAL_LABEL = "general"


def task_model_budget(task: Task[Contract], *, margin_ms: int) -> LatencyBudget:
    """The task's time limit or, if that is sooner, its case's deadline; less `margin_ms`, for storing the result.

    What later steps need (`later_p95_ms`) is taken off only as far as it would reach beyond the case's deadline: time
    after this task's own limit is theirs anyway. Raises `PermanentTaskError` if the case ends too soon for any model.
    """
    left = task.remaining_ms(task.deadline)
    limit = DEFAULT_TASK_LIMIT_MS if left is None else left
    case = task.remaining_ms(task.case_deadline_at)
    if case is not None and case - margin_ms < MIN_BUDGET_MS:
        message = f"the case ends in {max(0, case)} ms, which is too soon for a model call"
        raise PermanentTaskError("no_time_left", message, "case_deadline", "submit with a later deadline")
    total = max(MIN_BUDGET_MS, (limit if case is None else min(limit, case)) - margin_ms)
    later = task.envelope.later_p95_ms or 0
    wanted = 0 if case is None else total - max(0, min(total, case - margin_ms - later))
    return LatencyBudget(
        total_ms=total, remaining_nodes_p95_ms=wanted, earlier=read_earlier_attempts(task.model_attempts)
    )


def read_earlier_attempts(recorded: tuple[Json, ...]) -> tuple[ModelAttempt, ...]:
    """The attempts that the inbox kept. One that this release cannot read is left out: it is advice, not evidence."""
    found = []
    for attempt in recorded:
        try:
            found.append(ModelAttempt.model_validate_json(json.dumps(attempt)))
        except ValidationError:
            continue
    return tuple(found)


def data_labels(task: Task[Contract]) -> dict[str, str]:
    """What the model policy is chosen by: the tenant, and whether the task hands over anything about a person. It is
    about a person if any artefact among the command's own fields is sealed under a person's key."""
    sealed = any(artefact.subject is not None for artefact in _artefacts(task.payload))
    return {
        "tenant": task.envelope.tenant,
        "data": PERSONAL_LABEL if sealed else GENERAL_LABEL,
        "node": task.envelope.node_to,
    }


def _artefacts(payload: Contract) -> list[Artefact]:
    fields = [getattr(payload, name) for name in type(payload).model_fields]
    several = [value if isinstance(value, tuple) else (value,) for value in fields]
    return [value for values in several for value in values if isinstance(value, Artefact)]
