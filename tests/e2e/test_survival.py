"""Kill anything at any moment: no case is lost, nothing is answered twice, and the log proves it."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SERVICES = ("router", "case_manager", "triage", "text_to_sql", "drafter", "audit")


async def _one_of_each(deployment: Deployment, cases: list[str]) -> None:
    """Every case has one ending, one draft and one outcome of each agent."""
    rows = await deployment.rows(
        """select case_id, count(*) filter (where terminal) as endings,
             count(*) filter (where transition = 'AnswerDrafted') as drafts,
             count(*) filter (where transition = 'FindingsReady') as findings
           from audit.transition where case_id = any($1::uuid[]) group by case_id""",
        cases,
    )
    assert len(rows) == len(cases)
    assert {(row["endings"], row["drafts"], row["findings"]) for row in rows} == {(1, 1, 1)}


async def test_service_kill_9_loses_nothing_and_answers_once(deployment: Deployment) -> None:
    cases = await deployment.submit([deployment.question(f"e2e slow {number}") for number in range(40)])
    events = 0
    for name in SERVICES:
        events = await deployment.moved_on(cases, events)
        await deployment.kill(name)
    closed = await deployment.closed(cases, seconds=120)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    await deployment.settled(cases, seconds=40)
    await _one_of_each(deployment, cases)
    assert await deployment.findings(cases) == []


async def test_postgres_stopped_for_20_seconds_fails_no_case(deployment: Deployment) -> None:
    cases = await deployment.submit(
        [deployment.question(f"e2e slow outage of the database {n}", agent="text_to_sql") for n in range(12)]
    )
    await deployment.moved_on(cases)
    await deployment.do(deployment.stack["postgres"].stop())
    await asyncio.sleep(20)  # real time: longer than the leases and back-offs of the running processes
    await deployment.do(deployment.stack["postgres"].start())
    closed = await deployment.closed(cases, seconds=90)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    failures = await deployment.rows(
        "select case_id from drafter.inbox where failures > 0 and case_id = any($1::uuid[])",
        cases,
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
    assert failures == [], "an unreachable database was counted as an attempt"
    await deployment.settled(cases, seconds=40)
    await _one_of_each(deployment, cases)


async def test_events_repeated_twice_in_random_order_change_nothing(deployment: Deployment) -> None:
    cases = await deployment.submit([deployment.question(f"e2e wells by basin {number}") for number in range(6)])
    closed = await deployment.closed(cases)
    before = await deployment.settled(cases)
    calls = _model_calls(deployment)
    events = [event for case in cases for event in await deployment.events(case)]
    again = [(f"switchyard.{event['node_from']}", event["type"], json.dumps(event)) for event in events * 2]
    random.Random(7).shuffle(again)
    await deployment.put(*again)
    await deployment.quiet()
    assert await deployment.settled(cases) == before
    assert await deployment.closed(cases) == closed
    assert _model_calls(deployment) == calls, "a model was asked again for work that has its outcome"
    assert await deployment.findings(cases) == []


def _model_calls(deployment: Deployment) -> dict[str, Any]:
    with urllib.request.urlopen(f"{deployment.stack.endpoints.simulator}/sim/calls", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)["by_model"]
    return found
