"""What a task may spend on models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from latency_failover import LatencyBudget
from switchyard.protocol.fields import Contract
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.core.task import Task
from switchyard.runtime.models.budget import data_labels, task_model_budget
from tests.unit.protocol.bus_events import changed, golden, with_digest
from tests.unit.router.cases import received

ATTEMPT = {
    "vendor": "bedrock", "model_id": "m", "role": "primary", "started_ms": 0, "ended_ms": 9, "outcome": "throttled",
}  # fmt: skip


class _Stopped:
    def now(self) -> datetime:
        return datetime(2026, 7, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 1_000.0


def task(
    *, limit_s: float | None = 60, case_s: float | None = 900, later_ms: int | None = None, **more: Any
) -> Task[Contract]:
    """A task with so many seconds left of its limit, and of its case."""
    event = golden("DraftAnswer")
    if later_ms is not None:
        event = with_digest(changed(event, "later_p95_ms", later_ms))
    read: ReceivedEvent[Contract] = received(event)
    return Task(
        read,
        attempt=1,
        deadline=None if limit_s is None else 1_000 + limit_s,
        case_deadline_at=None if case_s is None else 1_000 + case_s,
        clock=_Stopped(),
        **more,
    )


@pytest.mark.parametrize(
    ("asked", "total", "later"),
    [
        (task(), 59_000, 0),
        (task(limit_s=None), 59_000, 0),
        (task(case_s=None, later_ms=20_000), 59_000, 0),
        (task(later_ms=20_000), 59_000, 0),
        (task(case_s=30), 29_000, 0),
        (task(case_s=30, later_ms=20_000), 29_000, 20_000),
        (task(case_s=70, later_ms=20_000), 59_000, 10_000),
        (task(case_s=10, later_ms=20_000), 9_000, 9_000),
        (task(limit_s=0.5), 1_000, 0),
    ],
    ids=[
        "its own limit, less the margin",
        "a default where there is no limit",
        "no deadline, so later steps have all the time they want",
        "later steps have their time after this task's limit",
        "the case ends before the limit",
        "and later steps need most of what is left",
        "later steps reach ten seconds beyond the deadline",
        "later steps need more than there is",
        "a limit that is nearly over still allows a try",
    ],
)
def test_model_budget_is_the_limit_less_case_and_later_steps(asked: Task[Contract], total: int, later: int) -> None:
    assert task_model_budget(asked, margin_ms=1_000) == LatencyBudget(total_ms=total, remaining_nodes_p95_ms=later)


@pytest.mark.parametrize("case_s", [1.9, 0, -60])
def test_case_about_to_end_is_refused_with_its_field(case_s: float) -> None:
    with pytest.raises(PermanentTaskError) as refused:
        task_model_budget(task(case_s=case_s), margin_ms=1_000)
    assert (refused.value.code, refused.value.field) == ("no_time_left", "case_deadline")
    assert refused.value.remedy


def test_earlier_attempts_join_budget_and_unreadable_are_ignored() -> None:
    (known,) = task_model_budget(task(model_attempts=(ATTEMPT, {"role": "unknown"})), margin_ms=0).earlier
    assert (known.role, known.outcome) == ("primary", "throttled")


def labelled(subject: str | None) -> Mapping[str, str]:
    event = golden("DraftAnswer")
    for artefact in (event["payload"]["question"], *event["payload"]["findings"]):
        artefact.pop("subject", None)
    if subject:
        event["payload"]["findings"][0]["subject"] = subject
    return data_labels(Task(received(with_digest(event)), attempt=1, deadline=None))


def test_model_data_is_personal_if_any_input_is_sealed() -> None:
    assert labelled(None) == {"tenant": golden("DraftAnswer")["tenant"], "data": "general", "node": "drafter"}
    assert labelled("11111111-2222-5333-8444-555555555555")["data"] == "personal"
