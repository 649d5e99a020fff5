"""What people on call do in the browser: each task as they find it on the page, from its question to what is stored."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from switchyard.protocol.statements import resolution_statement
from switchyard.runtime.core.clock import timestamp
from tests.integration.console.browser.conftest import NewVisit, Site
from tests.integration.console.conftest import Console, Deciding, NewApproval
from tests.integration.console.served import SECOND_APPROVER, SECOND_KEY
from tests.integration.console.unresolved import unresolved_send
from tests.integration.infrastructure import Infrastructure
from tests.operators import OPERATOR, OPERATORS
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
IN_LIST = "table a.mono[href^='/cases/']"


@pytest.fixture
async def work(infrastructure: Infrastructure) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(infrastructure.owner_url())
    yield connection
    await connection.close()


async def test_unresolved_email_is_resolved_with_the_providers_id(
    visit: NewVisit, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 0.2)
    case_id = str(uuid.uuid4())
    content = await unresolved_send(work, case_id)
    window = await visit("operator")
    await window.store_key()
    await window.go("/switches")
    card = window.page.locator("section", has_text=case_id[:8])
    await card.get_by_label("Where in the provider's records").fill("SES, 12:04")
    await card.get_by_role("button", name="Sign: it was sent").click()
    await card.get_by_role("alert").get_by_text("Write the provider's id").wait_for()
    await card.get_by_label("The provider's id").fill("ses-0001")
    await window.shoot("switches")
    await card.get_by_role("button", name="Sign: it was sent").click()
    await window.page.get_by_role("status").get_by_text(case_id[:8]).wait_for()
    row = await work.fetchrow("select * from email_sender.resolution_request where case_id = $1", uuid.UUID(case_id))
    statement = resolution_statement(
        resolution_id=str(row["resolution_id"]),
        case_id=case_id,
        content_sha256=content,
        provider_message_id="ses-0001",
        operator=OPERATOR,
        evidence="SES, 12:04",
        signed_at=timestamp(row["signed_at"]),
    )
    OPERATORS.verify(OPERATOR, statement, row["signature"])


async def test_search_is_saved_and_found_again_by_its_name(console: Console, visit: NewVisit) -> None:
    window = await visit("viewer")
    await window.go("/cases?tenant=acme&outcome=failed")
    shown = await window.page.locator(IN_LIST).count()
    await window.page.get_by_text("Save this search").click()
    await window.page.get_by_label("Name; an existing one is replaced").fill("acme's failures")
    await window.page.get_by_role("button", name="Save", exact=True).click()
    await window.go("/cases?session=no-such-session")
    await window.page.get_by_text("No case matches").wait_for()
    await window.page.get_by_role("link", name="acme's failures").click()
    await window.page.locator(IN_LIST).first.wait_for()
    assert await window.page.locator(IN_LIST).count() == shown
    assert await window.page.get_by_label("tenant", exact=True).input_value() == "acme"
    await window.shoot("cases")


async def test_second_approver_sees_who_agreed_and_completes_the_grant(
    visit: NewVisit, work: Any, new_approval: NewApproval, deciding: Deciding
) -> None:
    row = await new_approval()
    async with deciding():
        first = await visit("approver")
        await first.store_key()
        await first.go(f"/approvals/{row['approval_id']}")
        await first.page.get_by_text("so two must agree").wait_for()
        await first.act("Sign and grant", "read and right")
        await first.page.get_by_role("status").get_by_text("a second approver must agree").wait_for()
        await first.go(f"/approvals/{row['approval_id']}")
        await first.page.get_by_text("You have agreed").wait_for()
        assert await first.page.get_by_role("button", name="Sign and grant").count() == 0

        second = await visit("approver", name=SECOND_APPROVER)
        await second.store_key(SECOND_KEY)
        await second.go("/approvals")
        await second.page.get_by_role("link", name=str(row["approval_id"])[:8]).click()
        await second.page.get_by_text(f"agreed: {OPERATOR}").wait_for()
        await second.page.frame_locator("iframe.content").get_by_text("Dear Ana").wait_for()
        await second.shoot("approval")
        await second.act("Sign and grant", "the same")
        await second.page.get_by_role("status").get_by_text("granted").wait_for()
    state = "select state from case_manager.approval where approval_id = $1"
    assert await work.fetchval(state, row["approval_id"]) == "granted"


async def test_failures_of_one_cause_are_chosen_by_one_click(console: Console, visit: NewVisit) -> None:
    window = await visit("operator")
    await window.go("/failures")
    await window.page.get_by_label("Causes").get_by_role("link", name="text_to_sql").first.click()
    boxes = window.page.locator("input[name=case]")
    assert await boxes.count() > 0
    assert await boxes.evaluate_all("boxes => boxes.every(box => box.checked)")
    await window.shoot("failures")
    await window.page.get_by_role("button", name="See what a redrive would do").click()
    await window.page.get_by_role("heading", name="What a redrive would do", exact=True).wait_for()
    await window.shoot("redrive")


async def test_sealed_chart_is_opened_with_a_reason_and_runs_no_script(console: Console, visit: NewVisit) -> None:
    window = await visit("auditor")
    reason = f"complaint {uuid.uuid4()}"
    await window.go(f"/cases/{console.log.sealed.case_id}")
    assert await window.page.locator("img.chart").count() == 0
    row = window.page.locator("tr", has=window.page.get_by_role("cell", name="chart"))
    await row.get_by_label("Reason, which is recorded").fill(reason)
    await row.get_by_role("button", name="Open").click()
    chart = window.page.locator("img.chart")
    await chart.wait_for()
    assert await chart.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    assert "script" not in await window.page.title()
    await window.page.get_by_role("listitem").get_by_text(reason).wait_for()
    await window.shoot("opened")
    assert window.complaints == []


async def test_live_page_goes_on_where_it_was_after_the_console_was_away(
    console: Console, site: Site, visit: NewVisit
) -> None:
    running = asyncio.create_task(console.views.tail.run())
    try:
        window = await visit("viewer")
        await window.go("/tail")
        state = window.page.get_by_role("status")
        await state.get_by_text("live", exact=True).wait_for()
        await site.stop()
        await state.get_by_text("connection lost").wait_for()
        missed = cases.answered(uuid.uuid4().int % 10**9)
        await console.log.record(cases.bodies(missed))
        site.start()
        await state.get_by_text("live", exact=True).wait_for()
        rows = window.page.locator("#entries tr", has_text=missed[0]["case_id"][:8])
        await rows.nth(len(missed) - 1).wait_for()
        assert await rows.count() == len(missed)
        indexes = [int(text) for text in await window.page.locator("#entries td.n").all_inner_texts()]
        assert indexes == list(range(indexes[0], indexes[0] - len(indexes), -1))
        await window.shoot("tail")
    finally:
        running.cancel()


async def test_page_of_a_console_without_its_database_comes_back_by_itself(
    visit: NewVisit, infrastructure: Infrastructure
) -> None:
    window = await visit("viewer")
    await window.go("/cases")
    await infrastructure.stop("postgres")
    try:
        await window.page.reload()
        await window.page.get_by_role("heading", name="Out of reach", exact=True).wait_for()
        await window.shoot("out-of-reach")
    finally:
        await infrastructure.start("postgres")
    await window.page.get_by_role("heading", name="Cases", exact=True).wait_for()


async def test_prompt_and_answer_of_a_step_are_read_side_by_side(console: Console, visit: NewVisit) -> None:
    """From the case in two clicks, and one reason for both sides."""
    window = await visit("auditor")
    await window.go(f"/cases/{console.log.sealed.case_id}")
    await window.page.locator("details.step summary").last.click()
    await window.page.get_by_role("link", name="Prompt and answer").click()
    await window.page.get_by_label("Reason, which is recorded").fill("complaint 4713")
    await window.page.get_by_role("button", name="Open what it was given and what it answered").click()
    await window.page.get_by_text("the secret of Ana Morales", exact=True).wait_for()
    headings = window.page.get_by_role("heading", level=2)
    boxes = [await headings.filter(has_text=re.compile(f"^{name}")).bounding_box() for name in ("Prompt", "Answer")]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["y"] == boxes[1]["y"]
    await window.shoot("step")


async def test_refused_message_is_read_from_the_list_of_failures(console: Console, visit: NewVisit) -> None:
    window = await visit("auditor")
    await window.go("/failures")
    await window.page.get_by_role("link", name=f"message {console.log.refused}", exact=True).click()
    await window.page.get_by_label("Reason, which is recorded").fill("incident 14")
    await window.page.get_by_role("button", name="Read the message").click()
    await window.page.get_by_text("the secret of Ana Morales").wait_for()


async def test_check_of_the_whole_log_goes_on_after_its_page_is_left(
    console: Console, visit: NewVisit, work: Any
) -> None:
    await work.execute("delete from console.wide_check")
    window = await visit("auditor")
    await window.go("/proof")
    await window.page.get_by_role("link", name="The whole log: rows").click()
    await window.page.get_by_role("button", name="Verify every row").click()
    await window.go("/cases")
    await window.go("/proof/checks")
    await window.page.locator("table .badge.ok, table .badge.broken").first.wait_for()
    await window.page.get_by_role("button", name="Verify every row").wait_for()
    await window.shoot("checks")
