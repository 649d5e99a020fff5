"""What the operator's role may do in the work database, and no more."""

from __future__ import annotations

import json
from dataclasses import asdict

import asyncpg
import pytest

from switchyard.cli.app.target import Env
from switchyard.cli.commands.operator import hand_in_command
from tests.integration.conftest import PoolFor
from tests.integration.infrastructure import Infrastructure, Owner
from tests.operators import OPERATOR, hand_in, signed_command

pytestmark = pytest.mark.integration


async def test_security_definer_functions_search_pg_temp_last(owner: Owner) -> None:
    # Without this a caller's temporary table of the same name is what the function reads and writes.
    rows = await owner.fetch(
        """select n.nspname || '.' || p.proname as name, coalesce(array_to_string(p.proconfig, ';'), '') as config
           from pg_proc p join pg_namespace n on n.oid = p.pronamespace
           where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')"""
    )
    assert {row["name"] for row in rows} >= {
        "case_manager.command",
        "case_manager.commanded",
        "case_manager.decide",
    }
    assert [row["name"] for row in rows if not row["config"].endswith("pg_temp")] == []


async def test_operator_cannot_shadow_the_owners_table_by_a_temporary_one(pool_for: PoolFor, owner: Owner) -> None:
    pool = await pool_for("operator")
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("create temp table operator_command (command_id uuid, action text)")
        await hand_in(connection, signed_command("halt", "assist"))
    assert await owner.fetchval("select operator from case_manager.operator_command") == OPERATOR


@pytest.mark.parametrize(
    "table",
    [
        "submission",
        "case_ending",
        "control",
        "operator_command",
        "approval",
        "approval_decision",
        "pending_command",
        "outbox",
    ],
)
async def test_operator_role_has_no_right_on_case_manager_tables(pool_for: PoolFor, table: str) -> None:
    pool = await pool_for("operator")
    for statement in (f"select * from case_manager.{table}", f"delete from case_manager.{table}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


@pytest.mark.parametrize(
    "call",
    [
        "select case_manager.command(gen_random_uuid(), 'halt', 'assist', 'Jane Doe', '', now(), repeat('a', 128))",
        "select case_manager.command(gen_random_uuid(), 'halt', 'Not A Name', 'ana', '', now(), repeat('a', 128))",
        "select case_manager.command(gen_random_uuid(), 'cancel', 'assist', 'ana', '', now(), repeat('a', 128))",
        "select case_manager.command(gen_random_uuid(), 'erase', 'assist', 'ana', '', now(), repeat('a', 128))",
        "select case_manager.command(gen_random_uuid(), 'halt', 'a', 'an', repeat('x', 2001), now(), repeat('a', 128))",
        "select case_manager.command(gen_random_uuid(), 'halt', 'assist', 'ana', '', now(), 'signed')",
        "select case_manager.command(gen_random_uuid(), 'halt', 'assist', 'ana', '', '20026-11-28', repeat('a', 128))",
        "select case_manager.decide(gen_random_uuid(), 'granted', 'c', 'Jane Doe', '', now(), 's')",
        "select case_manager.decide(gen_random_uuid(), 'granted', 'c', 'ana', repeat('x', 2001), now(), 's')",
    ],
)
async def test_operator_text_invalid_in_an_event_is_refused_by_the_database(pool_for: PoolFor, call: str) -> None:
    pool = await pool_for("operator")
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.fetchval(call)


async def test_command_signed_elsewhere_is_handed_in_by_the_command_line(
    infrastructure: Infrastructure, owner: Owner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = signed_command("halt", "assist")
    monkeypatch.setenv("SWITCHYARD_OPERATOR_DB_URL", infrastructure.role_url("operator"))
    await hand_in_command(json.dumps(asdict(signed)), wait=0.0, env=Env.AWS)
    assert "stored, not confirmed" in capsys.readouterr().out
    row = await owner.fetchrow("select command_id, action, target, signature from case_manager.operator_command")
    assert row is not None
    assert (str(row["command_id"]), row["action"], row["target"]) == (signed.command_id, "halt", "assist")
    assert row["signature"] == signed.signature
