"""Retention of a large log: what is looked at, for how long, and under which locks."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import RETENTION, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention import retention as retention_module
from switchyard.audit.retention.retention import CaseObjects, RetentionStore
from switchyard.audit.verification.retired_cases import RetiredCases
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.database.queries import load_queries
from tests.integration.audit.aged import age, make_month
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.retention.retiring import MONTH, SIGNER, due_now, retire_all
from tests.integration.cloud import Cloud, until
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
PARTITION = "transition_2024_03"


@pytest.fixture
async def another(owner: Owner, url_for: UrlFor, infrastructure: Any, database: str) -> AsyncIterator[Owner]:
    """The owner, once more: who holds a lock."""
    connection = await asyncpg.connect(infrastructure.owner_url(database), server_settings={"search_path": SCHEMA})
    yield connection
    await connection.close()


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]


async def test_due_query_evaluates_only_cases_older_than_their_policy(store: AuditStore, owner: Owner) -> None:
    opened = datetime.now(UTC) - timedelta(days=500)
    under_duty = [
        [cases.rewritten(event, playbook_version="outbound_email/1") for event in cases.answered(number, opened=opened)]
        for number in range(5)
    ]
    short = cases.answered(9, opened=opened)
    await store.record(cases.bodies([*short, *(event for events in under_duty for event in events)]))
    await age(owner)

    explained = await owner.fetchval(
        "explain (analyze, format json) " + load_queries(retention_module.__file__)["due"],
        date.min,
        uuid.UUID(int=0),
        100,
    )

    (asked,) = [
        node for node in nodes(json.loads(explained)[0]["Plan"]) if node.get("Function Name") == "case_retention"
    ]
    assert (asked["Actual Loops"], asked["Actual Rows"]) == (1, 1)


async def test_retention_scans_of_the_whole_log_are_exempt_from_statement_timeout(
    url_for: UrlFor, cloud: Cloud, retention: RetentionStore, owner: Owner, another: Owner, events: list[Json]
) -> None:
    hasty = await connect_pool(url_for(RETENTION), schema=SCHEMA, statement_timeout_s=0.4)
    store = RetentionStore(hasty, CATALOGUE, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, OBJECT_BUCKET))
    receipts = RetiredCases(hasty, TrustedKeys([SIGNER.public]))

    async def without_rows() -> list[Any]:
        return [verdict async for verdict in receipts.without_rows(None, None)]

    waits_too_long = """select true from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '500 milliseconds'"""

    async def slowly(asked: Any) -> Any:
        async with another.transaction():
            await another.execute("lock table legal_hold, retention_receipt in access exclusive mode")
            asking = asyncio.create_task(asked)
            while not await owner.fetchval(waits_too_long):
                assert not asking.done(), "it did not wait for the lock"
                await asyncio.sleep(0.01)
        return await asking

    assert [due.case_id for due in await slowly(due_now(store))] == [events[0]["case_id"]]
    await retire_all(retention)
    assert await slowly(store.sweep()) == 0
    assert await slowly(store.drop_partitions()) == [(PARTITION, "dropped")]
    assert len(await slowly(without_rows())) == 1
    await hasty.close()


async def waits_for_a_lock(owner: Owner) -> bool:
    """Whether a session of the test's database waits for a lock."""
    return bool(
        await owner.fetchval(
            "select true from pg_locks l join pg_database d on d.oid = l.database"
            " where not l.granted and d.datname = current_database() limit 1"
        )
    )


async def test_log_stays_readable_and_writable_while_a_month_is_counted(
    retention: RetentionStore, owner: Owner, another: Owner, store: AuditStore, events: list[Json]
) -> None:
    await retire_all(retention)
    async with another.transaction():
        await another.execute("lock table retention_receipt in access exclusive mode")
        dropping = asyncio.create_task(retention.drop_partitions())
        await until(lambda: waits_for_a_lock(owner), "the drop waiting")
        assert await owner.fetchval("select count(*) from transition", timeout=1) == 18
        async with asyncio.timeout(1):
            await store.record(cases.bodies(cases.answered(4)))
        assert not dropping.done()
    assert await dropping == [(PARTITION, "dropped")]


async def test_partition_with_a_row_added_while_it_is_counted_is_kept(
    retention: RetentionStore, owner: Owner, another: Owner, events: list[Json]
) -> None:
    await retire_all(retention)
    late = (
        f"insert into {PARTITION} select (jsonb_populate_record(t, jsonb_build_object("
        "'event_id', gen_random_uuid(), 'transcript_hash', repeat('1', 64)))).* from "
        f"{PARTITION} t limit 1"
    )
    async with another.transaction():
        await another.execute(late)  # not to be seen before the commit, and in the way of the lock until then
        dropping = asyncio.create_task(retention.drop_partitions())
        await until(lambda: waits_for_a_lock(owner), "the drop waiting")
        assert not dropping.done()
    assert await dropping == [(PARTITION, "kept")]
    assert await owner.fetchval(f"select count(*) from {PARTITION}") == 10


async def test_partition_with_a_case_of_thousands_of_events_is_counted_in_seconds(
    retention: RetentionStore, owner: Owner
) -> None:
    """To open the receipt of 4,000 entries for each of 4,000 rows takes longer than this test may."""
    await make_month(owner, MONTH)
    case = uuid.UUID(int=1)
    await owner.execute("alter table retention_receipt disable trigger all")
    await owner.execute(
        f"""
        insert into {PARTITION} (
          opened_on, event_id, case_id, tenant, session_id, principal_sub, node_from, node_to, transition,
          type_version, seq, ordinal, siblings, parents, transcript_hash, playbook_version, case_deadline, terminal,
          catalogued, event_ts, source, body, mac, mac_key
        )
        select '2024-03-05', md5('e' || n)::uuid, $1, 'acme', 's', 'service:t', 'case_manager', 'router', 'Step', 1,
          n, 0, 1, array[md5('p')], md5(n::text), 'assist/1', now(), false, true, now(), 'switchyard.case_manager',
          null, '', gen_random_uuid()
        from generate_series(1, 4000) n
        """,
        case,
    )
    await owner.execute(
        """
        insert into retention_receipt (opened_on, case_id, part, statement, key, signature)
        select '2024-03-05', $1, 1, jsonb_build_object('events', jsonb_agg(jsonb_build_object(
          'event_id', md5('e' || n)::uuid, 'digest', md5(n::text), 'parents', array[md5('p')],
          'body_sha256', '')))::text, '', ''
        from generate_series(1, 4000) n
        """,
        case,
    )

    async with asyncio.timeout(15):
        assert await retention.drop_partitions() == [(PARTITION, "dropped")]
