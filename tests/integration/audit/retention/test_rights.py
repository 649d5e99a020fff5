"""PostgreSQL enforces retention, for every role."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest

from switchyard.audit.records.roles import READER, RETENTION, SCHEMA, WRITER
from switchyard.audit.retention.retention import RetentionStore
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.retention.retiring import MONTH, retire_all
from tests.unit.audit import cases

pytestmark = pytest.mark.integration

REFUSED = [
    "update transition set body = null",
    "update transition set body = 'another'",
    "delete from retention_receipt",
    "update retention_receipt set statement = '{}'",
    "delete from legal_hold",
    "delete from partition_drop",
    "delete from artefact_removal",
    "update retention_policy set keep_for = '15 days'",
]


async def test_body_and_receipt_cannot_be_removed_by_a_role_or_the_owner(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await retention.hold(cases.first(2)["case_id"], reason="a complaint", operator="ada")
    await retire_all(retention)
    assert [state for _, state in await retention.drop_partitions()] == ["dropped"]

    for change in REFUSED:
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(change)


async def test_retention_role_alone_may_retire_and_has_no_other_right(owner: Owner, events: list[Json]) -> None:
    month = f"transition_{MONTH[:7].replace('-', '_')}"
    retiring = (
        *REFUSED,
        "insert into legal_hold (case_id, reason, placed_by) values (gen_random_uuid(), 'r', 'p')",
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values (now(), gen_random_uuid(), 1, '{}', '', '')",
        f"select drop_partition('{month}')",
    )
    beyond = (
        "insert into transition (opened_on, event_id) values (now(), gen_random_uuid())",
        "delete from transition",
        "truncate transition",
        "update transition set rubric_score = 1",
        "drop table retention_receipt",
        "alter table transition disable trigger all",
    )
    for role, statements in ((WRITER, retiring), (READER, retiring), (RETENTION, beyond)):
        await owner.execute(f"set role {role}")
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(statement)
        await owner.execute("reset role")


async def test_receipt_for_a_case_not_due_is_refused_by_the_database(
    url_for: UrlFor, events: list[Json], owner: Owner
) -> None:
    recent = cases.first(2)
    statement = canonical_json(
        {"case_id": recent["case_id"], "opened_on": recent["opened_on"], "part": 1, "events": []}
    ).decode()
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    with pytest.raises(asyncpg.RaiseError, match="may not be retired before"):
        await _insert_receipt(pool, recent, statement)
    with pytest.raises(asyncpg.RaiseError, match="another case"):
        await _insert_receipt(pool, events[0], statement)
    await pool.close()


async def _insert_receipt(pool: Pool, event: Json, statement: str) -> None:
    await pool.execute(
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values ($1, $2, 1, $3, '', '')",
        datetime.fromisoformat(event["opened_on"]).date(),
        uuid.UUID(event["case_id"]),
        statement,
    )


async def test_policy_shorter_than_the_dead_letter_queues_retention_is_refused(retention: RetentionStore) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await retention.set_policy(
            "assist",
            keep_for=timedelta(days=14),
            duty_for=None,
            duty_counts_from=(),
            citation="none",
            operator="ada",
        )
