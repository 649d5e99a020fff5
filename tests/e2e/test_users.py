"""Users at the front door of the running stack: they log in, ask, revoke and consent, and read what is theirs."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from services.app import IDENTITY, WAREHOUSE_AUDIENCE
from services.user_requests import UserSession, log_in
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
QUESTION = "e2e wells by basin"
ROLES = {"ana.morales": "FIELD_PERMIAN", "ben.okoro": "FIELD_WILLISTON"}


async def ask(session: UserSession, key: str | None = None) -> dict[str, str]:
    key = key or str(uuid.uuid4())
    return await session.ask(QUESTION, key=key, session=f"s-{key}")


async def event_of(deployment: Deployment, case: str, type_: str) -> dict[str, Any]:
    """The first event of a type of a case, once the log has it."""

    async def wanted() -> dict[str, Any] | None:
        return next((event for event in await deployment.events(case) if event["type"] == type_), None)

    event: dict[str, Any] = await deployment.until(wanted, seconds=60, what=f"{type_} of case {case}")
    return event


async def test_two_users_with_one_question_get_their_own_rows_and_are_named_in_the_log(deployment: Deployment) -> None:
    target, cases = Target(deployment.stack.exports), {}
    for user in ROLES:
        async with log_in(target, user) as session:
            cases[user] = await ask(session)
    closed = await deployment.closed([asked["case_id"] for asked in cases.values()])
    assert {ending["outcome"] for ending in closed.values()} == {"answered"}
    texts = [(await deployment.answer(asked["case_id"]))["text"] for asked in cases.values()]
    assert texts[0] != texts[1]
    for user, role in ROLES.items():
        asked = cases[user]
        events = await deployment.events(asked["case_id"])
        [access] = [access for event in events for access in event.get("access") or ()]
        assert (access["agent"], access["audience"]) == ("text_to_sql", WAREHOUSE_AUDIENCE)
        assert (access["scopes"], access["grant"]) == ([f"session:role:{role}"], asked["grant"])
        assert access["subject"] == events[0]["principal"]["subject"]
        assert user not in json.dumps(events)


async def test_case_of_a_revoked_grant_waits_for_its_own_user_and_goes_on(deployment: Deployment) -> None:
    target = Target(deployment.stack.exports)
    async with log_in(target, "ana.morales") as session:
        grant = (await ask(session))["grant"]
        await session.revoke(grant)
        case = (await ask(session))["case_id"]
        waiting = await event_of(deployment, case, "ConsentRequested")
        assert (waiting["payload"]["grant"], waiting["payload"]["audience"]) == (grant, WAREHOUSE_AUDIENCE)
        assert waiting["payload"]["url"].endswith("/v1/consents")
        with pytest.raises(CommandFailed, match="log in again"):
            await session.consent(grant)
    async with log_in(target, "ben.okoro") as other:
        with pytest.raises(CommandFailed, match="another user"):
            await other.consent(grant)
    await asyncio.sleep(1.1)  # tokens are dated in whole seconds
    async with log_in(target, "ana.morales") as again:
        await again.consent(grant)
    assert (await deployment.closed([case]))[case]["outcome"] == "answered"
    await deployment.settled([case])
    assert await deployment.findings([case]) == []


async def test_submission_without_the_identity_service_is_refused_until_a_retry(
    deployment: Deployment,
) -> None:
    key = str(uuid.uuid4())
    async with log_in(Target(deployment.stack.exports), "ana.morales") as session:
        await deployment.do(deployment.stack[IDENTITY].stop())
        try:
            with pytest.raises(CommandFailed, match="identity service is unreachable") as refused:
                await ask(session, key)
            assert "again" in str(refused.value.remedy)
        finally:
            await deployment.do(deployment.stack[IDENTITY].start())

        async def retried() -> dict[str, str] | None:
            try:
                return await ask(session, key)
            except CommandFailed:
                return None

        first = await deployment.until(retried, seconds=30, what="the identity service")
        assert await ask(session, key) == first
    case = first["case_id"]
    assert (await deployment.closed([case]))[case]["outcome"] == "answered"
