"""One question for several specialists, through the real stack: at once, one after another, with a part that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from switchyard.cli.app.case_retry import retry_case
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_question_for_two_specialists_is_answered_from_both(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e gather two things")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    answer = await deployment.answer(case)
    assert [citation["id"] for citation in answer["citations"]] == ["F1", "F2"]
    assert "Nowhere" not in answer["text"]
    await deployment.settled([case])
    events = await deployment.events(case)
    (joined,) = [event for event in events if event["type"] == "BranchesJoined"]
    assert len(joined["parents"]) == 3
    assert [event["branch"]["number"] for event in events if event["type"] == "AnswerQuestion"] == [0, 1]
    (question,) = [event["payload"]["question"]["sha256"] for event in events if event["type"] == "ChooseAgent"]
    assert all(question not in str(event) for event in events if event["node_to"] == "text_to_sql")
    assert await deployment.findings([case]) == []


async def test_sequence_gives_the_later_specialist_the_findings_of_the_earlier(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e sequence of two")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    await deployment.settled([case])
    events = await deployment.events(case)
    first, second = [event for event in events if event["type"] == "AnswerQuestion"]
    (found, _) = [event["payload"]["findings"] for event in events if event["type"] == "FindingsReady"]
    assert "findings" not in first["payload"]
    assert second["payload"]["findings"] == found
    assert types(events).count("BranchesJoined") == 2
    assert await deployment.findings([case]) == []


async def test_part_that_fails_is_named_in_the_answer(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e partial of two")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    answer = await deployment.answer(case)
    (missing,) = answer["missing"]
    assert (missing["agent"], missing["code"]) == ("text_to_sql", "query_refused")
    assert "Not answered: e2e delete everything (text_to_sql: " in answer["text"]


async def test_case_of_which_every_part_failed_is_retried_as_a_whole(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e hopeless of two")])
    closed = await deployment.closed([case])
    assert (closed[case]["outcome"], closed[case]["code"]) == ("failed", "branches_failed")
    assert closed[case]["message"].count("query_refused") == 2
    from switchyard.cli.app.errors import CommandFailed

    with pytest.raises(CommandFailed, match="failed again"):
        await retry_case(deployment.target, case, operator="oncall", reason="fixed", key_file=None, wait_s=60)
    await deployment.settled([case])
    events = await deployment.events(case)
    assert types(events).count("GatherBranches") == 2
    assert types(events).count("AnswerQuestion") == 4
    assert await deployment.findings([case]) == []


async def test_kill_9_between_arrivals_and_join_loses_no_result(deployment: Deployment) -> None:
    cases = await deployment.submit([deployment.question(f"e2e gather slow {number}") for number in range(12)])
    events = 0
    for name in ("case_manager", "router", "case_manager", "text_to_sql", "case_manager"):
        events = await deployment.moved_on(cases, events)
        await deployment.kill(name)
        await asyncio.sleep(0.3)
    closed = await deployment.closed(cases, seconds=90)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    await deployment.settled(cases, seconds=40)
    for case in cases:
        assert len((await deployment.answer(case))["citations"]) == 2
        counted = types(await deployment.events(case))
        assert (counted.count("BranchesJoined"), counted.count("JoinBranch"), counted.count("AnswerDrafted")) == (
            1,
            2,
            1,
        )
    assert await deployment.findings(cases) == []
