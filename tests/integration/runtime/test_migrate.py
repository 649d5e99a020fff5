"""Migrations go forward, once each; every role sees its own schema and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from contracts.cards import AGENT_CARDS
from switchyard.processes.databases import migrate_work
from switchyard.runtime.database.migrate import (
    WORK_GRANTS,
    MigrationEdited,
    SchemaOwner,
    apply_grants,
    apply_migrations,
    ensure_role,
    load_migrations,
    migration_lock,
)
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Infrastructure, password
from tests.integration.infrastructure import Owner as OwnerConnection

pytestmark = pytest.mark.integration


@pytest.fixture
async def empty(infrastructure: Infrastructure, owner: OwnerConnection) -> AsyncIterator[str]:
    """The address of a database of this test's own."""
    name = f"empty_{fresh_id().replace('-', '')}"
    await owner.execute(f"create database {name}")
    yield infrastructure.owner_url(name)
    await owner.execute(f"drop database {name}")


@pytest.fixture
async def connection(empty: str) -> AsyncIterator[OwnerConnection]:
    opened = await asyncpg.connect(empty)
    yield opened
    await opened.close()


@pytest.fixture
def toy(tmp_path: Path) -> SchemaOwner:
    """An owner of one table."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "001_first.sql").write_text("create table note (id int primary key, text text)")
    return SchemaOwner("toy", (folder,), "toy", (WORK_GRANTS,))


async def test_migrations_are_applied_in_order_once_each(connection: OwnerConnection, toy: SchemaOwner) -> None:
    [folder] = toy.migrations
    (folder / "002_second.sql").write_text("alter table note add at timestamptz")
    assert await apply_migrations(connection, [toy]) == ["toy: toy/001_first.sql", "toy: toy/002_second.sql"]
    assert await apply_migrations(connection, [toy]) == []
    await connection.execute("insert into toy.note (id, text, at) values (1, 'kept', now())")


async def test_new_migration_is_applied_after_the_existing_ones(connection: OwnerConnection, toy: SchemaOwner) -> None:
    await apply_migrations(connection, [toy])
    await connection.execute("insert into toy.note values (1, 'kept')")
    (toy.migrations[0] / "002_second.sql").write_text("alter table note add at timestamptz")
    assert await apply_migrations(connection, [toy]) == ["toy: toy/002_second.sql"]
    assert await connection.fetchval("select text from toy.note") == "kept"


async def test_edited_migration_is_refused_by_name(connection: OwnerConnection, toy: SchemaOwner) -> None:
    await apply_migrations(connection, [toy])
    (toy.migrations[0] / "001_first.sql").write_text("create table note (id bigint primary key)")
    with pytest.raises(MigrationEdited, match=r"toy: toy/001_first\.sql was edited"):
        await apply_migrations(connection, [toy])


async def test_failing_migration_is_rolled_back_and_frees_the_lock(
    connection: OwnerConnection, empty: str, toy: SchemaOwner
) -> None:
    bad = toy.migrations[0] / "002_second.sql"
    bad.write_text("create table half (id int); select broken")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await apply_migrations(connection, [toy])
    assert await connection.fetchval("select to_regclass('toy.half')") is None
    bad.write_text("create table whole (id int)")
    other = await asyncpg.connect(empty)
    assert await asyncio.wait_for(apply_migrations(other, [toy]), 10) == ["toy: toy/002_second.sql"]
    await other.close()


def test_file_with_an_invalid_migration_name_is_refused(toy: SchemaOwner) -> None:
    (toy.migrations[0] / "later.sql").write_text("select 1")
    with pytest.raises(ValueError, match=r"later\.sql: a migration is named NNN_name\.sql"):
        load_migrations(toy.migrations)


async def test_concurrent_migrators_apply_each_migration_once(empty: str, toy: SchemaOwner) -> None:
    connections = [await asyncpg.connect(empty) for _ in range(6)]

    async def bring_up_to_date(connection: OwnerConnection) -> list[str]:
        async with migration_lock(connection):
            await ensure_role(connection, "toy", password=password("toy"))
            applied = await apply_migrations(connection, [toy])
            await apply_grants(connection, [toy])
            return applied

    applied = await asyncio.gather(*(bring_up_to_date(connection) for connection in connections))
    for connection in connections:
        await connection.close()
    assert sorted(applied) == [*([[]] * 5), ["toy: toy/001_first.sql"]]


async def test_migrations_of_the_work_database_applied_twice_change_nothing(
    empty: str, connection: OwnerConnection
) -> None:
    await migrate_work(empty, password_for=password)
    rights = "select grantee, table_schema, table_name, privilege_type from information_schema.table_privileges"
    before = {tuple(row) for row in await connection.fetch(rights)}
    assert await migrate_work(empty, password_for=password) == []
    assert {tuple(row) for row in await connection.fetch(rights)} == before


async def refused(infrastructure: Infrastructure, role: str, statement: str) -> bool:
    """Whether a role may not run a statement."""
    connection = await asyncpg.connect(infrastructure.role_url(role))
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await connection.close()
    return False


@pytest.mark.parametrize("reader", [*AGENT_CARDS, "case_manager"])
async def test_role_reads_its_own_schema_only(infrastructure: Infrastructure, reader: str) -> None:
    tables = {name: f"{name}.inbox" for name in AGENT_CARDS} | {"case_manager": "case_manager.submission"}
    readable = [name for name, table in tables.items() if not await refused(infrastructure, reader, f"table {table}")]
    assert readable == [reader]


@pytest.mark.parametrize("role", [*AGENT_CARDS, "case_manager"])
async def test_roles_can_neither_change_migrations_nor_create_tables(infrastructure: Infrastructure, role: str) -> None:
    assert await refused(infrastructure, role, f"delete from {role}.migration")
    assert await refused(infrastructure, role, f"create table {role}.extra (id int)")
    assert await refused(infrastructure, role, f"create schema {role}_extra")


async def test_roles_get_single_keys_by_their_own_function_only(
    infrastructure: Infrastructure,
) -> None:
    statements = {
        "read": "select wrapped_key from vault.subject_key",
        "make": (
            "insert into vault.subject_key (subject, tenant, fingerprint, wrapped_key, external_id)"
            " select subject, tenant, fingerprint, wrapped_key, external_id from vault.subject_key where false"
        ),
        "change": "update vault.subject_key set wrapped_key = ''",
        "erase": "delete from vault.subject_key",
    }
    may = {
        role: [name for name, text in statements.items() if not await refused(infrastructure, role, text)]
        for role in ("case_manager", *AGENT_CARDS)
    }
    assert may == {role: [] for role in ("case_manager", *AGENT_CARDS)}
    asks = {
        "find": "select vault.find_subject('acme', '')",
        "task": "select vault.key_for_task(gen_random_uuid(), 'question')",
        "review": "select vault.key_for_review(gen_random_uuid())",
    }
    may = {
        role: [name for name, text in asks.items() if not await refused(infrastructure, role, text)]
        for role in ("case_manager", *AGENT_CARDS, "reviewer")
    }
    # The case manager seals the reason of feedback under the key of who asked, after the case has ended.
    assert may == {"case_manager": ["find", "review"], "reviewer": ["review"]} | {
        card.name: ["task"] if card.decrypts else [] for card in AGENT_CARDS.values()
    }


async def test_role_of_a_card_without_decrypts_has_no_vault_right(
    infrastructure: Infrastructure, owner: OwnerConnection, toy: SchemaOwner
) -> None:
    await ensure_role(owner, "toy", password=password("toy"))
    await apply_migrations(owner, [toy])
    await apply_grants(owner, [toy])
    assert not await refused(infrastructure, "toy", "table toy.note")
    assert await refused(infrastructure, "toy", "select subject from vault.subject_key")


async def test_invalid_role_name_is_refused_before_any_sql(owner: OwnerConnection) -> None:
    with pytest.raises(ValueError, match="not a schema or role name of ours"):
        await ensure_role(owner, 'x"; drop role case_manager; --', password=None)
