"""Containers that are killed, stopped and scaled while cases run: no event is lost and no task is done twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.compose.conftest import QUESTION, ComposeStack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]
DIRECT = {"agent": "text_to_sql"}


async def _ended_once_each(stack: ComposeStack, cases: list[str]) -> None:
    """Every case is answered, and the published, audited and distinct events are as many."""
    closed = await stack.closed(cases, seconds=180)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    published = await stack.settled(cases, seconds=60)
    [log] = await stack.rows(
        """select count(*) as audited, count(distinct event_id) as distinct_events,
             count(*) filter (where terminal) as endings,
             count(*) filter (where transition = 'AnswerDrafted') as drafts,
             count(*) filter (where transition = 'FindingsReady') as findings
           from audit.transition where case_id = any($1::uuid[])""",
        cases,
    )
    assert published == log["audited"] == log["distinct_events"]
    assert (log["endings"], log["drafts"], log["findings"]) == (len(cases),) * 3
    assert await stack.findings(cases) == []


async def _started(stack: ComposeStack, cases: list[str]) -> None:
    """Wait until text_to_sql works on some of the cases."""

    async def busy() -> bool | None:
        [row] = await stack.rows(
            "select count(*) as tasks from text_to_sql.inbox where completed_at is null and case_id = any($1::uuid[])",
            cases,
            database="SWITCHYARD_WORK_DB_OWNER_URL",
        )
        return True if row["tasks"] else None

    await stack.until(busy, seconds=60, what="text_to_sql to start a task")


async def test_killed_containers_lose_no_event_and_repeat_none(stack: ComposeStack) -> None:
    cases = await stack.submit([stack.question(QUESTION) for _ in range(40)])
    await _started(stack, cases)
    events = 0
    for service in ("case-manager", "text-to-sql", "router"):
        await stack.kill_and_replace(service)
        events = await stack.moved_on(cases, events)
    await _ended_once_each(stack, cases)
    for service in ("case-manager", "text-to-sql", "router"):
        await stack.healthy(service)


async def test_stopped_container_drains_in_its_grace_period_without_redelivery(stack: ComposeStack) -> None:
    cases = await stack.submit([stack.question(QUESTION, **DIRECT) for _ in range(30)])
    await _started(stack, cases)
    container = stack.container("text-to-sql")
    # With the stop_grace_period of the compose file; after that Docker kills the container, and its exit code is 137.
    await asyncio.to_thread(container.stop)
    container.reload()
    state = container.attrs["State"]
    await asyncio.to_thread(container.start)
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
    await _ended_once_each(stack, cases)
    claims = await stack.rows(
        "select claims, failures, count(*) as tasks from text_to_sql.inbox where case_id = any($1::uuid[])"
        " group by claims, failures",
        cases,
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
    assert [tuple(row.values()) for row in claims] == [(1, 0, len(cases))]
    await stack.healthy("text-to-sql")


async def test_tasks_are_shared_by_three_containers_of_a_specialist(stack: ComposeStack) -> None:
    stack.scale("text-to-sql", 3)
    try:
        cases = await stack.submit([stack.question(QUESTION, **DIRECT) for _ in range(60)])
        await _ended_once_each(stack, cases)
        done = {
            container.name: {
                line["case_id"]
                for line in stack.lines(container)
                if line["event"] == "task.done" and line["case_id"] in cases
            }
            for container in stack.containers("text-to-sql")
        }
    finally:
        stack.scale("text-to-sql", 1)
    assert len(done) == 3
    assert all(done.values()), f"a container did no task: { {name: len(each) for name, each in done.items()} }"
    assert sum(len(each) for each in done.values()) == len(cases), "two containers did the same task"
