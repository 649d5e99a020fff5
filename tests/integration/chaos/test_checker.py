"""The checker of `make chaos` finds nothing in a run in which everything holds, and names each thing that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from bench.chaos.checker.checks import find_violations, list_checks
from switchyard.processes.databases import migrate_audit, migrate_work
from tests.integration.chaos.healthy_run import APPROVALS, CASES, CONTENT, HealthyRun
from tests.integration.infrastructure import Infrastructure, password

pytestmark = [pytest.mark.integration, pytest.mark.slow]
WORK, AUDIT = "chaos_work", "chaos_audit"


async def _migrate(infrastructure: Infrastructure) -> None:
    admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
    try:
        for name in (WORK, AUDIT):
            await admin.execute(f"drop database if exists {name} with (force)")
            await admin.execute(f"create database {name}")
    finally:
        await admin.close()
    await migrate_work(infrastructure.owner_url(WORK), password_for=password)
    await migrate_audit(infrastructure.owner_url(AUDIT), password_for=password)


@pytest.fixture(scope="session")
def migrated(infrastructure: Infrastructure) -> Infrastructure:
    asyncio.run(_migrate(infrastructure))
    return infrastructure


@pytest.fixture
async def run(migrated: Infrastructure) -> AsyncIterator[HealthyRun]:
    """A healthy run in transactions that are never committed."""
    work = await asyncpg.connect(migrated.owner_url(WORK))
    audit = await asyncpg.connect(migrated.owner_url(AUDIT))
    await work.execute("begin")
    await audit.execute("begin")
    healthy = HealthyRun(work, audit)
    await healthy.write()
    yield healthy
    await work.close()
    await audit.close()


def _on_audit(sql: str) -> Callable[[HealthyRun], Awaitable[None]]:
    async def plant(run: HealthyRun) -> None:
        await run.audit.execute(sql)

    return plant


def _on_work(sql: str) -> Callable[[HealthyRun], Awaitable[None]]:
    async def plant(run: HealthyRun) -> None:
        await run.work.execute(sql)

    return plant


def _sent_again(name: str, number: int = 1) -> Callable[[HealthyRun], Awaitable[None]]:
    async def plant(run: HealthyRun) -> None:
        run.outbox["emails"].append(run.email(name, number))

    return plant


async def _sent_during_halt(run: HealthyRun) -> None:
    halt = next(stop for stop in run.history["stops"] if stop["kind"] == "playbook")
    halt["after"] = ["sent-0", "granted-0"]


async def _never_resumed(run: HealthyRun) -> None:
    halt = next(stop for stop in run.history["stops"] if stop["kind"] == "playbook")
    halt["after"] = None


async def _opted_out_before(run: HealthyRun) -> None:
    stop = next(stop for stop in run.history["stops"] if stop["kind"] == "address")
    stop["before"] = []


async def _wanted_denied(run: HealthyRun) -> None:
    next(each for each in run.history["submitted"] if each["case_id"] == CASES["granted"])["wants"] = "deny"


async def _second_approved_use(run: HealthyRun) -> None:
    await run.work.execute("alter table email_sender.sending drop constraint sending_approval_id_key")
    await run.work.execute(
        f"update email_sender.sending set approval_id = '{APPROVALS['granted']}' where case_id = '{CASES['sent']}'"
    )


async def _second_outcome(run: HealthyRun) -> None:
    await run.audit.execute(
        "insert into audit.transition"
        " select (jsonb_populate_record(t, jsonb_build_object('event_id', gen_random_uuid()))).*"
        f" from audit.transition t where case_id = '{CASES['sent']}' and seq = 2"
    )


async def _not_submitted(run: HealthyRun) -> None:
    run.history["submitted"] = [each for each in run.history["submitted"] if each["case_id"] != CASES["sent"]]


Q, SENT, GRANTED = CASES["question"], CASES["sent"], CASES["granted"]
PLANTED: list[tuple[str, str, Callable[[HealthyRun], Awaitable[None]]]] = [
    ("audit/one_ending", "open", _on_audit(f"delete from audit.transition where terminal and case_id = '{Q}'")),
    (
        "audit/one_ending",
        "two",
        _on_audit(f"update audit.transition set terminal = true where seq = 3 and case_id = '{Q}'"),
    ),
    ("audit/one_beginning", "none", _on_audit(f"delete from audit.transition where seq = 0 and case_id = '{Q}'")),
    ("audit/no_gap", "gap", _on_audit(f"delete from audit.transition where seq = 2 and case_id = '{Q}'")),
    ("audit/parents_logged", "missing", _on_audit(f"delete from audit.transition where seq = 2 and case_id = '{Q}'")),
    (
        "audit/siblings_complete",
        "one of two",
        _on_audit(f"update audit.transition set siblings = 2 where seq = 3 and case_id = '{Q}'"),
    ),
    ("audit/no_event_twice", "two outcomes", _second_outcome),
    ("audit/effect_once", "sent twice", _second_outcome),
    ("audit/indexed", "row", _on_audit("delete from audit.log_entry where log_index = 7")),
    ("audit/indexed", "entry", _on_audit(f"delete from audit.transition where seq = 2 and case_id = '{Q}'")),
    ("audit/indexed", "gap", _on_audit("update audit.log_entry set log_index = 100 where log_index = 7")),
    (
        "audit/no_alarm",
        "alarm",
        _on_audit("insert into audit.integrity_alarm (kind, reason, body_sha256) values ('malformed', 'no', '\\x00')"),
    ),
    ("work/accepted_logged", "lost", _on_work(f"delete from case_manager.submission where case_id = '{Q}'")),
    ("work/published_logged", "lost", _on_audit(f"delete from audit.transition where seq = 2 and case_id = '{Q}'")),
    (
        "work/published_logged",
        "altered",
        _on_audit(f"update audit.transition set transcript_hash = 'x' where seq = 2 and case_id = '{Q}'"),
    ),
    ("work/logged_published", "invented", _on_work(f"delete from drafter.outbox where case_id = '{Q}'")),
    ("work/ending_agrees", "none", _on_work(f"delete from case_manager.case_ending where case_id = '{Q}'")),
    (
        "work/ending_agrees",
        "two",
        _on_work(
            "insert into case_manager.case_ending (case_id, attempt, outcome, event_id)"
            f" values ('{Q}', 'retry-1', 'failed', gen_random_uuid())"
        ),
    ),
    ("work/email_once", "twice", _sent_again("sent")),
    ("work/email_rightful", "denied", _sent_again("denied")),
    ("work/email_rightful", "open", _on_work(f"delete from case_manager.case_ending where case_id = '{SENT}'")),
    ("work/email_rightful", "unknown", _not_submitted),
    ("work/email_as_recorded", "no email", _on_work(f"delete from email_sender.sending where case_id = '{SENT}'")),
    (
        "work/email_as_recorded",
        "other content",
        _on_work(f"update email_sender.sending set content_sha256 = 'x' where case_id = '{SENT}'"),
    ),
    ("work/email_reviewed", "never", _on_work(f"delete from compliance.verdict where case_id = '{SENT}'")),
    ("work/approval_respected", "denied", _sent_again("denied")),
    ("work/approval_respected", "person said no", _wanted_denied),
    (
        "work/approval_respected",
        "other content",
        _on_work(f"update case_manager.approval set content_sha256 = '{CONTENT['sent']}' where case_id = '{GRANTED}'"),
    ),
    ("work/approval_respected", "no signature", _on_work("delete from case_manager.approval_grant")),
    ("work/approval_once", "two emails", _second_approved_use),
    (
        "work/approval_once",
        "two decisions",
        _on_work(
            "insert into case_manager.approval_decision (approval_id, verdict, content_sha256, approver, why,"
            " signed_at, signature, result)"
            f" values ('{APPROVALS['granted']}', 'denied', '{CONTENT['granted']}', 'oncall',"
            " '', now(), '', 'denied')"
        ),
    ),
    ("work/stopped", "while halted", _sent_during_halt),
    ("work/stopped", "halted for good", _never_resumed),
    ("work/stopped", "cancelled", _sent_again("cancelled")),
    ("work/stopped", "opted out", _opted_out_before),
]


async def test_checker_healthy_run_has_no_violation(run: HealthyRun) -> None:
    assert await find_violations(run.work, run.audit, run.outbox, run.history) == []


@pytest.mark.parametrize(("check", "plant"), [pytest.param(c, p, id=f"{c} {what}") for c, what, p in PLANTED])
async def test_checker_planted_violation_is_named(
    run: HealthyRun, check: str, plant: Callable[[HealthyRun], Awaitable[None]]
) -> None:
    await plant(run)
    found = await find_violations(run.work, run.audit, run.outbox, run.history)
    assert check in {each.check for each in found}


def test_checker_each_check_is_shown_to_fail() -> None:
    assert {check for check, _, _ in PLANTED} == set(list_checks())
