"""Outbound emails on the whole stack: each is sent once, also when a process is killed; none is sent after a stop."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import urllib.request
from collections import Counter
from functools import partial
from typing import Any
from urllib.error import HTTPError

import pytest

from contracts.documents.opt_out import OPT_OUT_PATH
from demo.emails import DEMO_EMAILS, DemoEmail, build_email_submission
from services.specialists.compliance.pack import pack_in_force, released_packs
from switchyard.cli.app.operator_commands import submit_command
from switchyard.cli.commands.approval import submit_decision
from switchyard.devstack.stack.local_stack import LOCAL_OPERATOR
from switchyard.protocol.fields import Json
from switchyard.protocol.operator_commands import CommandAction
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
REMINDER = DEMO_EMAILS[0]
WORKERS = ("email_sender", "compliance", "drafter")


def _emails(deployment: Deployment, count: int, email: DemoEmail = REMINDER) -> list[Json]:
    now = deployment.target.clock.now()
    mark = f"{deployment.prefix}-{random.SystemRandom().randrange(10**9):09}"
    made = []
    for number in range(count):
        built = build_email_submission(email, number, now)
        built["idempotency_key"] = f"{mark}-{number}"
        built["consumer_id"] = f"{mark}-{number}"
        built["facts"]["email"]["address"] = f"{mark}.{number}@gmail.com"
        made.append(built)
    return made


def _outbox(deployment: Deployment) -> list[dict[str, Any]]:
    port = deployment.stack.ports()["ses_simulator"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/outbox", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["emails"]
    for email in found:
        assert hashlib.sha256(base64.b64decode(email["raw"])).hexdigest() == email["sha256"]
    return found


async def _contents(deployment: Deployment, cases: list[str], transition: str) -> dict[str, set[str]]:
    rows = await deployment.rows(
        "select case_id::text, payload ->> 'content_sha256' as content from audit.transition_detail"
        " where transition = $2 and case_id = any($1::uuid[])",
        cases,
        transition,
    )
    found: dict[str, set[str]] = {case: set() for case in cases}
    for row in rows:
        found[row["case_id"]].add(row["content"])
    return found


async def _sent_once_as_passed(deployment: Deployment, cases: list[str], closed: dict[str, dict[str, Any]]) -> None:
    """Every case that says so has its email in the outbox once, under a pass of the pack in force; no other has two."""
    taken = Counter((email["tags"]["case_id"], email["sha256"]) for email in _outbox(deployment))
    ours = {key: count for key, count in taken.items() if key[0] in set(cases)}
    assert set(ours.values()) <= {1}, "an email was sent twice"
    sent = await _contents(deployment, cases, "EmailSent")
    pack = pack_in_force(released_packs(), deployment.target.clock.now()).version
    rows = await deployment.rows(
        "select case_id::text, content_sha256 from compliance.verdict"
        " where stage = 'email' and outcome = 'EmailPassed' and pack = $2 and case_id = any($1::uuid[])",
        cases,
        pack,
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
    passed = {(row["case_id"], row["content_sha256"]) for row in rows}
    for case in cases:
        contents = {content for found, content in ours if found == case}
        match closed[case]["outcome"]:
            case "sent":
                assert sent[case] == contents != set()
                assert {(case, content) for content in contents} <= passed
            case "unknown":
                assert len(contents) <= 1
            case other:
                pytest.fail(f"a good email ended as {other}: {closed[case]['message']}")


async def _operate(deployment: Deployment, action: CommandAction) -> str | None:
    return await submit_command(deployment.target, action, "outbound_email", operator="oncall", reason="a drill")


async def test_halt_stops_every_email_and_resumption_sends_each_once(deployment: Deployment) -> None:
    cases = await deployment.submit(_emails(deployment, 6), source="upstream.collections")
    assert await _operate(deployment, "halt") == "halted"
    before = len(_outbox(deployment))
    late = await deployment.submit(_emails(deployment, 2), source="upstream.collections")

    async def all_rest() -> bool | None:
        (row,) = await deployment.rows(
            "select (select count(*) from case_manager.pending_command where kind = 'resume' and answer_id is null"
            "   and case_id = any($1::uuid[]))"
            " + (select count(*) from case_manager.case_ending where case_id = any($1::uuid[]))"
            " + (select count(*) from case_manager.submission"
            " where parked and case_id = any($1::uuid[])) as resting",
            [*cases, *late],
            database="SWITCHYARD_WORK_DB_OWNER_URL",
        )
        return True if row["resting"] == len(cases) + len(late) else None

    await deployment.until(all_rest, seconds=60, what="cases that rest")
    halted_at = len(_outbox(deployment))
    assert halted_at - before <= len(cases)
    await deployment.quiet()
    assert len(_outbox(deployment)) == halted_at, "an email was sent while the playbook was halted"
    assert await _operate(deployment, "resume") == "resumed"
    closed = await deployment.closed([*cases, *late], seconds=90)
    assert {payload["outcome"] for payload in closed.values()} == {"sent"}
    await _sent_once_as_passed(deployment, [*cases, *late], closed)
    assert await deployment.findings([*cases, *late]) == []


async def test_returned_draft_is_written_and_approved_again_and_only_that_one_is_sent(
    deployment: Deployment,
) -> None:
    (submission,) = _emails(deployment, 1, next(email for email in DEMO_EMAILS if email.key == "settlement"))
    (case,) = await deployment.submit([submission], source="upstream.collections")

    async def asked() -> str | None:
        rows = await deployment.rows(
            "select approval_id::text from case_manager.approval where case_id = $1 and state = 'asked'",
            case,
            database="SWITCHYARD_WORK_DB_OWNER_URL",
        )
        return rows[0]["approval_id"] if rows else None

    decide = partial(submit_decision, deployment.target, approver=LOCAL_OPERATOR)
    first = await deployment.until(asked, seconds=60, what="an approval")
    assert await decide(first, "returned", reason="End with the choice.") == "returned"
    second = await deployment.until(asked, seconds=60, what="an approval of another draft")
    assert second != first
    assert await decide(second, "granted", reason="Reads well.") == "granted"
    closed = await deployment.closed([case], seconds=60)
    assert closed[case]["outcome"] == "sent"
    drafted = await _contents(deployment, [case], "EmailDrafted")
    returned = await _contents(deployment, [case], "ApprovalReturned")
    sent = await _contents(deployment, [case], "EmailSent")
    assert len(drafted[case]) == 2
    assert sent[case] == drafted[case] - returned[case]
    await _sent_once_as_passed(deployment, [case], closed)
    assert await deployment.findings([case]) == []


async def test_republished_events_of_a_sent_email_send_nothing(deployment: Deployment) -> None:
    cases = await deployment.submit(_emails(deployment, 2), source="upstream.collections")
    closed = await deployment.closed(cases)
    await deployment.settled(cases)
    events = [event for case in cases for event in await deployment.events(case)]
    again = [(f"switchyard.{event['node_from']}", event["type"], json.dumps(event)) for event in events * 2]
    random.Random(11).shuffle(again)
    before = len(_outbox(deployment))
    await deployment.put(*again)
    await deployment.quiet()
    assert len(_outbox(deployment)) == before
    await _sent_once_as_passed(deployment, cases, closed)


def test_opt_out_page_answers_a_bad_link(deployment: Deployment) -> None:
    link = f"http://127.0.0.1:{deployment.stack.ports()['email_feedback_http']}{OPT_OUT_PATH}/no-token"
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(link, timeout=10)
    assert (refused.value.code, refused.value.headers.get_content_type()) == (400, "text/html")
    refused.value.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_emails_under_random_kill_9_are_sent_at_most_once(deployment: Deployment) -> None:
    chance = random.Random(2026)
    cases = await deployment.submit(_emails(deployment, 200), source="upstream.collections")

    async def kill() -> int:
        kills = 0
        while True:
            await asyncio.sleep(chance.uniform(0.5, 4.0))  # real time: a kill comes at any moment
            await deployment.kill(chance.choice(WORKERS))
            kills += 1
            if kills == 15:
                return kills

    killing = asyncio.create_task(kill())
    closed = await deployment.closed(cases, seconds=600)
    kills = await killing
    outcomes = Counter(payload["outcome"] for payload in closed.values())
    assert set(outcomes) <= {"sent", "unknown"}
    assert outcomes["unknown"] <= kills * 8, "more unknown outcomes than the email sender can have had in hand"
    await _sent_once_as_passed(deployment, cases, closed)
    await deployment.settled(cases, seconds=60)
    assert await deployment.findings(cases) == []
