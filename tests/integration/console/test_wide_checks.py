"""Comparisons of the whole log from a page: one at a time, in the background, with a state that outlives the page."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import asyncpg
import pytest

from switchyard.console import wide_checks
from switchyard.console.wide_checks import CheckRun, WideChecks
from switchyard.runtime.core.errors import Unavailable
from tests.integration.console.conftest import Console
from tests.integration.console.served import visiting
from tests.integration.console.test_bundle import checkpoint
from tests.integration.infrastructure import Infrastructure
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def beats_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_checks, "BEAT_S", 0.05)


@pytest.fixture(autouse=True)
async def no_other_check(infrastructure: Infrastructure) -> None:
    owner = await asyncpg.connect(infrastructure.owner_url())
    await owner.execute("delete from console.wide_check")
    await owner.close()


def checks_of(console: Console) -> WideChecks:
    [module] = [each for each in console.views.modules if hasattr(each, "checks")]
    found: WideChecks = module.checks
    return found


async def ended(checks: WideChecks) -> CheckRun:
    """The latest check, once it is over."""
    async with asyncio.timeout(60):
        while (run := (await checks.latest())[0]).state == "running":  # noqa: ASYNC110 - another task ends it
            await asyncio.sleep(0.05)
    return run


async def start(console: Console, kind: str) -> str:
    """Start one as an auditor does, leave the page, and come back when it is over."""
    with visiting(console.app, console.views, "auditor") as visitor:
        assert (await visitor.post("/proof/checks", kind=kind)).status_code == 303
    await ended(checks_of(console))
    with visiting(console.app, console.views, "viewer") as visitor:
        return (await visitor.get("/proof/checks")).text


@pytest.mark.parametrize("kind", ["rows", "checkpoints"])
async def test_whole_log_without_a_fault_holds(console: Console, kind: str) -> None:
    await checkpoint(console)
    page = await start(console, kind)
    assert "holds</span>" in page
    assert "rows" in page


async def test_row_that_was_altered_is_found_by_the_check_of_every_row(
    console: Console, infrastructure: Infrastructure
) -> None:
    victim = console.log.answered[7]
    owner = await asyncpg.connect(infrastructure.owner_url("audit_console"))
    await owner.execute("alter table audit.transition disable trigger all")
    change = "update audit.transition set body = replace(body, $2, $3) where case_id = $1"
    await owner.execute(change, uuid.UUID(victim.case_id), "claude-test", "another-one")
    try:
        await checkpoint(console)
        page = await start(console, "rows")
    finally:
        await owner.execute(change, uuid.UUID(victim.case_id), "another-one", "claude-test")
        await owner.execute("alter table audit.transition enable trigger all")
        await owner.close()
    assert "broken</span>" in page
    assert f"/cases/{victim.case_id}" in page


async def test_event_that_the_log_has_otherwise_is_found_however_old_it_is(
    console: Console, infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests have left events in the same work database.
    monkeypatch.setattr(wide_checks, "MAX_SHOWN_FINDINGS", 1_000_000)
    events = cases.answered(uuid.uuid4().int % 10**9)
    drafted = next(event for event in events if event["node_from"] == "drafter")
    other = cases.rewritten(drafted, payload=drafted["payload"] | {"cites": ["F2"]})
    owner = await asyncpg.connect(infrastructure.owner_url())
    insert = "insert into drafter.outbox (event, stored_at) values ($1, now() - interval '90 days')"
    await owner.execute(insert, json.dumps(other))
    await console.log.record(cases.bodies(events))
    try:
        page = await start(console, "published")
    finally:
        await owner.execute("delete from drafter.outbox where case_id = $1", uuid.UUID(drafted["case_id"]))
        await owner.close()
    assert "broken</span>" in page
    assert "differs: AnswerDrafted from drafter" in page
    assert f"/cases/{drafted['case_id']}" in page


def endless(checks: WideChecks, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let the check of every row last until it is cancelled."""
    began = asyncio.Event()

    async def run(progress: Any) -> Any:
        progress(4_711)
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setitem(checks.runs, "rows", run)
    return began


async def test_second_check_is_refused_while_one_runs_and_the_page_shows_its_state(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = checks_of(console)
    began = endless(checks, monkeypatch)
    with visiting(console.app, console.views, "auditor") as visitor:
        assert (await visitor.post("/proof/checks", kind="rows")).status_code == 303
        await began.wait()
        await asyncio.sleep(0.2)
        both = [visitor.post("/proof/checks", kind=kind) for kind in ("rows", "published")]
        assert [answer.status_code for answer in await asyncio.gather(*both)] == [409, 409]
        page = await visitor.get("/proof/checks")
        assert "4\u202f711 rows so far" in page.text
        assert page.headers["refresh"]
        assert (await visitor.post("/proof/checks/stop")).status_code == 303
    run = await ended(checks)
    assert run.state == "stopped"
    assert len(await checks.latest()) == 1


async def test_check_that_takes_too_long_ends(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_of(console)
    endless(checks, monkeypatch)
    monkeypatch.setattr(wide_checks, "TIMEOUT_S", 0.2)
    await checks.start("rows", "somebody")
    run = await ended(checks)
    assert run.state == "failed"
    assert run.result is not None
    assert "longer" in run.result.summary


async def test_check_of_a_process_that_was_killed_is_named_and_another_one_may_begin(
    console: Console, infrastructure: Infrastructure
) -> None:
    owner = await asyncpg.connect(infrastructure.owner_url())
    await owner.execute(
        "insert into console.wide_check (kind, started_by, seen_at) values ('rows', 'x', now() - interval '1 minute')"
    )
    await owner.close()
    with visiting(console.app, console.views, "auditor") as visitor:
        assert "killed</span>" in (await visitor.get("/proof/checks")).text
        assert (await visitor.post("/proof/checks", kind="published")).status_code == 303
    assert (await ended(checks_of(console))).state in {"holds", "broken"}


async def test_check_whose_database_goes_away_says_so(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_of(console)

    async def away(progress: Any) -> Any:
        raise Unavailable("database", "the audit database cannot be reached")

    monkeypatch.setitem(checks.runs, "rows", away)
    await checks.start("rows", "somebody")
    run = await ended(checks)
    assert (run.state, run.result and run.result.summary) == ("failed", "the audit database cannot be reached")


async def test_console_cannot_forge_who_started_a_check_or_publish_again(console: Console) -> None:
    for statement in (
        "update console.wide_check set started_by = 'x'",
        "delete from console.wide_check",
        "select case_manager.republish(gen_random_uuid())",
        "select * from identity.issued_token",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await console.views.work._pool.execute(statement)


@pytest.mark.parametrize("kind", ["", "everything", "x" * 100])
async def test_kind_that_does_not_exist_is_refused_in_words(console: Console, kind: str) -> None:
    with visiting(console.app, console.views, "auditor") as visitor:
        answer = await visitor.post("/proof/checks", kind=kind)
    assert answer.status_code == 400
    assert "kind" in answer.text
