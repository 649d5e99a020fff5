"""Callers of the running stack: docs/build/api.md at its word, and a stream over the death of its server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from services.user_requests import UserSession, log_in
from switchyard.app.application import API
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard_client import CaseEvent, NotFound
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
DOC = (Path(__file__).resolve().parents[2] / "docs" / "build" / "api.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
QUESTION = "e2e wells by basin"


def reach(deployment: Deployment, session: UserSession) -> tuple[str, str]:
    """Where the API is, and the user's token."""
    return deployment.stack.exports["SWITCHYARD_API_URL"], str(session.client._token)


def run_block(block: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-c", block], env=os.environ | variables, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_page_for_callers_is_true_on_the_running_stack(deployment: Deployment) -> None:
    target = Target(deployment.stack.exports)
    asking, following, reading = SHELL
    async with log_in(target, "ana.morales") as session:
        api, token = reach(deployment, session)
        asked = json.loads(await asyncio.to_thread(run_block, asking, API=api, TOKEN=token))
        case_id = asked["case_id"]
        await session.wait(case_id, timeout_s=60)
        stream = await asyncio.to_thread(run_block, following, API=api, TOKEN=token, CASE=case_id)
        numbers = [int(each) for each in re.findall(r"^id: (\d+)$", stream, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert "event: end" in stream
        case = json.loads(await asyncio.to_thread(run_block, reading, API=api, TOKEN=token, CASE=case_id))
        assert case["status"] == "closed"
        assert case["position"] == numbers[-1]

        def run_python() -> str:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(PYTHON[0], {"API": api, "TOKEN": token})
            return printed.getvalue()

        printed = await asyncio.to_thread(run_python)
        assert "CaseClosed" in printed

        async def latest() -> dict[str, Any] | None:
            page = await session.client.cases(limit=1)
            events = await deployment.events(page.cases[0].case_id)
            return next((event for event in events if event["type"] == "CaseFeedback"), None)

        event = await deployment.until(latest, seconds=30, what="the feedback")
        assert event["payload"]["thumb"] == "up"
        assert "own count" not in json.dumps(event)
        await deployment.settled([event["case_id"]])
        assert await deployment.findings([event["case_id"]]) == []


async def test_user_sees_and_forgets_what_is_remembered_as_the_page_says(deployment: Deployment) -> None:
    async with log_in(Target(deployment.stack.exports), "gus.larsen") as session:
        api, token = reach(deployment, session)
        asked = await session.ask(f"I prefer metric units. {QUESTION}", key=str(uuid.uuid4()), session="s-memory")
        case_id = asked["case_id"]
        assert (await session.wait(case_id, timeout_s=60)).outcome == "answered"
        mine = session.client

        async def both() -> Any:
            return (await mine.memories())[1:] or None

        await deployment.until(both, seconds=30, what="the preference and the turn")
        ids = {each.id for each in await mine.memories()}

        def run_python() -> str:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(PYTHON[2], {"API": api, "TOKEN": token})
            return printed.getvalue()

        printed = await asyncio.to_thread(run_python)
        assert f"slot {case_id}" in printed
        assert "metric" in printed
        assert f"turn {case_id}" in printed

        async def forgotten() -> Any:
            return not await mine.memories() or None

        await deployment.until(forgotten, seconds=30, what="an empty memory")
        for each in ids:
            with pytest.raises(NotFound):
                await mine.memory(each)

        async def receipt() -> Any:
            found = await deployment.rows(RECEIPTS)
            return next((row for row in found if ids <= set(json.loads(row["ids"]))), None)

        row = await deployment.until(receipt, seconds=30, what="the receipt")
        assert await deployment.findings([row["case_id"]]) == []


RECEIPTS = """
select case_id::text, (select jsonb_agg(i -> 'id') from jsonb_array_elements(payload -> 'items') i) as ids
from audit.transition_detail where transition = 'MemoryForgotten' and payload ->> 'reason' = 'user_request'
"""


async def test_stream_goes_on_over_the_death_of_the_api_without_loss_or_double(deployment: Deployment) -> None:
    target = Target(deployment.stack.exports)
    async with log_in(target, "ben.okoro") as session, log_in(target, "ana.morales") as other:
        session.client._retries = 40
        asked = await session.ask(QUESTION, key=str(uuid.uuid4()), session="s-api")
        case_id, found = asked["case_id"], list[CaseEvent]()

        async def follow() -> None:
            async for event in session.client.events(case_id):
                found.append(event)

        following = asyncio.create_task(follow())
        for _ in range(2):
            await asyncio.sleep(0.3)
            await deployment.kill(API)
        await asyncio.wait_for(following, 90)
        assert (await session.wait(case_id, timeout_s=60)).outcome == "answered"
        assert [event.position for event in found] == list(range(1, len(found) + 1))
        assert "CaseClosed" in {event.type for event in found}
        assert {event.event_id for event in found} == {event["event_id"] for event in await deployment.events(case_id)}
        with pytest.raises(NotFound):
            await other.client.case(case_id)


async def test_question_for_an_unknown_specialist_is_refused_at_the_door(deployment: Deployment) -> None:
    async with log_in(Target(deployment.stack.exports), "ana.morales") as session:
        with pytest.raises(CommandFailed, match=r"no specialist of that name is deployed \(field agent\)"):
            await session.ask(QUESTION, key=str(uuid.uuid4()), session="s-api", agent="astrology")


def test_receiver_of_the_page_verifies_a_webhook() -> None:
    key = bytes(32)
    body, at = b'{"type": "case.closed", "data": {"case_id": "c", "outcome": "answered"}}', str(int(time.time()))
    mac = hmac.new(key, f"id.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": "id",
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        secret = "whsec_" + base64.b64encode(key).decode()
        exec(PYTHON[1], {"HEADERS": headers, "BODY": body, "SECRET": secret})
    assert printed.getvalue() == "c answered\n"
