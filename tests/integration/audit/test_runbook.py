"""The queries of runbook and upgrade run, and what a restored work database has forgotten comes back from the log."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from contracts.events.email_sender import EmailUndeliverable, SendingHalted, SendingResolved, SendingUnknown
from services.restore import list_statements
from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.protocol.events.case_manager import ContactSuppressed
from switchyard.protocol.fields import Contract, Json
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit import recorded
from tests.integration.audit.conftest import UrlFor
from tests.integration.infrastructure import Infrastructure
from tests.integration.infrastructure import Owner as WorkOwner
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in ("operate/runbook.md", "operate/upgrade.md"))
BLOCKS = re.findall(r"```sql\n(-- (audit|work): ([^\n]*)\n.*?)```", TEXT, re.DOTALL)
EMAIL = recorded.emailed(105, recorded.ANA, 20)
CASE = EMAIL[0]["case_id"]
ROLES = {"the api": "api", "the case manager's": "case_manager", "that agent (here email_sender)": "email_sender"}
ADDRESS = "5" * 64


def filled(sql: str) -> str:
    """The query with psql's variables put in."""
    return sql.strip().removesuffix(";").replace(":'case'", f"'{CASE}'")


def of(database: str) -> list[tuple[str, str]]:
    """The queries for one database, each with what its first line says."""
    return [(filled(sql), comment) for sql, where, comment in BLOCKS if where == database]


def stopped() -> Json:
    """An address that opted out."""
    event = cases.first(190, opened=recorded.DAY, session_id="s-stop")
    payload = ContactSuppressed(address_key=ADDRESS, reason="opted_out", reported_by="upstream.email_feedback")
    return cases.rewritten(event, type="ContactSuppressed", node_to="external", payload=payload.model_dump(mode="json"))


async def recovered(store: AuditStore, url_for: UrlFor, *bodies: str) -> list[str]:
    """The statements that restore the work database from a log of these events."""
    for body in bodies:
        await store.record([body])
    pool = await connect_pool(url_for(READER), schema=SCHEMA, size=1)
    statements = await list_statements(pool, datetime(2026, 6, 1, tzinfo=UTC))
    await pool.close()
    return statements


@pytest.fixture
async def work(infrastructure: Infrastructure) -> AsyncIterator[WorkOwner]:
    """The work database as its owner."""
    connection = await asyncpg.connect(infrastructure.owner_url())
    yield connection
    await connection.close()


def test_page_queries_say_where_they_run() -> None:
    assert len(BLOCKS) == TEXT.count("```sql") >= 15


async def test_log_queries_run_with_the_readers_rights(store: AuditStore, url_for: UrlFor) -> None:
    for body in recorded.log():
        await store.record([body])
    pool = await connect_pool(url_for(READER), schema=SCHEMA, size=1)
    answers = {comment: await pool.fetch(sql) for sql, comment in of("audit")}
    await pool.close()
    assert len(answers["one case, step by step"]) == len(EMAIL)
    assert {row["kind"] for row in answers["what audit refused or found wrong"]} == {
        "duplicate_differs",
        "digest_mismatch",
    }


async def test_work_database_queries_run_with_the_named_role(infrastructure: Infrastructure) -> None:
    for sql, comment in of("work"):
        [role] = [
            role for name, role in ROLES.items() if comment.startswith(("as the role of " + name, f"as {name} role"))
        ]
        connection = await asyncpg.connect(infrastructure.role_url(role))
        await connection.fetch(sql)
        await connection.close()


async def test_restore_recovers_sent_answered_closed_and_suppressed_from_log(
    store: AuditStore, url_for: UrlFor, work: WorkOwner
) -> None:
    statements = await recovered(store, url_for, *cases.bodies([*EMAIL, stopped()]))
    for _ in range(2):  # safe to repeat
        for statement in statements:
            await work.execute(statement)

    sent = next(event for event in EMAIL if event["type"] == "EmailSent")
    command = next(event for event in EMAIL if event["type"] == "SendEmail")
    row = await work.fetchrow("select * from email_sender.sending where case_id = $1", CASE)
    assert row is not None
    assert (row["state"], row["provider_message_id"], str(row["command_id"]), row["attempt"]) == (
        "sent",
        "m-1",
        command["event_id"],
        1,
    )
    answered = await work.fetchrow("select * from email_sender.inbox where event_id = $1", command["event_id"])
    assert answered is not None
    output = json.loads(
        await work.fetchval("select event from email_sender.outbox where event_id = $1", answered["outputs"][0])
    )
    assert (answered["digest"], output["digest"], output) == (command["digest"], sent["digest"], sent)
    assert await work.fetchval("select outcome from case_manager.case_ending where case_id = $1", CASE) == "sent"
    suppressed = "select why from case_manager.control where kind = 'suppressed_address' and key = $1"
    assert await work.fetchval(suppressed, ADDRESS)
    assert await work.fetchval("select count(*) from compliance.inbox where case_id = $1", CASE) == 4


async def test_restore_email_without_logged_answer_is_unknown_and_not_resent(
    store: AuditStore, url_for: UrlFor, work: WorkOwner
) -> None:
    unanswered = recorded.emailed(106, recorded.ANA, 20)
    asked = next(place for place, event in enumerate(unanswered) if event["type"] == "SendEmail")
    for statement in await recovered(store, url_for, *cases.bodies(unanswered[: asked + 1])):
        await work.execute(statement)
    row = await work.fetchrow("select * from email_sender.sending where case_id = $1", unanswered[0]["case_id"])
    assert row is not None
    assert (row["state"], row["answered_at"]) == ("unknown", None)
    assert (
        await work.fetchval("select count(*) from email_sender.inbox where case_id = $1", unanswered[0]["case_id"]) == 0
    )


UNKNOWN = SendingUnknown(message="no answer was recorded", content_sha256=recorded.CONTENT)


def settled(message_id: str | None) -> SendingResolved:
    """What a person found out."""
    return SendingResolved(
        content_sha256=recorded.CONTENT,
        sent=message_id is not None,
        provider_message_id=message_id,
        operator="ada",
        evidence="the provider's event log",
    )


@pytest.mark.parametrize(
    ("number", "answers", "state"),
    [
        (107, (UNKNOWN,), ("unknown", None)),
        (108, (UNKNOWN, settled("m-9")), ("sent", "m-9")),
        (109, (UNKNOWN, settled(None)), ("refused", None)),
        (110, (EmailUndeliverable(code="bad_address", message="refused"),), ("refused", None)),
        (111, (SendingHalted(),), None),
    ],
)
async def test_ledger_after_a_restore_has_the_logs_state_of_each_sending(
    number: int,
    answers: tuple[Contract, ...],
    state: tuple[str, str | None] | None,
    store: AuditStore,
    url_for: UrlFor,
    work: WorkOwner,
) -> None:
    whole = recorded.emailed(number, recorded.ANA, 20)
    events = whole[: 1 + next(place for place, event in enumerate(whole) if event["type"] == "SendEmail")]
    for answer in answers:
        events.append(cases.follow(events[-1], answer, "email_sender"))
    for statement in await recovered(store, url_for, *cases.bodies(events)):
        await work.execute(statement)
    known = "select state, provider_message_id from email_sender.sending where case_id = $1"
    row = await work.fetchrow(known, whole[0]["case_id"])
    assert (None if row is None else tuple(row)) == state
