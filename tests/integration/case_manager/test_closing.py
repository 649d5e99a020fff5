"""A case closes once: the first outcome wins, and every later one repeats it."""

from __future__ import annotations

import asyncio
import json

import pytest
import structlog

from switchyard.case_manager import store
from switchyard.protocol.derive import stamp_event
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.received import ReceivedEvent
from tests.integration.case_manager.conftest import CaseManager, StartCaseManager, close_case
from tests.integration.events import bus_body, envelope_of
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.reference import derive_event, read_event

pytestmark = pytest.mark.integration


async def test_case_closes_with_the_outcome_of_the_routers_command(case_manager: CaseManager) -> None:
    opened = await case_manager.submit()
    closed = await case_manager.close(close_case(opened, answer=True))
    assert (closed["type"], closed["node_to"], closed["case_id"]) == ("CaseClosed", "external", opened["case_id"])
    payload = CaseClosed.model_validate_json(json.dumps(closed["payload"]))
    assert payload.outcome == "answered"
    assert payload.answer is not None
    assert list(closed["storage_refs"]) == [payload.answer.sha256], "only the answer leaves with the case"


async def test_first_outcome_wins_and_a_later_close_repeats_it(
    case_manager: CaseManager, start_case_manager: StartCaseManager, clock: ManualClock
) -> None:
    opened = await case_manager.submit()
    first = await case_manager.close(close_case(opened, "answered"))
    clock.advance(5)
    another = await start_case_manager()
    assert await another.close(close_case(opened, "failed")) == first
    assert await case_manager.close(close_case(opened, "answered")) == first


async def test_duration_of_a_case_is_logged_once_whoever_closes_it(
    case_manager: CaseManager, start_case_manager: StartCaseManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, another = await case_manager.submit(), await start_case_manager()
    # A logger of its own: one that an earlier test has used in a process's configuration is not captured.
    monkeypatch.setattr(store, "log", structlog.get_logger())
    with structlog.testing.capture_logs() as logged:
        await asyncio.gather(*(each.close(close_case(opened)) for each in (case_manager, another) * 3))
    [line] = [line for line in logged if line["event"] == "case.closed"]
    assert (line["case_id"], line["playbook"]) == (opened["case_id"], opened["payload"]["playbook"])
    assert line["duration_ms"] >= 0


async def test_concurrent_closers_agree_on_one_event_per_case(
    case_manager: CaseManager, start_case_manager: StartCaseManager
) -> None:
    case_managers = [case_manager, await start_case_manager()]
    cases = [await case_manager.submit() for _ in range(10)]
    asked = [(index, opened) for index in range(6) for opened in cases]
    closed = await asyncio.gather(
        *(
            case_managers[index % 2].close(close_case(opened, ("answered", "failed", "no_agent")[index % 3]))
            for index, opened in asked
        )
    )
    outcomes = {(opened["case_id"], event["digest"]) for (_, opened), event in zip(asked, closed, strict=True)}
    assert len(outcomes) == len(cases)
    assert {case_id for case_id, _ in outcomes} == {opened["case_id"] for opened in cases}


async def test_router_failure_closes_the_case_with_its_reason(case_manager: CaseManager) -> None:
    opened = await case_manager.submit()
    failed = TaskFailed(
        task=opened["event_id"], task_type="CaseOpened", code="unknown_event", message="no edge", field="type",
        remedy="deploy it", attempts=1,
    )  # fmt: skip
    event = derive_event(envelope_of(opened), failed, node_from="router", node_to="case_manager")
    event = stamp_event(event, occurred_at=opened["occurred_at"], trace={})
    closed = await case_manager.close(read_event(bus_body(event), node="case_manager"))
    assert closed["payload"] == {
        "outcome": "failed", "code": "unknown_event", "message": "no edge", "field": "type", "remedy": "deploy it",
        "node": "router",
    }  # fmt: skip


async def test_closed_case_has_no_timer_and_others_keep_theirs(case_manager: CaseManager, owner: Owner) -> None:
    opened, other = await case_manager.submit(), await case_manager.submit()
    await case_manager.close(close_case(opened))
    assert [str(row["case_id"]) for row in await owner.fetch("select case_id from case_manager.timer")] == [
        other["case_id"]
    ]


async def test_event_without_a_closing_type_is_refused(case_manager: CaseManager) -> None:
    opened = read_event(bus_body(await case_manager.submit()), node="router")
    with pytest.raises(InvalidEvent, match="does not close on CaseOpened"):
        await case_manager.close(ReceivedEvent(opened.envelope, opened.payload, opened.raw))
