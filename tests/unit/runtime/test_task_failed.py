"""The event that ends a command without a result fits its contract for any error."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.failures import TaskFailed
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskError
from tests.integration.events import NODE, bus_body, command
from tests.reference import build_task_failed, read_event

ASKED = Envelope.model_validate_json(json.dumps(command("0b7bd1f8-0000-4000-8000-000000000001")))
STAMP = {"occurred_at": "2026-07-01T12:00:00Z", "trace": {}}
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3_000)


def payload_of(error: TaskError, *causes: str | None) -> TaskFailed:
    """The payload as the router receives it."""
    event = build_task_failed(ASKED, NODE, error, 2, causes=causes) | STAMP
    payload = read_event(bus_body(event), node="router").payload
    assert isinstance(payload, TaskFailed)
    return payload


def test_task_failed_names_the_task_and_has_no_state() -> None:
    failed = payload_of(PermanentTaskError("too_broad", "every row", "question", "name a period"))
    assert (failed.task, failed.task_type, failed.attempts) == (ASKED.event_id, ASKED.type, 2)
    assert (failed.code, failed.field, failed.remedy) == ("too_broad", "question", "name a period")
    assert "state" not in build_task_failed(ASKED, NODE, RetryableTaskError("busy", ""), 1)


def test_unknown_causes_are_omitted() -> None:
    assert payload_of(RetryableTaskError("busy", ""), None, "throttled: too many", None).causes == (
        "throttled: too many",
    )


@given(storable, st.none() | storable, st.none() | storable, st.none() | storable)
def test_long_text_is_cut_to_the_contracts_limit(
    message: str, field: str | None, remedy: str | None, cause: str | None
) -> None:
    failed = payload_of(RetryableTaskError("busy", message, field, remedy), cause)
    assert failed.message == message[:2_000]
    assert failed.causes == ((cause[:2_000],) if cause else ())


def test_same_failure_builds_the_same_event() -> None:
    error = PermanentTaskError("too_broad", "every row")
    assert build_task_failed(ASKED, NODE, error, 1) == build_task_failed(ASKED, NODE, error, 1)
