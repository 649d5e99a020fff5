"""Months, made ahead."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
import structlog

from switchyard.audit.records.store import AuditStore, make_partitions
from switchyard.runtime.core.errors import Unavailable
from tests.integration.audit.conftest import Counts
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"


def month(ahead: int, *, of: datetime | None = None) -> datetime:
    """The first moment of the month that is `ahead` months after this one."""
    today = of or datetime.now(UTC)
    years, index = divmod(today.month - 1 + ahead, 12)
    return datetime(today.year + years, index + 1, 1, tzinfo=UTC)


async def where(owner: Owner, event: dict[str, Any]) -> str:
    return str(await owner.fetchval("select tableoid::regclass from transition where event_id = $1", event["event_id"]))


async def test_partition_boundary_separates_last_and_first_moment_of_months(store: AuditStore, owner: Owner) -> None:
    midnight = month(1)
    before = cases.first(1, opened=midnight - timedelta(microseconds=1))
    after = cases.first(2, opened=midnight)

    await store.record(cases.bodies([before, after]))

    assert await where(owner, before) == f"transition_{month(0):%Y_%m}"
    assert await where(owner, after) == f"transition_{midnight:%Y_%m}"


async def test_case_across_midnight_stays_in_one_partition(store: AuditStore, counts: Counts, owner: Owner) -> None:
    events = cases.answered(opened=month(1) - timedelta(milliseconds=600))

    await store.record(cases.bodies(events))

    assert events[-1]["occurred_at"][:10] != events[0]["occurred_at"][:10]
    assert {await where(owner, event) for event in events} == {f"transition_{month(0):%Y_%m}"}
    assert (await counts()).unplanned == 0


async def test_row_of_a_month_without_a_partition_is_kept_and_raises_an_alarm(
    store: AuditStore, counts: Counts, owner: Owner
) -> None:
    early = cases.first(opened=datetime(2019, 5, 5, tzinfo=UTC))

    with structlog.testing.capture_logs() as logged:
        await store.record([cases.body(early)])

    assert await where(owner, early) == "transition_default"
    alarms = [(line["event"], line["alarm"], line["rows"]) for line in logged if "alarm" in line]
    assert alarms == [("partition.missing", "partition", 1)]
    assert (await counts()).unplanned == 1


async def test_service_creates_coming_partitions_as_append_only(store: AuditStore, owner: Owner) -> None:
    assert await store.ensure_partitions() == []

    made = await store.ensure_partitions(5)

    assert made == [(f"transition_{month(ahead):%Y_%m}", "created") for ahead in (4, 5)]
    event = cases.first(opened=month(5))
    await store.record([cases.body(event)])
    assert await where(owner, event) == f"transition_{month(5):%Y_%m}"
    await owner.execute("set session_replication_role = replica")
    for change in ("update {} set seq = 1", "delete from {}", "truncate {}"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(change.format(f"transition_{month(5):%Y_%m}"))


async def test_month_with_rows_in_default_partition_raises_alarm(store: AuditStore) -> None:
    await store.record([cases.body(cases.first(opened=month(5)))])

    with structlog.testing.capture_logs() as logged:
        await make_partitions(store, months_ahead=5)

    assert [(line["event"], line["partition"], line.get("alarm"), line.get("state")) for line in logged] == [
        ("partition.created", f"transition_{month(4):%Y_%m}", None, None),
        ("partition.not_created", f"transition_{month(5):%Y_%m}", "partition", "blocked"),
    ]


async def test_writes_continue_while_a_long_read_delays_a_partition(store: AuditStore, owner: Owner) -> None:
    async with owner.transaction(isolation="repeatable_read", readonly=True):
        await owner.fetchval("select count(*) from transition")

        made = await store.ensure_partitions(4)
        recorded = await store.record([cases.body(cases.first())])
        with pytest.raises(Unavailable, match="long read"):
            await make_partitions(store, 4)

    assert made == [(f"transition_{month(4):%Y_%m}", "busy")]
    assert recorded.inserted == 1
    assert await store.ensure_partitions(4) == [(f"transition_{month(4):%Y_%m}", "created")]


async def test_partition_creation_blocked_by_a_long_read_is_deferred(store: AuditStore, owner: Owner) -> None:
    await owner.execute(f"drop table if exists transition_{month(4):%Y_%m}")
    async with owner.transaction(isolation="repeatable_read", readonly=True):
        await owner.fetchval("select count(*) from transition")
        ended = await asyncio.gather(*(make_partitions(store, 4) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in ended), ended
    assert {str(each).partition(":")[0] for each in ended} <= {"database_busy", "partition_busy"}
    assert "database_busy" in {str(each).partition(":")[0] for each in ended}, "one waited for the other"
    await make_partitions(store, 4)
    assert await store.ensure_partitions(4) == []
