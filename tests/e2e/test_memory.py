"""A follow-up is understood by the turn before it; without memory the case goes on, and its row says so."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")


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


def run(deployment: Deployment, *arguments: str) -> str:
    """The command line, as an operator runs it; it succeeds."""
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    ran = subprocess.run(
        [SWITCHYARD, *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


async def remember(deployment: Deployment, user: str, text: str) -> list[dict[str, Any]]:
    """One turn of a session of its own in a tenant that has consented; its events."""
    fields = {"tenant": "remembering-e2e", "user_id": user, "session_id": f"session-{uuid.uuid4().hex[:12]}"}
    (case,) = await deployment.submit([deployment.question(text, **fields)])
    assert (await deployment.closed([case]))[case]["outcome"] == "answered"
    await deployment.settled([case])
    assert await deployment.findings([case]) == []
    return await deployment.events(case)


def used(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the case was given of memory."""
    (recalled,) = [event for event in events if event["type"] == "MemoryRecalled"]
    found: list[dict[str, Any]] = recalled["payload"]["used"]
    return found


async def test_preference_is_used_replaced_explained_exported_and_forgotten(deployment: Deployment) -> None:
    user = f"user-{uuid.uuid4().hex[:8]}"
    first = await remember(deployment, user, "I prefer metric units. e2e wells by basin")
    (kept,) = [e["payload"]["items"][0] for e in first if e["type"] == "MemoryKept" and e["siblings"] == 2]
    later = await remember(deployment, user, "e2e basins in another session")
    assert used(later) == [kept]
    await remember(deployment, user, "I now prefer field units. e2e wells")
    person = first[0]["principal"]["subject"]
    (listed,) = [
        row for row in json.loads(run(deployment, "memory", "list", person, "--json")) if row["kind"] == "slot"
    ]
    assert (listed["predicate"], listed["trust"], listed["quarantined"]) == ("preferred_units", "stated", False)
    exported = json.loads(run(deployment, "memory", "export", person))
    assert "field" in [each["text"] for each in exported if each["part"] == "value"]
    why = json.loads(run(deployment, "memory", "why", person, kept["id"], "--json"))
    assert [each["case_id"] for each in why["used"]] == [first[0]["case_id"], later[0]["case_id"]]

    async def replaced() -> dict[str, Any] | None:
        gone: dict[str, Any] | None = json.loads(run(deployment, "memory", "why", person, kept["id"], "--json"))[
            "forgotten"
        ]
        return gone

    assert (await deployment.until(replaced, seconds=30, what="a receipt"))["reason"] == "superseded"
    replayed = run(deployment, "audit", "replay", later[0]["case_id"])
    assert f"input forgotten: slot {kept['id']} (superseded" in replayed
    what_if = ("audit", "replay", later[0]["case_id"], "--what-if", "--model", "simulator", "--json")
    (refused,) = json.loads(run(deployment, *what_if))["cases"]
    assert refused["status"] == "refused"
    assert refused["refused"].startswith(f"gone: slot {kept['id']} (superseded")
    assert refused["refused"].endswith(" was forgotten")
    forgotten = run(deployment, "memory", "forget", person, "--operator", "oncall", "--reason", "they asked")
    assert " forgotten" in forgotten
    assert json.loads(run(deployment, "memory", "list", person, "--json")) == []
    assert json.loads(run(deployment, "memory", "export", person)) == []
    assert used(await remember(deployment, user, "e2e basins once more")) == []
