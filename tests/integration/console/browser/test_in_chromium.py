"""The console as people use it: in Chromium, wide and narrow, light and dark, with a keyboard, and with a key."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from axe_playwright_python.async_playwright import Axe

from switchyard.protocol.statements import approval_statement, command_statement
from switchyard.runtime.core.clock import timestamp
from tests.integration.console.browser.conftest import NewVisit
from tests.integration.console.conftest import Console, NewApproval
from tests.integration.console.unresolved import unresolved_send
from tests.integration.infrastructure import Infrastructure
from tests.operators import OPERATOR, OPERATOR_KEY, OPERATORS
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
SEVERE = {"serious", "critical"}
REASON = 'Größe "x" \\ <b> \u2028 😀'
"""Text that JSON writes in more than one way."""

STORED_KEYS = """
async () => {
  const answer = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const open = await answer(indexedDB.open("switchyard-console", 1));
  const keys = await answer(open.transaction("keys").objectStore("keys").getAll());
  return keys.map((key) => key.extractable);
}
"""
"""Whether a script could read the keys out."""
TOO_WIDE = """
() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.outerHTML.slice(0, 120))
"""
"""What makes a page scroll sideways."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No case manager answers in these tests."""
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 0.2)


@pytest.fixture
async def work(infrastructure: Infrastructure) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(infrastructure.owner_url(), server_settings={"search_path": "case_manager"})
    yield connection
    await connection.close()


def pages_of(console: Console) -> list[str]:
    log = console.log
    return [
        *("/cases", "/failures", "/switches", "/switches/cancel", "/tail", "/approvals", "/dashboards", "/proof"),
        "/signing-key",
        *(f"/cases/{case.case_id}" for case in (log.answered[0], log.hostile, log.waiting)),
        f"/approvals/{log.approval['approval_id']}",
        f"/cases/{log.sealed.case_id}/events/{log.sealed.events[0]['event_id']}",
        f"/cases/{log.sealed.case_id}/steps/{log.sealed.events[-1]['event_id']}",
        *("/proof/checks", f"/failures/refused/audit/{log.refused}"),
    ]


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_page_fits_and_is_accessible(
    console: Console, visit: NewVisit, work: Any, width: str, dark: bool
) -> None:
    await unresolved_send(work, str(uuid.uuid4()))
    window = await visit(width=width, dark=dark)
    for number, path in enumerate(pages_of(console)):
        await window.go(path)
        await window.shoot(f"page-{number:02}-{width}-{'dark' if dark else 'light'}")
        found = await Axe().run(window.page)
        severe = [
            (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
            for each in found.response["violations"]
            if each["impact"] in SEVERE
        ]
        assert severe == [], path

        assert await window.page.evaluate(TOO_WIDE) == [], path
    # The script in the content that waits for approval, which the frame's sandbox stops.
    assert {
        each for each in window.complaints if "/rendered' because the document's frame is sandboxed" not in each
    } == set()


async def test_page_without_javascript_shows_the_same(console: Console, visit: NewVisit) -> None:
    window = await visit(javascript=False)
    case = console.log.answered[0]
    await window.go(f"/cases/{case.case_id}")
    assert await window.page.locator("details.step").count() == len(case.events)
    assert await window.page.locator("svg rect").count() > 4
    await window.go("/switches")
    await window.page.get_by_text("Signing needs JavaScript").wait_for()


async def test_keyboard_alone_opens_a_step_and_follows_a_link(console: Console, visit: NewVisit) -> None:
    window = await visit()
    await window.go(f"/cases/{console.log.answered[0].case_id}")
    await window.page.keyboard.press("Tab")
    assert await window.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await window.page.locator("details.step summary").first.focus()
    await window.page.keyboard.press("Enter")
    await window.page.locator("details.step[open]").wait_for()
    await window.page.get_by_role("link", name="Failures").focus()
    await window.page.keyboard.press("Enter")
    await window.page.get_by_role("heading", name="Failures", exact=True).wait_for()


async def test_halt_is_signed_in_the_browser_with_a_key_that_stays_there(visit: NewVisit, work: Any) -> None:
    window = await visit("operator")
    await window.store_key()
    await window.go("/switches")
    await window.act("Sign and halt assist", REASON)
    await window.page.get_by_role("status").get_by_text("halt assist: stored").wait_for()
    row = await work.fetchrow("select * from operator_command order by received_at desc limit 1")
    statement = command_statement(
        command_id=str(row["command_id"]),
        action="halt",
        target="assist",
        operator=OPERATOR,
        reason=REASON,
        signed_at=timestamp(row["signed_at"]),
    )
    OPERATORS.verify(OPERATOR, statement, row["signature"])
    assert not any(OPERATOR_KEY.hex() in each for each in window.sent)
    assert await window.page.evaluate(STORED_KEYS) == [False]


async def test_command_without_a_key_says_what_to_do(visit: NewVisit, work: Any) -> None:
    before = await work.fetchval("select count(*) from operator_command")
    window = await visit("operator")
    await window.go("/switches")
    await window.act("Sign and halt assist", REASON)
    await window.page.get_by_role("alert").get_by_text("no signing key of yours").wait_for()
    assert await work.fetchval("select count(*) from operator_command") == before


async def test_approval_is_granted_in_the_browser(visit: NewVisit, work: Any, new_approval: NewApproval) -> None:
    row = await new_approval()
    window = await visit("approver")
    await window.store_key()
    await window.go("/approvals")
    await window.page.get_by_role("link", name=str(row["approval_id"])[:8]).click()
    await window.page.frame_locator("iframe.content").get_by_text("Dear Ana").wait_for()
    await window.act("Sign and grant", REASON)
    await window.page.get_by_role("status").wait_for()
    stored = await work.fetchrow("select * from approval_decision where approval_id = $1", row["approval_id"])
    statement = approval_statement(
        approval_id=str(row["approval_id"]),
        case_id=str(row["case_id"]),
        content_sha256=row["content"],
        pack="2026.05",
        verdict="granted",
        approver=OPERATOR,
        reason=REASON,
        signed_at=timestamp(stored["signed_at"]),
    )
    OPERATORS.verify(OPERATOR, statement, stored["signature"])


async def test_draft_is_sent_back_in_the_browser_with_signed_instructions(
    visit: NewVisit, work: Any, new_approval: NewApproval
) -> None:
    row = await new_approval()
    window = await visit("approver")
    await window.store_key()
    await window.go(f"/approvals/{row['approval_id']}")
    await window.act("Sign and send back", REASON)
    await window.page.get_by_role("status").wait_for()
    stored = await work.fetchrow("select * from approval_decision where approval_id = $1", row["approval_id"])
    assert (stored["verdict"], stored["why"]) == ("returned", REASON)
    statement = approval_statement(
        approval_id=str(row["approval_id"]),
        case_id=str(row["case_id"]),
        content_sha256=row["content"],
        pack="2026.05",
        verdict="returned",
        approver=OPERATOR,
        reason=REASON,
        signed_at=timestamp(stored["signed_at"]),
    )
    OPERATORS.verify(OPERATOR, statement, stored["signature"])


async def test_enter_in_the_reason_of_an_approval_signs_nothing(
    visit: NewVisit, work: Any, new_approval: NewApproval
) -> None:
    row = await new_approval()
    window = await visit("approver")
    await window.store_key()
    await window.go(f"/approvals/{row['approval_id']}")
    await window.page.locator("input[name=reason]").fill(REASON)
    await window.page.keyboard.press("Enter")
    await asyncio.sleep(0.5)
    assert await window.page.locator("input[name=reason]").input_value() == REASON
    assert not await work.fetchval("select count(*) from approval_decision where approval_id = $1", row["approval_id"])


async def test_redrive_of_ten_cases_is_planned_signed_and_handed_in(
    console: Console, visit: NewVisit, work: Any
) -> None:
    await work.execute("delete from retry_request")
    window = await visit("operator")
    await window.store_key()
    await window.go("/failures")
    chosen = console.log.failed[:10]
    for case in chosen:
        await window.page.get_by_label(f"choose case {case.case_id[:8]}").check()
    await window.page.get_by_role("button", name="See what a redrive would do").click()
    await window.act("Sign and redrive 10", REASON)
    await window.page.get_by_role("heading", name="Redriven", exact=True).wait_for()
    handed_in = {str(row["case_id"]) for row in await work.fetch("select case_id from retry_request")}
    assert handed_in == {case.case_id for case in chosen}


async def test_open_cases_of_a_search_are_cancelled_in_the_browser(
    console: Console, visit: NewVisit, work: Any
) -> None:
    fresh = uuid.uuid4().int % 10**9
    session = f"s-{fresh}"
    opened = [cases.first(fresh + each, session_id=session, deadline=timedelta(days=1)) for each in range(5)]
    await console.log.record(cases.bodies(opened))
    window = await visit("operator")
    await window.store_key()
    await window.go(f"/cases?session={session}&outcome=open")
    await window.page.get_by_role("link", name="Cancel these").click()
    await window.page.get_by_text("5 open cases match").wait_for()
    await window.act("Sign and cancel 5", REASON)
    await window.page.get_by_role("heading", name="Cancelled", exact=True).wait_for()
    rows = await work.fetch(
        "select target, reason from operator_command where target = any($1)", [event["case_id"] for event in opened]
    )
    assert {row["target"] for row in rows} == {event["case_id"] for event in opened}
    assert {row["reason"] for row in rows} == {REASON}


async def test_tail_shows_new_entries_and_the_state_of_its_connection(console: Console, visit: NewVisit) -> None:
    running = asyncio.create_task(console.views.tail.run())
    try:
        window = await visit("viewer")
        await window.go("/tail")
        await window.page.get_by_role("status").get_by_text("live", exact=True).wait_for()
        events = cases.answered(uuid.uuid4().int % 10**9)
        await console.log.record(cases.bodies(events))
        rows = window.page.locator("#entries tr", has_text=events[0]["case_id"][:8])
        await rows.nth(len(events) - 1).wait_for()
    finally:
        running.cancel()
