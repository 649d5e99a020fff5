"""A follow-up is understood by the turn before it; without memory the case goes on, and its row says so."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


async def ask(deployment: Deployment, session: str, text: str) -> tuple[str, dict[str, Any]]:
    """One turn, to its end."""
    (case,) = await deployment.submit([deployment.question(text, session_id=session)])
    return case, (await deployment.closed([case]))[case]


async def test_follow_up_is_understood_in_its_session_and_in_no_other(deployment: Deployment) -> None:
    session, other = (f"session-{uuid.uuid4().hex[:12]}" for _ in range(2))
    first, _ = await ask(deployment, session, "e2e wells by basin")
    case, closed = await ask(deployment, session, "e2e and by field?")
    assert closed["outcome"] == "answered"
    assert "FIELD" in (await deployment.answer(case))["citations"][0]["sql"]
    await deployment.settled([case])
    events = {event["type"]: event for event in await deployment.events(case)}
    recalled = events["MemoryRecalled"]["payload"]
    assert [item["id"] for item in recalled["used"]] == [first]
    assert events["AnswerQuestion"]["payload"]["memory"] == recalled["memory"]
    assert events["MemoryKept"]["payload"]["items"][0]["id"] == case
    assert await deployment.findings([case]) == []
    _, elsewhere = await ask(deployment, other, "e2e and by field?")
    assert elsewhere["outcome"] == "no_agent"


async def test_case_without_memory_goes_on_and_its_row_says_so(deployment: Deployment) -> None:
    session = f"session-{uuid.uuid4().hex[:12]}"
    await ask(deployment, session, "e2e wells by basin")
    await deployment.do(deployment.stack["memory"].stop())
    try:
        case, closed = await ask(deployment, session, "e2e basins again")
    finally:
        await deployment.do(deployment.stack["memory"].start())
    assert closed["outcome"] == "answered"
    await deployment.settled([case])
    (joined,) = [event for event in await deployment.events(case) if event["type"] == "BranchesJoined"]
    assert [(each["agent"], each["failure"]["code"]) for each in joined["payload"]["results"]] == [("memory", "late")]

    async def caught_up() -> bool | None:
        found = {event["type"] for event in await deployment.events(case)}
        return {"MemoryRecalled", "MemoryKept"} <= found or None

    # What waited in the queue is kept afterwards, and the late answer changes nothing.
    await deployment.until(caught_up, seconds=60, what="memory to catch up")
    assert await deployment.findings([case]) == []
