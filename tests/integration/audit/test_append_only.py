"""No role changes the log: not the service, not the reviewer, not the owner."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.records.projection import Transition
from switchyard.audit.records.roles import READER, SCHEMA, WRITER, audit_owner, grant_audit_rights
from switchyard.audit.records.store import AuditStore
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import Proof
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"

CHANGES = [
    "update transition set rubric_score = 1",
    "update transition set opened_on = '2020-01-01'",
    "delete from transition",
    "truncate transition",
    "update {partition} set rubric_score = 1",
    "delete from {partition}",
    "truncate {partition}",
    "truncate transition_default",
    "update integrity_alarm set reason = ''",
    "delete from integrity_alarm",
    "truncate integrity_alarm",
    "update log_entry set digest = ''",
    "delete from log_entry",
    "update mac_key set wrapped = ''",
    "delete from mac_key",
    "truncate log_entry",
    "update checkpoint set body = ''",
    "delete from checkpoint",
    "truncate checkpoint",
]


@pytest.fixture
async def partition(store: AuditStore, owner: Owner, proof: Proof) -> str:
    """The partition that holds a recorded row; there are an alarm, a log_index and a checkpoint as well."""
    await store.record([cases.body(cases.first()), "not json"])
    await proof.checkpoint()
    return str(await owner.fetchval("select tableoid::regclass from transition"))


@pytest.mark.parametrize("pretence", ["origin", "replica"])
async def test_triggers_refuse_every_change_even_to_the_owner(owner: Owner, partition: str, pretence: str) -> None:
    await owner.execute(f"set session_replication_role = {pretence}")

    for change in CHANGES:
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(change.format(partition=partition))


@pytest.mark.parametrize("role", [WRITER, READER])
async def test_roles_have_no_right_to_change_a_row(owner: Owner, partition: str, role: str) -> None:
    await owner.execute(f"set role {role}")

    for change in [*CHANGES, "drop table integrity_alarm", "alter table transition disable trigger all"]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(change.format(partition=partition))


async def test_writer_cannot_set_the_time_of_recording(writer: Pool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(
            "insert into integrity_alarm (kind, reason, body_sha256, recorded_at) values ('malformed', '', '', now())"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(
            "insert into transition (opened_on, event_id, recorded_at) values (now(), gen_random_uuid(), now())"
        )


async def test_service_cannot_choose_a_log_index_or_touch_the_queue(writer: Pool) -> None:
    for statement in (
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256)"
        " values (1, now(), gen_random_uuid(), '', now(), '')",
        "insert into unindexed (opened_on, event_id, recorded_at) values (now(), gen_random_uuid(), now())",
        "delete from unindexed",
        "alter table transition disable trigger queued",
        "insert into checkpoint (log, number, recorded_at) values ('main', 1, now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute(statement)


async def test_reviewer_cannot_write(owner: Owner) -> None:
    await owner.execute(f"set role {READER}")

    for statement in (
        "insert into transition (opened_on, event_id) values (now(), gen_random_uuid())",
        "insert into integrity_alarm (kind, reason, body_sha256) values ('malformed', '', '')",
        "select ensure_partitions(1)",
        "select index_rows(null, null, null, null, null, null, null)",
        "select refuse_rows(null, null)",
        "insert into mac_key (key_id, not_before, not_after, wrapped) values (gen_random_uuid(), now(), now(), '')",
        "insert into checkpoint (log, number) values ('main', 1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(statement)


async def test_insert_writes_all_columns_except_the_databases_own(owner: Owner) -> None:
    columns = await owner.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = $1 and table_name = 'transition' order by ordinal_position",
        SCHEMA,
    )

    assert {row["column_name"] for row in columns} - {"recorded_at", "mac", "mac_key"} == set(Transition._fields)


async def test_tables_columns_and_views_have_a_comment(owner: Owner) -> None:
    silent = await owner.fetch(
        """
        select c.relname, a.attname
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and (a.attnum > 0 and not a.attisdropped)
        where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
          and c.relname <> 'migration' and col_description(c.oid, a.attnum) is null
        union all
        select c.relname, null from pg_class c
        where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p', 'v') and c.relname <> 'migration'
          and obj_description(c.oid, 'pg_class') is null
        """
    )

    assert silent == []


async def test_grants_applied_twice_change_nothing(owner: Owner, store: AuditStore) -> None:
    await grant_audit_rights(owner)
    await grant_audit_rights(owner)

    assert (await store.record([cases.body(cases.first())])).inserted == 1
    assert (audit_owner().schema, audit_owner().role) == (SCHEMA, WRITER)
