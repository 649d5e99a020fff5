"""What a handler's transaction sees: rows of its tenant, its user and its session. Each test acts as the real role, in
a database whose owner is a superuser, and in one whose owner is not, as in RDS."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import astuple, replace
from pathlib import Path

import asyncpg
import pytest

from contracts.cards import AGENT_CARDS
from switchyard.app.application import load_app
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.processes.databases import list_work_owners, work_grant_settings
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.vault import LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Database, Pool, connect_pool
from switchyard.runtime.database.migrate import apply_grants, apply_migrations
from switchyard.runtime.database.session_scope import SET_SCOPE, SessionScope
from tests.integration.conftest import PoolFor
from tests.integration.events import fresh_id, opened, scope_of
from tests.integration.infrastructure import Infrastructure, Owner
from tests.integration.known_cases import KnownCases, Person, known_cases
from tests.integration.manual_clock import ManualClock

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[3] / "docs" / "operate" / "security.md").read_text(encoding="utf-8")
PLAIN_OWNER = "plain_owner"
PLAIN_DATABASE = "work_of_a_plain_owner"

ROWS = {
    "compliance.verdict": "insert into verdict (task_id, case_id, stage, outcome, pack, purpose, account_sha256, rules,"
    " payload, places, recorded_at, retain_until)"
    " values (gen_random_uuid(), $1, 'email', 'EmailPassed', 'p', 'payment_reminder', '', '{}', '{}', '{}', now(),"
    " '2030-01-01')",
    "email_sender.sending": "insert into sending (case_id, content_sha256, command_id, pack, state, intended_at)"
    " values ($1, '', gen_random_uuid(), 'p', 'sent', now())",
    "email_sender.resolution": "insert into resolution (case_id, command_id, content_sha256, sent, operator, evidence,"
    " event_id) values ($1, gen_random_uuid(), '', false, 'ada', '', gen_random_uuid())",
    "email_sender.send_lock": "insert into send_lock (case_id, content_sha256) values ($1, '')",
    "email_sender.turn": "insert into turn (case_id, content_sha256, due_at) values ($1, '', now())",
    "memory.turn": "insert into turn (case_id, number, question, answer, digest, kept_at, expires_at)"
    " values ($1, 1, '{}', '{}', repeat('0', 64), now(), now())",
    "memory.fact": "insert into fact (fact_id, kind, predicate, case_id, event_id, digest, trust, sealed, kept_at,"
    " expires_at) values (gen_random_uuid(), 'note', 'note', $1, $1, repeat('0', 64),"
    " 'stated', '{}', now(), now())",
    "text_to_sql.warehouse_cost": "insert into warehouse_cost (day, ms, bytes)"
    " values (current_date - (('x' || left($1::uuid::text, 2))::bit(8)::integer % 7), 1, 1)",
}
"""A row of each scoped table, as its role may write it for a case."""

OF_THEIR_OWN = {"well_data.*"}
"""Schemas whose tables state their own policies, and have tests for them."""

USERS_ONLY = {"memory.fact", "text_to_sql.warehouse_cost"}
"""Rows of a user in any session."""


def a_scope() -> SessionScope:
    """Somebody's."""
    return SessionScope(f"tenant-{fresh_id()}", fresh_id(), f"session-{fresh_id()}")


def others(scope: SessionScope, table: str = "") -> list[SessionScope | None]:
    """Scopes that must not see a row of this one: none, and those that differ in one part."""
    parts = ("tenant", "user") if table in USERS_ONLY else ("tenant", "user", "session")
    return [None, *(replace(scope, **{part: "another"}) for part in parts), SessionScope("", "", "")]


@pytest.fixture(scope="session")
def plain_owners_database(infrastructure: Infrastructure) -> str:
    """The work database as a managed server has it: its owner is subject to row security where that is forced."""

    async def make() -> str:
        admin = await asyncpg.connect(infrastructure.owner_url("postgres"))
        await admin.execute(f"drop database if exists {PLAIN_DATABASE} with (force)")
        if not await admin.fetchval("select true from pg_roles where rolname = $1", PLAIN_OWNER):
            await admin.execute(f"create role {PLAIN_OWNER} login nosuperuser nobypassrls password 'plain'")
        await admin.execute(f"create database {PLAIN_DATABASE} owner {PLAIN_OWNER}")
        await admin.close()
        # RDS lets its master user, who is no superuser, create the extensions that it offers.
        superuser = await asyncpg.connect(infrastructure.owner_url(PLAIN_DATABASE))
        await superuser.execute(
            f"create schema memory authorization {PLAIN_OWNER}; create extension vector schema memory"
        )
        await superuser.close()
        url = re.sub(r"//[^@]*@", f"//{PLAIN_OWNER}:plain@", infrastructure.owner_url(PLAIN_DATABASE))
        assert PLAIN_OWNER in url
        owner = await asyncpg.connect(url)
        await apply_migrations(owner, list_work_owners())
        await apply_grants(owner, list_work_owners(), work_grant_settings(load_app()))
        await owner.close()
        return PLAIN_DATABASE

    return asyncio.run(make())


@pytest.fixture(params=["superuser", "plain"])
def database(request: pytest.FixtureRequest) -> str:
    """The work database of each kind of owner."""
    if request.param == "superuser":
        return WORK_DATABASE
    plain: str = request.getfixturevalue("plain_owners_database")
    return plain


Work = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def work(infrastructure: Infrastructure, database: str) -> AsyncIterator[Work]:
    """The work database as the role of a schema, over one connection."""
    async with AsyncExitStack() as stack:

        async def connect(role: str) -> Database:
            url = infrastructure.role_url(role).replace(f"/{WORK_DATABASE}", f"/{database}")
            pool: Pool = await connect_pool(url, schema=role, size=1)
            stack.push_async_callback(pool.close)
            return Database(pool, "the work database", AsWritten())  # type: ignore[arg-type]

        yield connect


class AsWritten:
    """Statements by their own text."""

    def __getitem__(self, statement: str) -> str:
        return statement


def reasons_on_the_page() -> set[str]:
    """The tables that the page says have no policy, as patterns of schema and table."""
    section = PAGE.partition("## Row security")[2].partition("\n## ")[0]
    return {
        name for row in re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }


TABLES = """
select n.nspname || '.' || c.relname as name, c.relrowsecurity and c.relforcerowsecurity
    and exists (select from pg_policy p where p.polrelid = c.oid) as forced,
  exists (select from pg_policy p where p.polrelid = c.oid and polname = 'session_scope') as scoped
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
"""


async def test_table_of_the_work_database_has_a_forced_policy_or_a_reason_on_the_page(owner: Owner) -> None:
    found = await owner.fetch(TABLES)
    tables = {row["name"]: row["forced"] for row in found}
    reasons, schemas = reasons_on_the_page(), {name.partition(".")[0] for name in tables}
    excused = {each.replace("*", schema) for each in reasons for schema in schemas if "*" in each} | reasons
    ours = {name for name in tables if name.partition(".")[0] not in {"toy"}}
    assert {name for name in ours if not tables[name]} - excused == set()
    assert {row["name"] for row in found if row["scoped"]} == ROWS.keys(), "each scoped table is tried below"
    assert {name for name in ours if tables[name]} & excused == set()
    others = {name for name in ours if tables[name] and name not in ROWS}
    assert {f"{name.partition('.')[0]}.*" for name in others} <= OF_THEIR_OWN, "the page names their policies"
    assert all(f"`{each}` have policies of their own" in PAGE for each in OF_THEIR_OWN)
    named = {each for each in reasons if "*" not in each}
    assert named - tables.keys() == set(), "the page names tables that do not exist"


async def test_table_with_policies_of_its_own_gets_no_second_one_that_widens_them(owner: Owner) -> None:
    policies = await owner.fetch(
        "select c.oid::regclass::text as name, array_agg(p.polname::text) as names, bool_or(a.attnum > 0) as user"
        " from pg_policy p join pg_class c on c.oid = p.polrelid"
        " left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant' and not a.atthasdef group by c.oid"
    )
    own = {row["name"] for row in policies if row["user"]}
    assert own
    assert not own & ROWS.keys()
    assert all("session_scope" not in row["names"] for row in policies if row["name"] in own)


@pytest.mark.parametrize("table", ROWS)
async def test_row_of_a_scope_is_seen_in_that_scope_only(table: str, work: Work) -> None:
    role, _, name = table.partition(".")
    database, scope, case_id = await work(role), a_scope(), fresh_id()
    async with database.transaction(scope) as transaction:
        await transaction.execute(ROWS[table], case_id)
        assert await transaction.value(f"select count(*) from {name}") == 1
    for other in others(scope, table):
        async with database.transaction(other) as transaction:
            assert await transaction.value(f"select count(*) from {name} where tenant = $1", scope.tenant) == 0, other
            assert await transaction.execute(f"delete from {name} where tenant = $1", scope.tenant) == 0, other
            if name != "verdict":
                await transaction.execute(f"update {name} set tenant = tenant where tenant = $1", scope.tenant)
    assert await database.value(f"select count(*) from {name} where tenant = $1", scope.tenant) == 0
    async with database.transaction(scope) as transaction:
        assert await transaction.value(f"select count(*) from {name}") == 1


@pytest.mark.parametrize("table", ROWS)
async def test_row_for_another_scope_is_refused(table: str, work: Work) -> None:
    role, _, name = table.partition(".")
    database, scope = await work(role), a_scope()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await database.execute(ROWS[table], fresh_id())
    columns = ("tenant", "user_id") if table in USERS_ONLY else ("tenant", "user_id", "session_id")
    for column in columns:
        foreign = re.sub(r"\((?=\w)", f"({column}, ", ROWS[table], count=1).replace("values (", "values ('another', ")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with database.transaction(scope) as transaction:
                await transaction.execute(foreign, fresh_id())
        if name == "verdict":  # which nothing may change
            continue
        async with database.transaction(own := a_scope()) as transaction:
            await transaction.execute(ROWS[table], fresh_id())
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with database.transaction(own) as transaction:
                await transaction.execute(f"update {name} set {column} = 'another'")


async def test_scope_ends_with_its_transaction_on_a_shared_connection(work: Work) -> None:
    database, scope = await work("text_to_sql"), a_scope()
    async with database.transaction(scope) as transaction:
        await transaction.execute(ROWS["text_to_sql.warehouse_cost"], fresh_id())
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.transaction(scope) as transaction:
            await transaction.execute("select 1 / 0")
    assert await database.value("select scope('tenant')") is None
    assert await database.value("select count(*) from warehouse_cost where tenant = $1", scope.tenant) == 0


async def test_interleaved_transactions_of_many_users_each_see_their_own_rows(pool_for: PoolFor) -> None:
    database = Database(await pool_for("email_sender"), "the work database", AsWritten())  # type: ignore[arg-type]
    tenant, session = fresh_id(), fresh_id()

    async def use(user: int) -> list[str]:
        scope, case_id = SessionScope(tenant, f"user-{user}", session), fresh_id()
        async with database.transaction(scope) as transaction:
            await transaction.execute(ROWS["email_sender.turn"], case_id)
            await asyncio.sleep(0.01)
            rows = await transaction.rows("select case_id::text from turn")
        assert [row["case_id"] for row in rows] == [case_id]
        return [case_id]

    assert len(await asyncio.gather(*map(use, range(40)))) == 40


async def test_owner_without_superuser_sees_rows_only_where_it_lifts_the_policy(
    infrastructure: Infrastructure, plain_owners_database: str
) -> None:
    url = infrastructure.owner_url(plain_owners_database)
    owner = await asyncpg.connect(re.sub(r"//[^@]*@", f"//{PLAIN_OWNER}:plain@", url))
    count = "select count(*) from text_to_sql.warehouse_cost where tenant = $1"
    tenant = fresh_id()
    async with owner.transaction():
        await owner.execute(SET_SCOPE, tenant, "ada", "s-1")
        await owner.execute("insert into text_to_sql.warehouse_cost (day, ms, bytes) values (current_date, 1, 1)")
    assert await owner.fetchval(count, tenant) == 0
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("alter table text_to_sql.warehouse_cost no force row level security")
    assert await owner.fetchval(count, tenant) == 1
    await transaction.rollback()
    assert await owner.fetchval(count, tenant) == 0
    await owner.close()


# Functions that run with the rights of their owner.

DEFINERS = """
select distinct n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.prosecdef and has_schema_privilege($1::text::name, n.oid, 'usage')
  and has_function_privilege($1::text::name, p.oid, 'execute')
"""
UNSCOPED_FUNCTIONS = {
    "case_manager.case_facts",
    *(f"case_manager.{name}" for name in ("open_forgettings", "end_forgetting", "forgettings_of")),
    "budget.reserve",
    "budget.close_call",
}
"""Of the table of reasons: the claim compares the command with the first, before there is a scope; what users want
forgotten is of no session; money is a tenant's, over all its sessions."""

SCOPED_FUNCTIONS = {
    "case_manager.effect_facts": ("email_sender", "select count(*) from case_manager.effect_facts($1)"),
    "case_manager.commands_on": (
        "email_sender",
        "select count(*) from case_manager.commands_on($1::uuid, $1::uuid::text, '-infinity')",
    ),
    "case_manager.effect_approval": ("email_sender", "select count(*) from case_manager.effect_approval($1)"),
    "compliance.sending_verdict": (
        "email_sender",
        "select count(reviewed) from compliance.sending_verdict($1, '')",
    ),
    "judge.evidence": ("judge", "select count(*) from judge.evidence($1, $1)"),
    "vault.key_for_task": ("text_to_sql", "select count(wrapped_key) from vault.key_for_task($1, 'question')"),
}


async def test_function_with_its_owners_rights_that_an_agent_may_call_is_tried(owner: Owner) -> None:
    found = {row["name"] for agent in AGENT_CARDS for row in await owner.fetch(DEFINERS, agent)}
    assert found == SCOPED_FUNCTIONS.keys() | UNSCOPED_FUNCTIONS
    assert {name for name in UNSCOPED_FUNCTIONS if f"`{name}()`" in PAGE} == UNSCOPED_FUNCTIONS


@pytest.mark.parametrize("function", SCOPED_FUNCTIONS)
async def test_function_answers_in_the_scope_of_its_case_only(
    function: str, work: Work, infrastructure: Infrastructure, database: str
) -> None:
    role, statement = SCOPED_FUNCTIONS[function]
    case_id, subject = fresh_id(), fresh_id()
    opening = opened(case_id, known=False, subject=subject)
    scope = scope_of(opening)
    cases = KnownCases(infrastructure.owner_url(database))
    cases.add_case(opening)
    cases.add_task("text_to_sql", case_id)
    cases.add_person(subject, b"wrapped")
    cases.close()
    admin = await asyncpg.connect(infrastructure.owner_url(database))
    await admin.execute(
        "insert into case_manager.operator_command (command_id, action, target, operator, reason, signed_at, signature)"
        " values (gen_random_uuid(), 'cancel', $1, 'ada', '', now(), $2)",
        case_id,
        "0" * 128,
    )
    await admin.execute(
        "insert into case_manager.approval (approval_id, case_id, tenant, playbook, content_sha256, pack, reason,"
        " requested_by, asked_at, decide_by) values ($1, $1, 'acme', '', '', '', '', '', now(), now())",
        case_id,
    )
    ending = opening | {"event_id": case_id, "type": "CaseClosed"}
    for event in (opening, ending):
        await admin.execute("insert into case_manager.outbox (event) values ($1)", json.dumps(event))
    await admin.execute(
        "insert into judge.inbox (event_id, digest, case_id, type, token, claims, lease_until)"
        " values ($1, $2, $1, 'CaseClosed', 1, 1, 'infinity')",
        case_id,
        opening["digest"],
    )
    await admin.execute(SET_SCOPE.replace("true", "false"), *astuple(scope))
    await admin.execute(
        ROWS["compliance.verdict"]
        .replace("into verdict (", "into compliance.verdict (tenant, user_id, session_id, content_sha256, ")
        .replace("values (", "values ($2, $3, $4, '', "),
        case_id,
        *astuple(scope),
    )
    await admin.close()
    agent = await work(role)
    async with agent.transaction(scope) as transaction:
        assert await transaction.value(statement, case_id) == 1
    for other in others(scope):
        async with agent.transaction(other) as transaction:
            assert await transaction.value(statement, case_id) == 0, other


async def test_key_that_the_process_remembers_is_not_given_in_another_scope(
    pool_for: PoolFor, clock: ManualClock
) -> None:
    person, case_id = Person(bytes(32)), fresh_id()
    scope = scope_of(opened(case_id, subject=person.subject))
    cases = known_cases()
    assert cases is not None
    cases.add_task("text_to_sql", case_id)
    vault = Vault(await pool_for("text_to_sql"), LocalKeyWrapper(bytes(32)), clock)
    asked = {"case_id": case_id, "name": "question"}
    sealed = await vault.seal(person.subject, b"?", **asked, scope=scope)
    for other in (None, replace(scope, session="another")):
        with pytest.raises(PermanentTaskError, match="out_of_scope"):
            await vault.open(person.subject, sealed, **asked, scope=other)
    assert await vault.open(person.subject, sealed, **asked, scope=scope) == b"?"


async def test_operators_see_unresolved_emails_of_every_session(work: Work) -> None:
    sender, operator, case_id = await work("email_sender"), await work("operator"), fresh_id()
    event = opened(case_id, known=False) | {"node_from": "email_sender"}
    async with sender.transaction(a_scope()) as transaction:
        await transaction.execute(ROWS["email_sender.sending"].replace("'sent'", "'unknown'"), case_id)
        command_id = await transaction.value("select command_id from sending where case_id = $1", case_id)
    await sender.execute("insert into outbox (event) values ($1)", json.dumps(event))
    await sender.execute(
        "insert into inbox (event_id, digest, case_id, type, token, claims, lease_until, outputs)"
        " values ($1, '', $2, 'SendEmail', 1, 1, now(), array[$3::text::uuid])",
        command_id,
        case_id,
        event["event_id"],
    )
    listed = await operator.rows("select case_id::text from email_sender.unresolved_send")
    assert case_id in [row["case_id"] for row in listed]


# Cost: each statement reads its rows by an index although the policy adds conditions to it.

MANY = {
    "compliance.verdict": "insert into verdict (task_id, case_id, tenant, user_id, session_id, stage, outcome, pack,"
    " purpose, account_sha256, content_sha256, rules, payload, places, recorded_at, retain_until)"
    " select gen_random_uuid(), gen_random_uuid(), 't' || n % 7, 'u' || n % 50, 's' || n, 'email', '', '', '', '', '',"
    " '{}', '{}', '{}', now(), '2030-01-01' from generate_series(1, 4000) n",
    "email_sender.sending": "insert into sending (case_id, content_sha256, command_id, tenant, user_id, session_id,"
    " pack, state, intended_at) select gen_random_uuid(), '', gen_random_uuid(), 't' || n % 7, 'u' || n % 50, 's' || n,"
    " '', 'sent', now() from generate_series(1, 4000) n",
    "memory.turn": "insert into turn (case_id, tenant, user_id, session_id, number, question, answer, digest, kept_at,"
    " expires_at) select gen_random_uuid(), 't' || n % 7, 'u' || n % 50, 's' || n % 200, n, '{}', '{}',"
    " repeat('0', 64), now(), now() from generate_series(1, 4000) n",
    "memory.fact": "insert into fact (fact_id, tenant, user_id, kind, predicate, case_id, event_id, digest, trust,"
    " sealed, kept_at, expires_at) select gen_random_uuid(), 't' || n % 7, 'u' || n % 200, 'note', 'note',"
    " gen_random_uuid(), gen_random_uuid(), repeat('0', 64), 'stated', '{}', now(), now()"
    " from generate_series(1, 4000) n",
    "text_to_sql.warehouse_cost": "insert into warehouse_cost (tenant, user_id, day, ms, bytes)"
    " select 't' || n % 7, 'u' || n, current_date, 1, 1 from generate_series(1, 4000) n",
}
STATEMENTS = {
    "select * from verdict where task_id = 'd1f3c9de-3f6c-4f0a-9a55-000000000000'": "compliance.verdict",
    "select * from verdict where case_id = 'd1f3c9de-3f6c-4f0a-9a55-000000000000' and content_sha256 = ''": (
        "compliance.verdict"
    ),
    "select * from sending where case_id = 'd1f3c9de-3f6c-4f0a-9a55-000000000000' and content_sha256 = ''": (
        "email_sender.sending"
    ),
    "update warehouse_cost set ms = 0 where day = current_date": "text_to_sql.warehouse_cost",
    "select * from turn where number < 9 order by number desc": "memory.turn",
    "select * from fact where expires_at > now()": "memory.fact",
}


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_statement_under_row_security_reads_by_an_index(statement: str, owner: Owner) -> None:
    table = STATEMENTS[statement]
    role = table.partition(".")[0]
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(f"set local search_path to {role}")
        await owner.execute(MANY[table])
        await owner.execute(f"analyze {table}")
        await owner.execute(f"set local role {role}")
        await owner.execute(SET_SCOPE, "t1", "u1", "s1")
        plan = "\n".join(row[0] for row in await owner.fetch(f"explain {statement}"))
    finally:
        await transaction.rollback()
    assert "scope" in plan or "current_setting" in plan, plan
    assert "Seq Scan" not in plan, plan
