"""What a thief of exactly one role's login can do and cannot do. Each test acts with that login.

`docs/operate/security.md` has the table: its last column is compared with the rights in the live database.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import astuple
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from services.app import IDENTITY
from switchyard.app.application import API
from switchyard.app.console_process import CONSOLE
from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.processes.databases import migrate_audit
from switchyard.runtime.database.session_scope import SET_SCOPE
from tests.integration.events import fresh_id, opened, scope_of
from tests.integration.infrastructure import Infrastructure, Owner, password
from tests.integration.known_cases import KnownCases, Person, known_cases
from tests.operators import hand_in, result_of, signed_command

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[3] / "docs" / "operate" / "security.md").read_text(encoding="utf-8")
AGENTS = tuple(AGENT_CARDS)
PEOPLE = ("operator", "reviewer", "reconciler", "vault_eraser")
WORK_ROLES = ("case_manager", *AGENTS, IDENTITY, CONSOLE, API, *PEOPLE)
AUDIT_ROLES = ("audit", "audit_api", "audit_reader", "audit_retention")
AUDIT_DATABASE = "audit_of_thieves"

SET_ANY_SCOPE = """
select set_config('switchyard.tenant', 'acme', false), set_config('switchyard.user', 'ada', false),
  set_config('switchyard.session', 's-1', false)
"""
"""The worst that a login allows: it names any scope, for as long as it likes."""

Thief = asyncpg.Connection
LogIn = Callable[..., Awaitable[Any]]

DENIED = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError)
"""The second: there is no schema in which the role could create something."""


@pytest.fixture(scope="session")
def audit_database(infrastructure: Infrastructure) -> str:
    """An audit database on the same server, as a laptop has it."""

    async def make() -> None:
        admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
        await admin.execute(f"drop database if exists {AUDIT_DATABASE} with (force)")
        await admin.execute(f"create database {AUDIT_DATABASE}")
        await admin.close()
        await migrate_audit(infrastructure.owner_url(AUDIT_DATABASE), password_for=password)

    asyncio.run(make())
    return AUDIT_DATABASE


@pytest.fixture
async def log_in(infrastructure: Infrastructure) -> AsyncIterator[LogIn]:
    """Logs in as a role."""
    async with AsyncExitStack() as stack:

        async def connect(role: str, database: str = WORK_DATABASE) -> Any:
            url = infrastructure.role_url(role).replace(f"/{WORK_DATABASE}", f"/{database}")
            connection = await asyncpg.connect(url, server_settings={"search_path": role})
            stack.push_async_callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def cases(infrastructure: Infrastructure) -> KnownCases:
    """Cases that intake opened."""
    known = known_cases()
    assert known is not None
    return known


async def denied(thief: Any, statement: str) -> bool:
    """Whether the database refuses it for want of a right."""
    try:
        await thief.fetch(statement)
    except DENIED:
        return True
    return False


FOREIGN = {
    "another agent's table": "select * from {other}.inbox",
    "another agent's outbox": "update {other}.outbox set published_at = null",
    "every person's key": "select wrapped_key from vault.subject_key",
    "every person's name": "select external_id from vault.subject_key",
    "the vault's cards": "insert into vault.card values ('{role}', 'account', '{{}}')",
    "every case": "select * from case_manager.submission",
    "every approval": "select * from case_manager.approval",
    "a signature": "insert into case_manager.approval_grant values (gen_random_uuid(), 'x', '', now(), '', now())",
    "the suppression list": "delete from case_manager.control",
    "compliance's verdicts": "select * from compliance.verdict",
    "a verdict of one's own": "update compliance.verdict set outcome = 'EmailPassed'",
    "the ledger": "delete from email_sender.sending",
    "what was spent": "update budget.tenant_day set spent = 0",
    "what may be spent": "insert into budget.money_limit values ('t', 'day', 1, gen_random_uuid(), now(), '', '')",
    "a temporary table": "create temp table stand_in (id int)",
    "a table of one's own": "create table {role}_table (id int)",
    "a schema": "create schema {role}_extra",
    "the schema public": "create table public.mine (id int)",
    "the migrators' lock": "select * from public.migration_lock",
    "another's session": "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()",
    "another role": "set role case_manager",
    "the server's files": "copy (select 1) to '/tmp/x'",
}
OWN = {
    "case_manager": {
        "every case",
        "every approval",
        "a signature",
        "the suppression list",
        "another role",
        "what may be spent",
    },
    "compliance": {"compliance's verdicts", "a verdict of one's own"},  # the table's trigger keeps what was recorded
    "email_sender": {"the ledger"},
}


@pytest.mark.parametrize("role", WORK_ROLES)
async def test_thief_of_a_work_role_has_no_right_outside_its_schema(role: str, log_in: LogIn, owner: Owner) -> None:
    assert await owner.fetchval("select true"), "somebody else's session, which it cannot end"
    thief = await log_in(role)
    other = "triage" if role != "triage" else "drafter"
    own = OWN.get(role, set())
    open_to_it = {
        what
        for what, statement in FOREIGN.items()
        if what not in own and not await denied(thief, statement.format(role=role, other=other))
    }
    assert open_to_it == set()


async def test_thief_of_compliance_changes_no_recorded_verdict(log_in: LogIn, owner: Owner) -> None:
    await owner.execute(
        "insert into compliance.verdict (task_id, case_id, tenant, user_id, session_id, stage, outcome, pack, purpose,"
        " account_sha256, rules, payload, places, recorded_at, retain_until)"
        " values (gen_random_uuid(), gen_random_uuid(), 'acme', 'ada', 's-1', 'email', 'EmailBlocked', 'p',"
        " 'payment_reminder', '', '{}', '{}', '{}', now(), '2030-01-01')"
    )
    thief = await log_in("compliance")
    await thief.execute(SET_ANY_SCOPE)
    for statement in ("update compliance.verdict set outcome = 'EmailPassed'", "delete from compliance.verdict"):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
            await thief.execute(statement)


@pytest.mark.parametrize("role", [*WORK_ROLES, *AUDIT_ROLES])
async def test_thief_connects_to_no_database_but_its_own(role: str, log_in: LogIn, audit_database: str) -> None:
    forbidden = WORK_DATABASE if role in AUDIT_ROLES else audit_database
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await log_in(role, forbidden)


@pytest.mark.parametrize("agent", AGENTS)
async def test_thief_of_an_agent_gets_keys_of_known_open_cases_only(
    agent: str, log_in: LogIn, cases: KnownCases, owner: Owner
) -> None:
    card = AGENT_CARDS[agent]
    playbook, foreign = (
        ("outbound_email", "assist")
        if "account" in card.decrypts or agent == "email_sender"
        else (
            "assist",
            "outbound_email",
        )
    )
    people = [Person(bytes(32)) for _ in range(64)]
    thief = await log_in(agent)

    async def take(person: Person, playbook: str, *, ended: bool = False) -> bool:
        case_id = fresh_id()
        opening = opened(case_id, known=False, subject=person.subject, playbook_version=f"{playbook}/1")
        cases.add_case(opening)
        await thief.execute(SET_SCOPE.replace("true", "false"), *astuple(scope_of(opening)))
        if ended:
            await owner.execute(
                "insert into case_manager.case_ending (case_id, outcome, event_id) values ($1, 'sent', $1)", case_id
            )
        # The worst that its login allows: it writes the lease itself.
        await thief.execute(
            "insert into inbox (event_id, digest, case_id, type, token, claims, lease_until)"
            " values (gen_random_uuid(), '', $1, 'T', 1, 1, 'infinity')",
            case_id,
        )
        row = await thief.fetchrow("select * from vault.key_for_task($1, $2)", case_id, card.decrypts[0])
        return row is not None and row["wrapped_key"] is not None

    observes = agent in CATALOGUE.observers  # cases that are over, and no others
    assert await take(people[0], playbook, ended=observes), "a case that it knows"
    assert not await take(people[1], playbook, ended=not observes)
    if agent != "drafter":  # whose card and commands are of both playbooks
        assert not any([await take(person, foreign, ended=observes) for person in people[2:12]])
    unknown = "select count(*) from vault.key_for_task(gen_random_uuid(), $1) where wrapped_key is not null"
    assert await thief.fetchval(unknown, card.decrypts[0]) == 0
    assert await denied(thief, "select count(*) from vault.subject_key")


async def test_thief_of_case_manager_finds_no_person_without_the_fingerprint_key(log_in: LogIn) -> None:
    subject = Person(bytes(32)).subject
    thief = await log_in("case_manager")
    assert await thief.fetch("select * from vault.find_subject('acme', '')") == []
    assert await thief.fetchval("select vault.has_key($1)", subject)
    assert await denied(thief, "select * from vault.subject_key")
    assert await denied(thief, f"select * from vault.key_for_task('{fresh_id()}', 'question')")


async def test_thief_of_reviewer_reads_only_a_known_case_and_decides_nothing(log_in: LogIn, cases: KnownCases) -> None:
    person, case_id = Person(bytes(32)), fresh_id()
    cases.add_case(opened(case_id, known=False, subject=person.subject))
    thief = await log_in("reviewer")
    assert len(await thief.fetch("select * from vault.key_for_review($1)", case_id)) == 1
    assert await thief.fetch("select * from vault.key_for_review(gen_random_uuid())") == []
    for statement in (
        "select case_manager.decide(gen_random_uuid(), 'granted', '', 'x', '', now(), '')",
        "select case_manager.command(gen_random_uuid(), 'halt', 'assist', 'x', '', now(), '')",
    ):
        assert await denied(thief, statement)


async def test_thief_of_operator_hands_in_commands_that_count_only_signed(log_in: LogIn, owner: Owner) -> None:
    thief = await log_in("operator")
    unsigned = await hand_in(thief, signed_command("halt", "assist", key=b"\x66" * 32))
    assert await result_of(thief, unsigned) is None, "the case manager verifies"
    assert await denied(
        thief, "insert into case_manager.control (kind, key, by, why) values ('halted_playbook', 'assist', 'x', 'y')"
    )
    assert await denied(thief, "update case_manager.operator_command set result = 'halted'")
    await owner.execute("delete from case_manager.operator_command")
    decision = await thief.fetchval(
        "select case_manager.decide(gen_random_uuid(), 'granted', $1, 'oncall', '', now(), $2)", "c" * 64, "00" * 64
    )
    assert await thief.fetchval("select case_manager.decided($1)", decision) is None, "the case manager decides"
    assert await denied(thief, "update case_manager.approval set state = 'granted'")
    await owner.execute("delete from case_manager.approval_decision")


async def test_thief_of_operator_reads_no_request_of_another_and_hands_in_none_without_end(log_in: LogIn) -> None:
    thief = await log_in("operator")
    for columns in ("request", "case_id", "*"):
        assert await denied(thief, f"select {columns} from case_manager.retry_request")
    insert = "insert into case_manager.retry_request (request_id, case_id, request) values ($1, $1, $2)"
    with pytest.raises(asyncpg.CheckViolationError):
        await thief.execute(insert, fresh_id(), "[" * 3_000_000)


async def test_thief_of_eraser_destroys_keys_and_reads_none(log_in: LogIn, owner: Owner) -> None:
    subject = Person(bytes(32)).subject
    thief = await log_in("vault_eraser")
    for column in ("wrapped_key", "external_id", "fingerprint"):
        assert await denied(thief, f"select {column} from vault.subject_key")
    await thief.execute("delete from vault.subject_key where subject = $1", subject)
    assert await owner.fetchval("select count(*) from vault.subject_key where subject = $1", subject) == 0
    assert await denied(thief, "delete from vault.erased_subject")


async def test_thief_of_reconciler_sees_ids_and_republishes_and_reads_no_event(log_in: LogIn) -> None:
    thief = await log_in("reconciler")
    await thief.fetch("select event_id, digest, type from case_manager.outbox")
    assert await thief.fetchval("select case_manager.republish(gen_random_uuid())") is None
    assert await denied(thief, "select event from case_manager.outbox")
    assert await denied(thief, "select payload from compliance.verdict")


@pytest.mark.parametrize("role", AUDIT_ROLES)
async def test_thief_of_an_audit_role_changes_no_row_of_the_log(role: str, log_in: LogIn, audit_database: str) -> None:
    thief = await log_in(role, audit_database)
    allowed = {"audit_retention": {"update audit.transition set body = null"}}.get(role, set())
    for statement in (
        "update audit.transition set node_from = 'router'",
        "update audit.transition set body = null",
        "delete from audit.transition",
        "truncate audit.transition",
        "delete from audit.checkpoint",
        "alter table audit.transition disable trigger all",
        "create temp table stand_in (id int)",
    ):
        assert statement in allowed or await denied(thief, statement), statement


HELD = {
    "email_sender": ("insert into email_sender.send_lock values ('acme', 'ada', 's-1', gen_random_uuid(), 'x')"),
    "operator": (
        "insert into case_manager.retry_request (request_id, case_id, request)"
        " values (gen_random_uuid(), gen_random_uuid(), '')"
    ),
}


@pytest.mark.parametrize("role", [*AGENTS, "reviewer", "reconciler", "vault_eraser", "operator"])
async def test_thief_of_a_work_role_delays_no_halt_and_no_stop(
    role: str, log_in: LogIn, owner: Owner, cases: KnownCases
) -> None:
    case_id, address = fresh_id(), "a" * 64
    cases.add_case(opened(case_id, known=False), subject_key=address)
    thief = await log_in(role)
    transaction = thief.transaction()
    await transaction.start()
    try:
        # Every advisory lock that anybody could guess, and every row that this login may touch.
        for kind, key in (("playbook", "assist"), ("case", case_id), ("address", address)):
            await thief.execute("select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))", kind, key)
        if role in AGENTS:
            await thief.fetch("select case_manager.case_facts($1)", case_id)
            await thief.execute("lock table inbox, outbox in access exclusive mode")
        if role in HELD:
            await thief.execute(SET_ANY_SCOPE)
            await thief.execute(HELD[role])
        operator = await log_in("operator")
        async with asyncio.timeout(2):
            await hand_in(operator, signed_command("halt", "assist"))
            await hand_in(operator, signed_command("cancel", case_id))
            await owner.execute(
                "insert into case_manager.control (kind, key, by, why) values ('suppressed_address', $1, 'x', 'y')",
                address,
            )
    finally:
        await transaction.rollback()
        await owner.execute("delete from case_manager.control; delete from case_manager.operator_command")


async def test_thief_of_identity_lists_no_cases_and_no_keys(log_in: LogIn) -> None:
    thief = await log_in(IDENTITY)
    for what in (
        "every case",
        "every approval",
        "every person's key",
        "another agent's table",
        "compliance's verdicts",
    ):
        assert await denied(thief, FOREIGN[what].format(role=IDENTITY, other="triage")), what
    # Facts are shown for a task that some agent holds the lease of now, and for no other one.
    assert await thief.fetchval("select open_task('triage', gen_random_uuid(), gen_random_uuid())") is None
    assert await thief.fetchval("select open_task('pg_catalog', gen_random_uuid(), gen_random_uuid())") is None


async def test_halt_with_its_row_locked_is_an_error_without_a_traceback(
    infrastructure: Infrastructure, owner: Owner
) -> None:
    target = Target({"SWITCHYARD_OPERATOR_DB_URL": infrastructure.role_url("operator")})
    async with owner.transaction():
        await owner.execute("lock table case_manager.operator_command in access exclusive mode")
        with pytest.raises(CommandFailed, match="did not answer in time"):
            async with open_pool(target, "operator") as pool:
                await hand_in(pool, signed_command("halt", "assist"))


async def test_thief_of_a_work_role_cannot_use_up_the_servers_connections(
    infrastructure: Infrastructure, audit_database: str, log_in: LogIn, owner: Owner
) -> None:
    most = int(await owner.fetchval("show max_connections"))
    for _ in range(most // 4):
        await log_in("triage")
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await log_in("triage")
    audit = await log_in("audit", audit_database)
    assert await audit.fetchval("select 1") == 1


@pytest.mark.parametrize("role", [*WORK_ROLES, *AUDIT_ROLES])
async def test_database_role_has_limits_and_no_right_beyond_login(role: str, owner: Owner) -> None:
    row = await owner.fetchrow("select * from pg_roles where rolname = $1", role)
    if row is None:
        pytest.fail(f"{role} does not exist")
    limits = dict(setting.split("=", 1) for setting in row["rolconfig"])
    assert limits.keys() >= {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
    assert row["rolconnlimit"] > 0
    assert not any(
        row[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls")
    )
    assert await owner.fetch("select from pg_auth_members where member = $1::text::regrole", role) == []


RIGHTS = """
select distinct n.nspname || '.' || c.relname as what
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', $1) and c.relkind in ('r', 'v', 'p')
  and has_schema_privilege($1::text::name, n.oid, 'usage')
  and (has_table_privilege($1::text::name, c.oid, 'select, insert, update, delete, truncate')
    or has_any_column_privilege($1::text::name, c.oid, 'select, insert, update'))
union
select n.nspname || '.' || p.proname || '()'
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema', $1) and p.prosecdef
  and has_schema_privilege($1::text::name, n.oid, 'usage') and has_function_privilege($1::text::name, p.oid, 'execute')
"""


def rights_on_the_page() -> dict[str, set[str]]:
    """The last column of the table, by role."""
    rows = re.findall(r"^\| `(\w+)` \|(?:[^|]*\|)*?([^|]*)\|$", PAGE, re.MULTILINE)
    return {role: set(re.findall(r"`([^`]+)`", cell)) for role, cell in rows}


@pytest.mark.parametrize("role", WORK_ROLES)
async def test_rights_on_the_page_are_those_of_the_live_database(role: str, owner: Owner) -> None:
    found = {row["what"] for row in await owner.fetch(RIGHTS, role)}
    outboxes = {name for name in found if name.endswith((".outbox", ".republish()"))}
    if role == "reconciler":
        assert {name.partition(".")[0] for name in outboxes} == {"case_manager", *AGENTS}
        found = (found - outboxes) | {"*.outbox", "*.republish()"}
    assert rights_on_the_page()[role] == found


def test_page_has_a_row_for_each_role() -> None:
    nodes = {"router", "ingress", "email_feedback"}
    assert rights_on_the_page().keys() == {*WORK_ROLES, *AUDIT_ROLES, *nodes}
