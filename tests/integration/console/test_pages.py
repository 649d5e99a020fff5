"""What pages show, and what they never do: no markup of others, nothing sealed, no page that is too heavy."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any

import asyncpg
import pytest

from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen
from switchyard.console.access import ROLES
from switchyard.console.case_list import PAGE_SIZE
from switchyard.console.failures import _MOST
from tests.integration.console.conftest import Console
from tests.integration.console.served import HOSTILE, SECRET, SECRET_TEXT, encoded, visiting
from tests.integration.infrastructure import Infrastructure
from tests.operators import OPERATOR
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
MAX_PAGE_BYTES = 150_000
LISTS = ("/cases", "/failures", "/approvals", "/switches", "/tail", "/dashboards", "/dashboards?days=30", "/proof")


class Markup(HTMLParser):
    """What a browser would run of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.dangerous: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "script":
            self.scripts.append(found.get("src"))
        self.dangerous += [name for name in found if name.startswith("on") or name in {"style", "srcdoc", "formaction"}]
        if tag in {"style", "object", "embed", "base"}:
            self.dangerous.append(tag)
        if (found.get("href") or found.get("src") or "").strip().lower().startswith("javascript:"):
            self.dangerous.append("javascript:")


async def every_page(console: Console) -> dict[str, str]:
    """All pages with a case of each kind, for somebody who may see everything."""
    log, case, waiting = console.log, console.log.hostile, console.log.approval["approval_id"]
    hostile = HOSTILE.replace("&", "%26").replace("#", "%23")
    paths = [
        *LISTS,
        "/signing-key",
        f"/approvals/{waiting}",
        *(f"/cases/{each.case_id}" for each in (case, log.sealed, log.waiting, log.answered[0])),
        *(f"/cases/{case.case_id}/events/{event['event_id']}" for event in case.events),
        *(f"/cases/{log.sealed.case_id}/events/{event['event_id']}" for event in log.sealed.events),
        f"/cases?tenant={hostile}&type={hostile}",
        f"/failures?node={hostile}&code=x",
    ]
    found = {}
    with visiting(console.app, console.views, *ROLES) as visitor:
        for path in paths:
            answer = await visitor.get(path)
            assert answer.status_code == 200, (path, answer.text[-800:])
            found[path] = answer.text
    return found


async def test_hostile_text_is_shown_as_text_on_every_page(console: Console, infrastructure: Infrastructure) -> None:
    owner = await asyncpg.connect(infrastructure.owner_url("audit_console"))
    await owner.execute(
        """insert into audit.integrity_alarm (kind, case_id, reason, field, body_sha256)
           values ('malformed', $1, $2, $2, $3) on conflict do nothing""",
        *(console.log.hostile.case_id, HOSTILE, b"\x01" * 32),
    )
    await owner.close()
    work = await asyncpg.connect(infrastructure.owner_url())
    await work.execute(
        """insert into drafter.inbox (event_id, digest, case_id, type, token, claims, last_error, lease_until)
           values (gen_random_uuid(), '', $1, $2, 1, 1, $2, now())""",
        *(console.log.hostile.case_id, HOSTILE),
    )
    await work.execute(
        "insert into case_manager.control (kind, key, by, why) values ('halted_playbook', 'assist', $1, $1)", HOSTILE
    )
    try:
        pages = await every_page(console)
    finally:
        await work.execute("delete from case_manager.control where by = $1", HOSTILE)
        await work.execute("delete from drafter.inbox where last_error = $1", HOSTILE)
        await work.close()
    shown = [path for path, page in pages.items() if "&lt;script&gt;alert(1)" in page]
    assert {"/failures", "/switches"} < set(shown)
    assert any(path.startswith("/cases/") for path in shown)
    for path, page in pages.items():
        markup = Markup(page)
        assert markup.dangerous == [], path
        assert all(src and src.startswith("/static/") for src in markup.scripts), path
        assert "982007569" not in page, path


async def test_page_weighs_less_than_150_kb_and_names_no_other_host(console: Console) -> None:
    for path, page in (await every_page(console)).items():
        assert len(page.encode()) < MAX_PAGE_BYTES, path
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page), path


async def test_sealed_bytes_are_in_no_page_without_a_reason(console: Console) -> None:
    sealed = next(
        place["inline"]
        for event in console.log.sealed.events
        for sha256, place in event["storage_refs"].items()
        if event["payload"].get("answer", {}).get("sha256") == sha256
    )
    for path, page in (await every_page(console)).items():
        assert not any(text in page for text in encoded(SECRET)), path
        assert sealed not in page, path


def opening_form(console: Console) -> dict[str, Any]:
    event = console.log.sealed.events[-1]
    return {"event_id": event["event_id"], "sha256": event["payload"]["answer"]["sha256"]}


async def disclosures(infrastructure: Infrastructure, case_id: str) -> list[Any]:
    owner = await asyncpg.connect(infrastructure.owner_url())
    try:
        return list(await owner.fetch("select * from console.disclosure where case_id = $1 order by 1", case_id))
    finally:
        await owner.close()


async def test_sealed_artefact_is_opened_with_a_reason_that_is_recorded(
    console: Console, infrastructure: Infrastructure
) -> None:
    case_id = console.log.sealed.case_id
    before = len(await disclosures(infrastructure, case_id))
    with visiting(console.app, console.views, "auditor") as visitor:
        answer = await visitor.post(f"/cases/{case_id}/sealed", **opening_form(console), reason="complaint 4711")
    assert answer.status_code == 200
    assert SECRET_TEXT in answer.text
    row = (await disclosures(infrastructure, case_id))[before:][0]
    assert (row["opened_by"], row["reason"], row["artefact"]) == (OPERATOR, "complaint 4711", "answer")
    assert "complaint 4711" in answer.text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2_001])
async def test_sealed_artefact_stays_sealed_without_a_usable_reason(
    console: Console, infrastructure: Infrastructure, reason: str
) -> None:
    case_id = console.log.sealed.case_id
    before = len(await disclosures(infrastructure, case_id))
    with visiting(console.app, console.views, *ROLES) as visitor:
        answer = await visitor.post(f"/cases/{case_id}/sealed", **opening_form(console), reason=reason)
    assert answer.status_code == 400
    assert SECRET_TEXT not in answer.text
    assert len(await disclosures(infrastructure, case_id)) == before


async def test_artefact_of_another_case_is_not_opened(console: Console) -> None:
    other = console.log.waiting.case_id
    with visiting(console.app, console.views, *ROLES) as visitor:
        answer = await visitor.post(f"/cases/{other}/sealed", **opening_form(console), reason="curious")
    assert answer.status_code == 404
    assert SECRET_TEXT not in answer.text


async def test_console_may_add_disclosures_and_change_none(console: Console) -> None:
    for statement in ("update console.disclosure set reason = 'x'", "delete from console.disclosure"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await console.views.work._pool.execute(statement)


async def test_console_reads_the_log_and_cannot_write_it(console: Console) -> None:
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
        await console.views.audit._pool.execute("delete from audit.transition")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await console.views.work._pool.execute("select * from vault.subject_key")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await console.views.work._pool.execute("select * from drafter.outbox")


async def test_list_of_cases_reaches_each_case_once_page_by_page(console: Console) -> None:
    found: list[str] = []
    with visiting(console.app, console.views, "viewer") as visitor:
        path: str | None = "/cases?tenant=acme"
        while path:
            page = (await visitor.get(path)).text
            ids = re.findall(r'class="mono" href="/cases/([0-9a-f-]{36})"', page)
            assert len(ids) <= PAGE_SIZE
            found += ids
            older = re.search(r'href="(/cases\?[^"]*before=[^"]*)"', page)
            path = older[1].replace("&amp;", "&") if older else None
    known = [*console.log.answered, *console.log.failed, console.log.sealed, console.log.hostile, console.log.waiting]
    assert {case.case_id for case in known} <= set(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("outcome=failed", {"failed", "hostile"}),
        ("outcome=answered", {"answered"}),
        ("agent=text_to_sql&outcome=failed", {"failed", "hostile"}),
        ("type=AskApproval", {"waiting"}),
        ("session=no-such-session", set()),
        ("playbook=outbound_email", set()),
        ("reason=defect", {"failed", "hostile"}),
        ("reason=defect&model=claude-test", {"failed", "hostile"}),
        ("reason=answered&model=claude-test", {"answered"}),
        ("model=no-such-model", set()),
    ],
)
async def test_filter_shows_the_cases_that_match(console: Console, query: str, kinds: set[str]) -> None:
    log = console.log
    by_kind = {
        "answered": log.answered,
        "failed": log.failed,
        "hostile": [log.hostile],
        "waiting": [log.waiting],
    }
    with visiting(console.app, console.views, "viewer") as visitor:
        page = (await visitor.get(f"/cases?{query}")).text
    ids = set(re.findall(r'class="mono" href="/cases/([0-9a-f-]{36})"', page))
    known = {case.case_id: kind for kind, cases in by_kind.items() for case in cases}
    assert {known[case_id] for case_id in ids if case_id in known} == kinds


async def test_case_whose_row_was_altered_says_that_its_chain_is_broken(
    console: Console, infrastructure: Infrastructure
) -> None:
    case = console.log.answered[-1]
    owner = await asyncpg.connect(infrastructure.owner_url("audit_console"))
    await owner.execute("alter table audit.transition disable trigger all")
    change = (
        "update audit.transition set body = replace(body, 'us-east-1', 'us-east-1'), model_id = $2 where case_id = $1"
    )
    try:
        await owner.execute(f"{change} and transition = 'AnswerDrafted'", case.case_id, "another-model")
        with visiting(console.app, console.views, "viewer") as visitor:
            page = (await visitor.get(f"/cases/{case.case_id}")).text
    finally:
        await owner.execute(f"{change} and transition = 'AnswerDrafted'", case.case_id, "claude-test")
        await owner.execute("alter table audit.transition enable trigger all")
        await owner.close()
    assert "chain BROKEN" in page


async def test_console_cut_off_from_its_database_says_so_and_comes_back(
    console: Console, infrastructure: Infrastructure
) -> None:
    with visiting(console.app, console.views, *ROLES) as visitor:
        assert (await visitor.get("/cases")).status_code == 200
        await infrastructure.stop("postgres")
        try:
            for path in LISTS:
                answer = await visitor.get(path)
                if path == "/tail":
                    continue  # it shows what it has; its stream says that the log is away
                assert answer.status_code == 503, path
                assert "Out of reach" in answer.text
                assert answer.headers["retry-after"]
        finally:
            await infrastructure.start("postgres")
        for path in LISTS:
            assert (await visitor.get(path)).status_code == 200, path


async def test_case_is_shown_while_the_work_database_is_away(console: Console) -> None:
    await console.views.work._pool.close()
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(f"/cases/{console.log.answered[0].case_id}")
    assert answer.status_code == 200
    assert "is unreachable" in answer.text


async def test_proof_page_verifies_a_day_on_request(console: Console) -> None:
    with visiting(console.app, console.views, "auditor") as visitor:
        answer = await visitor.post("/proof/verify", day=datetime.now(UTC).date().isoformat())
    assert answer.status_code == 200
    assert re.search(r"holds:</strong> \d+", answer.text)


async def test_page_of_a_retired_event_says_so(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchyard.console.case_detail.parse_json", lambda _: None)
    case = console.log.answered[0]
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(f"/cases/{case.case_id}/events/{case.events[0]['event_id']}")
    assert answer.status_code == 200
    assert "The body is retired" in answer.text


async def test_page_of_an_event_is_without_the_seal_of_its_state(console: Console) -> None:
    case = console.log.answered[0]
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get(f"/cases/{case.case_id}/events/{case.events[1]['event_id']}")
    assert "transition" in answer.text or "payload" in answer.text
    assert "state_seal" not in answer.text


async def test_list_that_takes_too_long_does_not_reload_itself(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchyard.console.case_list.LIST_TIMEOUT_S", 1e-6)
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get("/cases")
    assert answer.status_code == 503
    assert "refresh" not in answer.headers


async def test_content_is_not_opened_while_its_circumstances_cannot_be_read(
    console: Console, infrastructure: Infrastructure
) -> None:
    row = console.log.approval
    before = len(await disclosures(infrastructure, str(row["case_id"])))
    await console.views.audit._pool.close()
    with visiting(console.app, console.views, "approver") as visitor:
        answer = await visitor.get(f"/approvals/{row['approval_id']}")
    assert answer.status_code == 503
    assert "refresh" not in answer.headers
    assert len(await disclosures(infrastructure, str(row["case_id"]))) == before


async def test_page_says_that_rows_were_left_out(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    case = console.log.answered[0]
    monkeypatch.setattr("switchyard.console.case_detail.MAX_STEPS", 3)
    monkeypatch.setattr("switchyard.console.failures.MAX_FAILURES", 2)
    monkeypatch.setitem(_MOST, "cases", 2)
    monkeypatch.setitem(_MOST, "groups", 2)
    with visiting(console.app, console.views, "viewer") as visitor:
        steps = (await visitor.get(f"/cases/{case.case_id}")).text
        failures = (await visitor.get("/failures")).text
    assert f"The first 3 of {len(case.events)} steps" in steps
    assert f"chain verified: {len(case.events)} events" in steps
    assert "2+ cases" in failures
    assert failures.count('name="case"') <= 2


async def test_search_is_kept_in_the_browser_without_its_days(console: Console) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        query = "tenant=acme&outcome=failed"
        saved = await visitor.post("/cases/saved", name="<b>mine", query=query, act="save")
        assert saved.status_code == 303
        visitor.client.cookies.update(saved.cookies)
        page = (await visitor.get("/cases")).text
        assert f'href="/cases?{query.replace("&", "&amp;")}">&lt;b&gt;mine</a>' in page
        removed = await visitor.post("/cases/saved", name="<b>mine", query="", act="remove")
        visitor.client.cookies.update(removed.cookies)
        assert "mine</a>" not in (await visitor.get("/cases")).text
        assert (await visitor.post("/cases/saved", name="x", query="since=yesterday", act="save")).status_code == 400
        for number in range(80):
            answer = await visitor.post(
                "/cases/saved",
                name=f"{number}",
                query=f"session={uuid.uuid4()}{uuid.uuid4()}{uuid.uuid4()}",
                act="save",
            )
            if answer.status_code != 303:
                break
            visitor.client.cookies.update(answer.cookies)
        assert answer.status_code == 409
        assert "remove one first" in answer.text


async def test_switches_show_who_answers_for_each_agent(console: Console) -> None:
    decision = {"primary_breaker": "open"}
    call = cases.CALL.model_copy(update={"role": "fallback", "reason": "breaker", "decision": decision})
    first = cases.first(uuid.uuid4().int % 10**9)
    asked = cases.follow(first, ChooseAgent(question=cases.QUESTION), "router", state={}, time_limit_ms=30_000)
    answered = cases.follow(asked, AgentChosen(agent="text_to_sql"), "triage", after_ms=600_000, model_call=call)
    await console.log.record(cases.bodies([first, asked, answered]))
    with visiting(console.app, console.views, "viewer") as visitor:
        page = (await visitor.get("/switches")).text
    row = next(line for line in page.splitlines() if 'href="/cases?agent=triage"' in line)
    assert "circuit open" in row.split("triage</a>")[1].split("</tr>")[0]
    assert "breaker" in row


async def test_failures_are_grouped_by_agent_reason_and_prompt(console: Console) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        page = (await visitor.get("/failures")).text
        groups = re.findall(r'href="(/failures\?node=[^"]+)"', page)
        assert groups
        for group in groups:
            one = (await visitor.get(unescape(group))).text
            assert 'aria-current="true"' in one
            assert "/cases/" in one


async def test_proof_names_what_was_published_and_is_not_in_the_log(
    console: Console, infrastructure: Infrastructure
) -> None:
    events = cases.answered(uuid.uuid4().int % 10**9)
    drafted = next(event for event in events if event["node_from"] == "drafter")
    altered = cases.answered(uuid.uuid4().int % 10**9)
    [other] = [event for event in altered if event["node_from"] == "drafter"]
    owner = await asyncpg.connect(infrastructure.owner_url())
    insert = "insert into drafter.outbox (event, stored_at) values ($1, now() - interval '5 minutes')"
    await owner.execute(insert, json.dumps(drafted))
    await owner.execute(insert, json.dumps(cases.rewritten(other, payload=other["payload"] | {"cites": ["F2"]})))
    await owner.close()

    async def missing() -> set[str]:
        with visiting(console.app, console.views, "viewer") as visitor:
            page = (await visitor.get("/proof")).text
        _, _, rest = page.partition('aria-label="Published and not in the log"')
        return set(re.findall(r'href="/cases/([0-9a-f-]{36})"', rest.partition("</table>")[0]))

    both = {drafted["case_id"], other["case_id"]}
    assert both <= await missing()
    await console.log.record(cases.bodies([*events, *altered]))
    # The log has another event than the drafter stored in one of them.
    assert await missing() & both == {other["case_id"]}
