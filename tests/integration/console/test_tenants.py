"""Who may see some tenants sees nothing of another one: every endpoint with every role, by its direct address too."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.app import APP
from switchyard.console.access import ENDPOINTS, ROLES, ConsoleRole
from switchyard.console.app import ConsoleApp
from switchyard.console.tenants import MAX_TENANTS, read_tenants
from switchyard.processes.console import build_views
from switchyard.protocol.events.router import CloseCase
from tests.integration.console.conftest import Console
from tests.integration.console.served import BASE, SECRET, SECRET_TEXT, console_settings, encoded, failed_case, visiting
from tests.integration.console.test_access import CLOSED, ENDLESS, path_of
from tests.integration.console.test_commands import signed_cancels
from tests.integration.console.test_dashboards import number, row_of
from tests.integration.console.test_login import SECRET as CLIENT_SECRET
from tests.integration.console.test_login import browser, log_in, provider
from tests.integration.console.test_tail import following
from tests.integration.infrastructure import Infrastructure
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
__all__ = ["provider"]
OTHER = ("zenith",)
"""Whom the fixtures' cases do not belong to: those are acme's."""

BY_CASE = sorted(
    name for name in CLOSED if "{case_id}" in ENDPOINTS[name].path or "{approval_id}" in ENDPOINTS[name].path
)


def known_of_acme(console: Console) -> set[str]:
    """What no response to others may hold."""
    log = console.log
    every = [*log.answered, *log.failed, log.sealed, log.hostile, log.waiting]
    ids = {case.case_id for case in every} | {event["event_id"] for case in every for event in case.events}
    return ids | {str(log.approval["approval_id"]), *encoded(SECRET), SECRET_TEXT}


async def ask(console: Console, name: str, *roles: ConsoleRole, query: str = "", **form: Any) -> Any:
    with visiting(console.app, console.views, *roles, tenants=OTHER) as visitor:
        path = path_of(console, name) + query
        return await (visitor.get(path) if ENDPOINTS[name].method == "GET" else visitor.post(path, **form))


@pytest.fixture
async def stored(infrastructure: Infrastructure) -> AsyncIterator[Any]:
    """How much people have stored."""
    owner = await asyncpg.connect(infrastructure.owner_url())
    tables = ("console.disclosure", "console.wide_check", "case_manager.operator_command", "case_manager.retry_request")

    async def count() -> list[int]:
        return [await owner.fetchval(f"select count(*) from {table}") for table in tables]

    yield count
    await owner.close()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", [each for each in CLOSED if each != ENDLESS])
async def test_endpoint_shows_and_does_nothing_of_another_tenant(
    console: Console, stored: Any, name: str, role: ConsoleRole
) -> None:
    before = await stored()
    case = console.log.sealed
    form = {
        "reason": "curious",
        "event_id": case.events[-1]["event_id"],
        "sha256": case.events[-1]["payload"]["answer"]["sha256"],
        "case": [each.case_id for each in console.log.failed],
        "case_id": [each.case_id for each in console.log.failed],
        "kind": "rows",
        "day": console.log.sealed.events[0]["opened_on"],
        "verdict": "granted",
    }
    answer = await ask(console, name, role, **({} if ENDPOINTS[name].method == "GET" else form))
    assert not [each for each in known_of_acme(console) if each in answer.text]
    if role in (ENDPOINTS[name].roles or ()):
        expected = {404} if name in BY_CASE else {403} if ENDPOINTS[name].every_tenant else {200, 303, 400, 404}
        assert answer.status_code in expected, answer.text[-600:]
    else:
        assert answer.status_code == 403
    assert await stored() == before


@pytest.mark.parametrize("name", BY_CASE)
async def test_case_of_another_tenant_is_answered_like_one_that_does_not_exist(console: Console, name: str) -> None:
    forms = {"decide": {"verdict": "denied"}}
    of_acme = await ask(console, name, *ROLES, **({} if ENDPOINTS[name].method == "GET" else forms.get(name, {})))
    nowhere = path_of(console, name)
    for known in (console.log.sealed.case_id, str(console.log.approval["approval_id"])):
        nowhere = nowhere.replace(known, str(uuid.uuid4()))
    with visiting(console.app, console.views, *ROLES, tenants=OTHER) as visitor:
        missing = await (
            visitor.get(nowhere) if ENDPOINTS[name].method == "GET" else visitor.post(nowhere, **forms.get(name, {}))
        )
    assert (of_acme.status_code, missing.status_code) == (404, 404)
    texts = [answer.text.partition("<main")[2] for answer in (of_acme, missing)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "query",
    ["?tenant=acme", "?session=s-1", "?outcome=failed", "?agent=text_to_sql", "?reason=defect", "?case={case}"],
)
async def test_search_of_another_tenants_cases_finds_and_counts_none(console: Console, query: str) -> None:
    found = await ask(console, "cases", "viewer", query=query.format(case=console.log.sealed.case_id[:8]))
    assert "No case matches" in found.text
    assert ">all 0" in found.text


async def test_saved_search_of_another_tenant_finds_none(console: Console) -> None:
    with visiting(console.app, console.views, "viewer", tenants=OTHER) as visitor:
        saved = await visitor.post("/cases/saved", name="theirs", query="tenant=acme", act="save")
        found = await visitor.get(saved.headers["location"])
    assert "No case matches" in found.text


async def test_own_tenants_cases_are_listed_counted_and_opened(console: Console) -> None:
    tenant = f"tenant-{uuid.uuid4().hex[:8]}"
    own = cases.answered(uuid.uuid4().int % 10**9, tenant=tenant, session_id="s-own")
    await console.log.record(cases.bodies(own))
    case_id = own[0]["case_id"]
    with visiting(console.app, console.views, *ROLES, tenants=(tenant, "zenith")) as visitor:
        listed, page = await visitor.get("/cases"), await visitor.get(f"/cases/{case_id}")
        boards = (await visitor.get("/dashboards?days=30")).text
    assert case_id in listed.text
    assert ">all 1" in listed.text
    assert page.status_code == 200
    assert number(row_of(boards, "Goal success", "assist")[3]) == 1
    assert "acme" not in boards


async def test_tail_sends_entries_of_own_tenants_only_and_no_gap(console: Console) -> None:
    tenant = f"tenant-{uuid.uuid4().hex[:8]}"
    tail = console.views.tail
    async with following(tail):
        start, fresh = tail.newest, uuid.uuid4().int % 10**9
        found: list[dict[str, Any]] = []
        names: list[str] = []
        await console.log.record(cases.bodies(cases.answered(fresh, tenant="acme")))
        await console.log.record(cases.bodies(cases.answered(fresh + 1, tenant=tenant)))
        async for text in tail.follow(start, user=str(uuid.uuid4()), ended=lambda: False, tenants=(tenant,)):
            for block in filter(None, text.split("\n\n")):
                fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
                names += [fields["event"]] if "event" in fields else []
                found += [json.loads(fields["data"])] if fields.get("event") == "entry" else []
            if len(found) >= 9:
                break
    assert {each["tenant"] for each in found} == {tenant}
    assert "lost" not in names
    with visiting(console.app, console.views, "viewer", tenants=(tenant,)) as visitor:
        page = (await visitor.get("/tail")).text
    assert not [each for each in known_of_acme(console) if each in page]


async def test_stream_of_the_live_page_is_limited_to_the_tenants_of_the_session(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def follow(*arguments: Any, tenants: Any, **more: Any) -> AsyncIterator[str]:
        asked.append(tenants)
        yield "event: ended\n\n"

    monkeypatch.setattr(type(console.views.tail), "follow", lambda self, *a, **more: follow(*a, **more))
    with visiting(console.app, console.views, "viewer", tenants=OTHER) as visitor, suppress(StopAsyncIteration):
        await visitor.get("/tail/events?after=1")
    assert asked == [OTHER]


async def test_failures_and_unfinished_tasks_of_others_are_left_out(
    console: Console, infrastructure: Infrastructure
) -> None:
    theirs = failed_case(uuid.uuid4().int % 10**9)
    await console.log.record(cases.bodies(theirs.events))
    owner = await asyncpg.connect(infrastructure.owner_url())
    await owner.execute(
        """insert into drafter.inbox (event_id, digest, case_id, type, token, claims, last_error, lease_until)
           values (gen_random_uuid(), '', $1, 'DraftAnswer', 1, 1, 'tenant test', now())""",
        uuid.UUID(theirs.case_id),
    )
    try:
        for tenants, there in ((("acme",), True), (OTHER, False)):
            with visiting(console.app, console.views, "viewer", tenants=tenants) as visitor:
                page = (await visitor.get("/failures")).text
            assert ("tenant test" in page) == there
            assert (theirs.case_id in page) == there
            assert "Refused by audit" not in page
    finally:
        await owner.execute("delete from drafter.inbox where last_error = 'tenant test'")
        await owner.close()


async def test_halt_of_every_tenant_and_cancel_of_another_tenants_case_are_refused(
    console: Console, stored: Any
) -> None:
    opened = cases.first(uuid.uuid4().int % 10**9, session_id="s-cancel")
    await console.log.record(cases.bodies([opened]))
    before = await stored()
    with visiting(console.app, console.views, "operator") as visitor:
        plan = await visitor.get(f"/switches/cancel?session=s-cancel&case={opened['case_id']}")
    with visiting(console.app, console.views, "operator", tenants=OTHER) as visitor:
        halt = {"action": "halt", "target": "assist", "reason": "x", "signed_at": "x", "signature": "x"}
        refused = await visitor.post("/switches/command", command_id=str(uuid.uuid4()), **halt)
        one = await visitor.post(
            "/switches/command",
            command_id=str(uuid.uuid4()),
            **halt | {"action": "cancel", "target": opened["case_id"]},
        )
        many = await visitor.post("/switches/cancel", **signed_cancels(plan, "theirs"))
        assert "Sign and halt" not in (await visitor.get("/switches")).text
    assert [answer.status_code for answer in (refused, one, many)] == [403, 404, 404]
    assert await stored() == before


async def test_case_that_has_rows_of_two_tenants_is_shown_to_neither(console: Console) -> None:
    events = cases.answered(uuid.uuid4().int % 10**9, tenant="zenith")
    forged = cases.rewritten(
        cases.follow(events[-1], CloseCase(outcome="answered", code="answered"), "router"), tenant="acme"
    )
    await console.log.record(cases.bodies([*events, forged]))
    for tenants in (OTHER, ("acme",)):
        with visiting(console.app, console.views, "viewer", tenants=tenants) as visitor:
            assert (await visitor.get(f"/cases/{events[0]['case_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("claim", "tenants"),
    [("acme", ("acme",)), (["b", "a", "b"], ("a", "b")), ("*", None), (["a", "*"], None)],
)
def test_claim_names_the_tenants(claim: Any, tenants: Any) -> None:
    assert read_tenants(claim) == tenants


@pytest.mark.parametrize(
    "claim",
    [None, "", [], [""], 7, {"a": 1}, [None], ["a", 1], ["x" * 129], [str(each) for each in range(MAX_TENANTS + 1)]],
)
def test_claim_without_a_usable_tenant_gives_access_to_none(claim: Any) -> None:
    with pytest.raises(ValueError, match="tenants"):
        read_tenants(claim)


@pytest.mark.parametrize(("claim", "shown"), [("tenant", "acme"), ("no_such_claim", None)])
async def test_log_in_takes_the_tenants_from_the_providers_token(
    console: Console, provider: str, claim: str, shown: str | None
) -> None:
    settings = console_settings(
        console_client_secret=CLIENT_SECRET,
        console_tenant_claim=claim,
        idp_issuer=provider,
        idp_jwks_url=f"{provider}/.well-known/jwks.json",
        idp_authorize_url=f"{provider}/authorize",
        idp_token_url=f"{provider}/token",
    )
    async with aiohttp.ClientSession() as http:
        views = build_views(APP, settings, replace(console.parts, http=http))
        app = ConsoleApp(views.pages, views.handlers(), views.open_handlers(), BASE, views.guard).build()
        async with browser(app) as client:
            finished = await client.get(await log_in(client, "vera"))
            page = await client.get("/cases")
    if shown is None:
        assert finished.status_code == 403
        assert "no tenant" in finished.text
        assert page.status_code == 303
    else:
        assert f"viewer · {shown}" in page.text
