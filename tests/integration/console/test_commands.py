"""What people do in the console is what the command line does: the same signed rows, and none without a signature."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import asyncpg
import httpx2
import pytest

from switchyard.case_manager.retry import read_request
from switchyard.console.access import ROLES
from switchyard.console.signed_commands import SignedCommands
from switchyard.protocol.signing import sign_statement
from switchyard.protocol.statements import (
    approval_statement,
    command_statement,
    resolution_statement,
    retry_statement,
)
from switchyard.runtime.core.clock import timestamp
from tests.integration.console.conftest import Console, Deciding, NewApproval
from tests.integration.console.served import (
    APPROVED,
    SECOND_APPROVER,
    SECOND_KEY,
    SUBMITTED_BY,
    KnownCase,
    add_submission,
    visiting,
)
from tests.integration.console.unresolved import unresolved_send
from tests.integration.infrastructure import Infrastructure
from tests.operators import OPERATOR, OPERATOR_KEY, OPERATORS
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
REASON = "a bad prompt"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No case manager answers in these tests."""
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 0.2)


@pytest.fixture
async def work(infrastructure: Infrastructure) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(infrastructure.owner_url(), server_settings={"search_path": "case_manager"})
    yield connection
    await connection.close()


def signed_form(action: str, target: str, *, operator: str = OPERATOR, key: bytes = OPERATOR_KEY) -> dict[str, str]:
    """What the browser sends."""
    form = {"command_id": str(uuid.uuid4()), "reason": REASON, "signed_at": timestamp(datetime.now(UTC))}
    statement = command_statement(action=action, target=target, operator=operator, **form)
    return form | {"action": action, "target": target, "signature": sign_statement(key, statement)}


async def test_halt_is_the_row_that_the_command_line_writes(console: Console, work: Any) -> None:
    form = signed_form("halt", "assist")
    with visiting(console.app, console.views, "operator") as visitor:
        answer = await visitor.post("/switches/command", **form)
    assert answer.status_code == 200, answer.text
    row = await work.fetchrow("select * from operator_command where command_id = $1", uuid.UUID(form["command_id"]))
    assert (row["action"], row["target"], row["operator"], row["reason"]) == ("halt", "assist", OPERATOR, REASON)
    statement = command_statement(
        command_id=form["command_id"],
        action="halt",
        target="assist",
        operator=OPERATOR,
        reason=REASON,
        signed_at=timestamp(row["signed_at"]),
    )
    OPERATORS.verify(OPERATOR, statement, row["signature"])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"reason": "another reason"}, 403),
        ({"target": "outbound_email"}, 403),
        ({"action": "resume"}, 403),
        ({"action": "delete"}, 400),
        ({"action": "forget"}, 400),
        ({"signature": "00" * 64}, 403),
        ({"signature": "no hex"}, 403),
        ({"signed_at": "yesterday"}, 403),
        ({"command_id": "1"}, 400),
        ({"reason": ""}, 400),
        ({"signed_at": "0001-01-01T00:00:00.000000Z"}, 403),
    ],
)
async def test_command_that_differs_from_what_was_signed_is_not_stored(
    console: Console, work: Any, change: dict[str, str], status: int
) -> None:
    form = signed_form("halt", "assist")
    before = await work.fetchval("select count(*) from operator_command")
    with visiting(console.app, console.views, "operator") as visitor:
        answer = await visitor.post("/switches/command", **form | change)
    assert answer.status_code == status, answer.text
    assert await work.fetchval("select count(*) from operator_command") == before


async def test_name_of_a_signer_is_that_of_the_log_in(console: Console, work: Any) -> None:
    """Another person with a valid form of the operator's cannot hand it in, with any fields."""
    form = signed_form("halt", "assist")
    with visiting(console.app, console.views, *ROLES, name="mallory") as visitor:
        answer = await visitor.post("/switches/command", **form, operator=OPERATOR, name=OPERATOR)
    assert answer.status_code == 403
    assert not await work.fetchval(
        "select count(*) from operator_command where command_id = $1", uuid.UUID(form["command_id"])
    )


async def test_command_that_is_sent_twice_is_stored_once(console: Console) -> None:
    form = signed_form("cancel", str(uuid.uuid4()))
    with visiting(console.app, console.views, "operator") as visitor:
        assert (await visitor.post("/switches/command", **form)).status_code == 200
        assert (await visitor.post("/switches/command", **form)).status_code == 409


def decision(row: dict[str, Any], verdict: str, *, key: bytes = OPERATOR_KEY, **changes: str) -> dict[str, str]:
    """What the browser sends of a decision."""
    signed: dict[str, Any] = {
        "approval_id": str(row["approval_id"]),
        "case_id": str(row["case_id"]),
        "content_sha256": row["content"],
        "pack": "2026.05",
        "verdict": verdict,
        "approver": OPERATOR,
        "reason": REASON,
        "signed_at": timestamp(datetime.now(UTC)),
        **changes,
    }
    form = {name: signed[name] for name in ("verdict", "reason", "signed_at")}
    return form | {"signature": sign_statement(key, approval_statement(**signed))}


@pytest.mark.parametrize("verdict", ["granted", "denied", "returned"])
async def test_decision_is_the_row_that_the_command_line_writes(
    console: Console, work: Any, new_approval: NewApproval, verdict: str
) -> None:
    row = await new_approval()
    with visiting(console.app, console.views, "approver") as visitor:
        shown = await visitor.get(f"/approvals/{row['approval_id']}")
        answer = await visitor.post(f"/approvals/{row['approval_id']}", **decision(row, verdict), shown=token_of(shown))
    assert "Dear Ana" in shown.text
    assert row["content"] in shown.text
    assert answer.status_code == 200, answer.text
    stored = await work.fetchrow("select * from approval_decision where approval_id = $1", row["approval_id"])
    assert (stored["verdict"], stored["approver"], stored["content_sha256"]) == (verdict, OPERATOR, row["content"])


def token_of(page: httpx2.Response) -> str:
    """What the page of an approval says of having shown all of it."""
    found = re.search('name="shown" value="([0-9a-f]*)"', page.text)
    assert found is not None
    return found[1]


async def test_grant_counts_only_after_the_content_was_shown_whole_in_this_session(
    console: Console, work: Any, new_approval: NewApproval, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, other = await new_approval(), await new_approval()
    path = f"/approvals/{row['approval_id']}"
    with visiting(console.app, console.views, "approver") as visitor:
        elsewhere = token_of(await visitor.get(f"/approvals/{other['approval_id']}"))
        monkeypatch.setattr("switchyard.console.sealed.MAX_SHOWN_CHARS", 10)
        cut = await visitor.get(path)
        monkeypatch.undo()
        assert "Sign and grant" not in cut.text
        assert "Sign and send back" in cut.text
        monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 0.2)
        tokens = [token_of(cut), elsewhere, "0" * 64]
        with visiting(console.app, console.views, "approver") as colleague:
            tokens.append(token_of(await colleague.get(path)))
        for token in tokens:
            answer = await visitor.post(path, **decision(row, "granted"), shown=token)
            assert answer.status_code == 409, token
            assert "not shown to you whole" in answer.text
        stored = "select count(*) from approval_decision where approval_id = $1"
        assert await work.fetchval(stored, row["approval_id"]) == 0
        whole = token_of(await visitor.get(path))
        assert (await visitor.post(path, **decision(row, "granted"), shown=whole)).status_code == 200
    assert await work.fetchval(stored, row["approval_id"]) == 1


async def test_second_person_must_agree_where_it_is_unknown_who_asked(
    console: Console, work: Any, new_approval: NewApproval, deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 20.0)
    row = await new_approval()
    path = f"/approvals/{row['approval_id']}"
    async with deciding():
        with visiting(console.app, console.views, "approver") as first:
            page = await first.get(path)
            assert "two must agree" in page.text
            one = await first.post(path, **decision(row, "granted"), shown=token_of(page))
            assert "a second approver must agree" in one.text
            again = await first.get(path)
        assert "You have agreed" in again.text
        assert "Sign and grant" not in again.text
        assert await work.fetchval("select state from approval where approval_id = $1", row["approval_id"]) == "asked"
        with visiting(console.app, console.views, "approver", name=SECOND_APPROVER) as second:
            assert f"agreed: {OPERATOR}" in (await second.get("/approvals")).text
            page = await second.get(path)
            form = decision(row, "granted", key=SECOND_KEY, approver=SECOND_APPROVER)
            both = await second.post(path, **form, shown=token_of(page))
    assert f"{str(row['approval_id'])[:8]}: granted" in both.text
    state = "select state from approval where approval_id = $1"
    assert await work.fetchval(state, row["approval_id"]) == "granted"


async def test_person_who_asked_for_it_has_no_form_and_cannot_grant_it(
    console: Console, work: Any, new_approval: NewApproval, deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They submit under another name than they approve with."""
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 20.0)
    row = await new_approval(SUBMITTED_BY.upper())
    path = f"/approvals/{row['approval_id']}"
    async with deciding():
        with visiting(console.app, console.views, "approver") as asker:
            page = await asker.get(path)
            assert "You asked for this" in page.text
            assert "data-sign" not in page.text
            assert asker.user is not None
            shown = console.views.pages.sessions.form_token(asker.user, f"shown/{row['approval_id']}/{row['content']}")
            answer = await asker.post(path, **decision(row, "granted"), shown=shown)
        assert "the person who asked for it may not approve it" in unescape(answer.text)
        with visiting(console.app, console.views, "approver", name=SECOND_APPROVER) as other:
            page = await other.get(path)
            form = decision(row, "granted", key=SECOND_KEY, approver=SECOND_APPROVER)
            await other.post(path, **form, shown=token_of(page))
    assert await work.fetchval("select state from approval where approval_id = $1", row["approval_id"]) == "granted"


async def test_decision_on_other_content_is_not_stored(console: Console, work: Any, new_approval: NewApproval) -> None:
    row = await new_approval()
    with visiting(console.app, console.views, "approver") as visitor:
        path = f"/approvals/{row['approval_id']}"
        shown = token_of(await visitor.get(path))
        answer = await visitor.post(path, **decision(row, "granted", content_sha256="0" * 64), shown=shown)
    assert answer.status_code == 403
    assert not await work.fetchval("select count(*) from approval_decision where approval_id = $1", row["approval_id"])


async def test_content_that_differs_from_the_approval_is_not_shown(
    console: Console, work: Any, new_approval: NewApproval
) -> None:
    row = await new_approval()
    await work.execute("update approval set content_sha256 = $2 where approval_id = $1", row["approval_id"], "0" * 64)
    with visiting(console.app, console.views, "approver") as visitor:
        answer = await visitor.get(f"/approvals/{row['approval_id']}")
    assert answer.status_code == 409
    assert "Dear Ana" not in answer.text
    assert "incident" in answer.text


async def test_content_is_rendered_apart_where_nothing_of_it_runs(console: Console) -> None:
    approval = console.log.approval["approval_id"]
    with visiting(console.app, console.views, "approver") as visitor:
        answer = await visitor.get(f"/approvals/{approval}/rendered")
    assert answer.text.encode() in APPROVED
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def signed_retry(known: list[KnownCase], reason: str, *, key: bytes = OPERATOR_KEY) -> dict[str, Any]:
    """What the browser sends of a redrive."""
    at, signatures = timestamp(datetime.now(UTC)), []
    for case in known:
        by_type = {event["type"]: event for event in case.events}
        statement = retry_statement(
            case_id=case.case_id,
            failed=by_type["TaskFailed"]["digest"],
            command=by_type["AnswerQuestion"]["digest"],
            closed=by_type["CaseClosed"]["digest"],
            operator=OPERATOR,
            reason=reason,
            requested_at=at,
        )
        signatures.append(sign_statement(key, statement))
    ids = [case.case_id for case in known]
    return {"reason": reason, "signed_at": at, "rate": "20", "case_id": ids, "signature": signatures}


async def test_redrive_of_ten_cases_asks_for_ten_retries_with_their_evidence(console: Console, work: Any) -> None:
    chosen = console.log.failed[:10]
    with visiting(console.app, console.views, "operator") as visitor:
        plan = await visitor.post("/failures/plan", case=[case.case_id for case in chosen])
        assert plan.text.count("data-retry=") == 10
        answer = await visitor.post("/failures/redrive", **signed_retry(chosen, "incident 12: the driver is fixed"))
    assert answer.status_code == 200, answer.text
    rows = await work.fetch(
        "select case_id, request from retry_request where case_id = any($1)", [case.case_id for case in chosen]
    )
    assert len(rows) == 10
    for row in rows:
        # The case manager's own reader finds the evidence complete.
        evidence = read_request(row["request"], str(row["case_id"]))
        assert evidence.request.operator == OPERATOR
        assert json.loads(row["request"])["reason"] == "incident 12: the driver is fixed"


async def test_plan_says_why_a_case_is_left_out_and_changes_nothing(console: Console, work: Any) -> None:
    before = await work.fetchval("select count(*) from retry_request")
    chosen = [console.log.answered[0].case_id, console.log.failed[11].case_id]
    with visiting(console.app, console.views, "operator") as visitor:
        plan = await visitor.post("/failures/plan", case=chosen)
    assert "ended as answered" in plan.text
    assert plan.text.count("data-retry=") == 1
    assert await work.fetchval("select count(*) from retry_request") == before


async def test_redrive_with_one_invalid_signature_asks_for_nothing(console: Console, work: Any) -> None:
    before = await work.fetchval("select count(*) from retry_request")
    form = signed_retry(console.log.failed[10:], "incident 13")
    form["signature"][-1] = form["signature"][0]
    with visiting(console.app, console.views, "operator") as visitor:
        answer = await visitor.post("/failures/redrive", **form)
    assert answer.status_code == 403
    assert await work.fetchval("select count(*) from retry_request") == before


async def test_command_sent_while_the_database_is_away_may_have_been_stored(console: Console) -> None:
    await console.views.work._pool.close()
    with visiting(console.app, console.views, "operator") as visitor:
        answer = await visitor.post("/switches/command", **signed_form("halt", "assist"))
    assert answer.status_code == 503
    assert "may have been stored" in answer.text
    assert "tries again" not in answer.text
    assert "refresh" not in answer.headers


async def test_approval_of_content_that_is_not_shown_whole_has_no_form(
    console: Console, new_approval: NewApproval, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/approvals/{(await new_approval())['approval_id']}"
    with visiting(console.app, console.views, "approver") as visitor:
        assert "Sign and grant" in (await visitor.get(path)).text
        monkeypatch.setattr("switchyard.console.sealed.MAX_SHOWN_CHARS", 10)
        cut = (await visitor.get(path)).text
    assert "Sign and grant" not in cut
    assert "does not show all of the content" in cut
    assert "exactly these bytes" not in cut


async def open_cases(console: Console, count: int) -> tuple[str, list[str]]:
    """Open cases of a session of their own, and its name."""
    fresh = uuid.uuid4().int % 10**9
    session = f"s-{fresh}"
    made = [cases.first(fresh + each, session_id=session, deadline=timedelta(days=1)) for each in range(count)]
    await console.log.record(cases.bodies(made))
    return session, [event["case_id"] for event in made]


def signed_cancels(page: httpx2.Response, reason: str, *, key: bytes = OPERATOR_KEY) -> dict[str, Any]:
    """What the browser sends of a plan."""
    at = timestamp(datetime.now(UTC))
    planned = re.findall('data-cancel="([^"]+)" data-command="([^"]+)"', page.text)
    signatures = []
    for case_id, command_id in planned:
        statement = command_statement(
            command_id=command_id, action="cancel", target=case_id, operator=OPERATOR, reason=reason, signed_at=at
        )
        signatures.append(sign_statement(key, statement))
    form = {"case_id": [case for case, _ in planned], "command_id": [command for _, command in planned]}
    return form | {"reason": reason, "signed_at": at, "signature": signatures}


async def test_many_open_cases_are_cancelled_under_the_name_of_an_incident(console: Console, work: Any) -> None:
    session, expected = await open_cases(console, 12)
    with visiting(console.app, console.views, "operator") as visitor:
        plan = await visitor.get(f"/switches/cancel?session={session}")
        assert "12 open cases match" in plan.text
        assert await work.fetchval("select count(*) from operator_command where target = any($1)", expected) == 0
        answer = await visitor.post("/switches/cancel", **signed_cancels(plan, "incident 41: wrong letters"))
    assert answer.status_code == 200, answer.text
    rows = await work.fetch("select * from operator_command where target = any($1)", expected)
    assert sorted(row["target"] for row in rows) == sorted(expected)
    for row in rows:
        assert (row["action"], row["operator"], row["reason"]) == ("cancel", OPERATOR, "incident 41: wrong letters")
        statement = command_statement(
            command_id=str(row["command_id"]),
            action="cancel",
            target=row["target"],
            operator=OPERATOR,
            reason=row["reason"],
            signed_at=timestamp(row["signed_at"]),
        )
        OPERATORS.verify(OPERATOR, statement, row["signature"])


async def test_case_manager_cancels_each_case_of_the_run_and_the_page_says_which(
    console: Console, deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One case is not the case manager's: it was never opened there."""
    monkeypatch.setattr("switchyard.console.signed_commands.WAIT_S", 20.0)
    fresh = uuid.uuid4().int % 10**9
    session = f"s-{fresh}"
    opened = [cases.first(fresh + each, session_id=session, deadline=timedelta(days=1)) for each in range(30)]
    await console.log.record(cases.bodies(opened))
    for event in opened[1:]:
        add_submission(event)
    async with deciding():
        with visiting(console.app, console.views, "operator") as visitor:
            plan = await visitor.get(f"/switches/cancel?session={session}")
            answer = await visitor.post("/switches/cancel", **signed_cancels(plan, "incident 43"))
    assert "29 of 30 cases are cancelled" in answer.text
    assert "the case manager has no such case" in answer.text


async def test_cancel_of_many_with_one_invalid_signature_stores_nothing(console: Console, work: Any) -> None:
    session, expected = await open_cases(console, 3)
    with visiting(console.app, console.views, "operator") as visitor:
        form = signed_cancels(await visitor.get(f"/switches/cancel?session={session}"), "incident 42")
        form["signature"][-1] = form["signature"][0]
        answer = await visitor.post("/switches/cancel", **form)
    assert answer.status_code == 403
    assert await work.fetchval("select count(*) from operator_command where target = any($1)", expected) == 0


async def test_plan_to_cancel_leaves_closed_cases_out_and_says_if_there_are_more(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, expected = await open_cases(console, 4)
    closed = console.log.answered[0].case_id
    monkeypatch.setattr("switchyard.console.views.switches.MAX_CANCEL", 3)
    with visiting(console.app, console.views, "operator") as visitor:
        plan = await visitor.get(f"/switches/cancel?session={session}")
        assert "3 of more open cases match" in plan.text
        assert plan.text.count("data-cancel=") == 3
        assert f'data-cancel="{closed}"' not in (await visitor.get("/switches/cancel")).text
        assert (await visitor.post("/switches/cancel", reason="x", signed_at="x", case_id=expected)).status_code == 400


@pytest.mark.parametrize(("sent", "message_id"), [("yes", "ses-0001"), ("no", None)])
async def test_unresolved_email_is_listed_and_resolved_with_a_signature(
    console: Console, work: Any, sent: str, message_id: str | None
) -> None:
    case_id = str(uuid.uuid4())
    content = await unresolved_send(work, case_id)
    signed: dict[str, Any] = {
        "resolution_id": str(uuid.uuid4()),
        "case_id": case_id,
        "content_sha256": content,
        "provider_message_id": message_id,
        "operator": OPERATOR,
        "evidence": "SES console, 12:04",
        "signed_at": timestamp(datetime.now(UTC)),
    }
    form = {name: signed[name] for name in ("resolution_id", "case_id", "content_sha256", "signed_at")} | {
        "sent": sent,
        "provider_message_id": message_id or "",
        "reason": signed["evidence"],
        "signature": sign_statement(OPERATOR_KEY, resolution_statement(**signed)),
    }
    with visiting(console.app, console.views, "operator") as visitor:
        page = await visitor.get("/switches")
        assert content[:16] in page.text
        # Somebody who turns the answer round did not sign it.
        turned = await visitor.post(
            "/switches/resolution", **form | {"sent": "no" if sent == "yes" else "yes", "provider_message_id": "x"}
        )
        assert turned.status_code == 403
        answer = await visitor.post("/switches/resolution", **form)
        assert answer.status_code == 200, answer.text
    row = await work.fetchrow(
        "select * from email_sender.resolution_request where resolution_id = $1", uuid.UUID(signed["resolution_id"])
    )
    assert (row["operator"], row["provider_message_id"], row["content_sha256"]) == (OPERATOR, message_id, content)
    with visiting(console.app, console.views, "viewer") as visitor:
        assert "Sign: it was sent" not in (await visitor.get("/switches")).text


def test_commands_have_no_other_way_in() -> None:
    """Each way to change something takes a signature."""
    public = {
        name for name in vars(SignedCommands) if not name.startswith("_") and callable(vars(SignedCommands)[name])
    }
    assert public == {"command", "cancel", "decide", "resolve", "retry"}
