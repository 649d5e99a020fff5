"""Turns of a session through the real stack: sent at once, answered one after another, other another session."""

from __future__ import annotations

import uuid
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


def span_of(events: list[dict[str, Any]]) -> tuple[datetime, datetime]:
    """When the first agent was asked, and when the case ended."""
    asked = next(event for event in events if event["type"] == "AnswerQuestion")
    return datetime.fromisoformat(asked["occurred_at"]), datetime.fromisoformat(events[-1]["occurred_at"])


async def test_turns_sent_at_once_are_answered_in_order_and_hold_up_no_other_session(deployment: Deployment) -> None:
    long, short = f"s-{uuid.uuid4()}", f"s-{uuid.uuid4()}"
    turns = [deployment.question(f"e2e wells by basin, turn {number}", session_id=long) for number in range(3)]
    cases = await deployment.submit(turns)
    (other,) = await deployment.submit([deployment.question("e2e wells by basin, other", session_id=short)])
    closed = await deployment.closed([*cases, other])
    assert {ending["outcome"] for ending in closed.values()} == {"answered"}
    await deployment.settled([*cases, other])
    by_case = {case: await deployment.events(case) for case in (*cases, other)}
    in_order = sorted(cases, key=lambda case: by_case[case][0]["payload"]["turn"])
    openings = [by_case[case][0]["payload"] for case in in_order]
    assert [opening["turn"] for opening in openings] == [1, 2, 3]
    assert [opening.get("previous_case") for opening in openings] == [None, *in_order[:2]]
    spans = [span_of(by_case[case]) for case in in_order]
    assert all(ended <= asked for (_, ended), (asked, _) in pairwise(spans))
    assert by_case[other][0]["payload"]["turn"] == 1
    assert span_of(by_case[other])[0] < spans[2][0], "the other session did not wait for all three"
    assert await deployment.findings([*cases, other]) == []


async def test_kill_9_of_the_case_manager_between_turns_loses_none(deployment: Deployment) -> None:
    session = f"s-{uuid.uuid4()}"
    cases = await deployment.submit(
        [deployment.question(f"e2e wells by basin, kill {number}", session_id=session) for number in range(6)]
    )
    events = 0
    for _ in range(3):
        events = await deployment.moved_on(cases, events)
        await deployment.kill("case_manager")
    closed = await deployment.closed(cases, seconds=120)
    assert {ending["outcome"] for ending in closed.values()} == {"answered"}
    await deployment.settled(cases, seconds=40)
    openings = [(await deployment.events(case))[0]["payload"]["turn"] for case in cases]
    assert sorted(openings) == [1, 2, 3, 4, 5, 6]
    assert await deployment.findings(cases) == []
