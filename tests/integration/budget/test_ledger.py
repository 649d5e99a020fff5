"""The ledger counts rightly in a race, after a redelivery or a crash, over midnight, and when a limit changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from tests.integration.budget.conftest import NOON, TASK, Tenant
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, fresh_id
from tests.integration.infrastructure import Infrastructure, Owner

pytestmark = pytest.mark.integration


async def test_reservation_is_replaced_by_what_the_call_cost(tenant: Tenant) -> None:
    task = await tenant.task()
    call, verdict = await tenant.reserve(task, 500)
    assert (verdict, await tenant.day()) == ("granted", (0, 500))
    assert await tenant.close(call, 120)
    assert await tenant.day() == (120, 0)


async def test_call_that_is_closed_twice_counts_once(tenant: Tenant) -> None:
    call, _ = await tenant.reserve(await tenant.task(), 500)
    assert [await tenant.close(call, 120), await tenant.close(call, 120)] == [True, False]
    assert await tenant.day() == (120, 0)


async def test_parallel_calls_for_the_last_cent_are_granted_once(
    tenant: Tenant, infrastructure: Infrastructure
) -> None:
    await tenant.limit("day", 10_000)
    tasks = [await tenant.task() for _ in range(8)]
    sessions = [await asyncpg.connect(infrastructure.owner_url("switchyard_work")) for _ in tasks]
    try:
        verdicts = await asyncio.gather(
            *(tenant.reserve(task, 6_000, connection=each) for task, each in zip(tasks, sessions, strict=True))
        )
    finally:
        for each in sessions:
            await each.close()
    assert sorted(verdict for _, verdict in verdicts) == ["granted", *["reserved"] * 7]
    assert await tenant.day() == (0, 6_000)


async def test_call_waits_for_what_others_reserved_and_is_stopped_by_what_they_spent(tenant: Tenant) -> None:
    await tenant.limit("day", 10_000)
    first, _ = await tenant.reserve(await tenant.task(), 6_000)
    assert (await tenant.reserve(await tenant.task(), 5_000))[1] == "reserved"
    await tenant.close(first, 6_000)
    assert (await tenant.reserve(await tenant.task(), 5_000))[1] == "day"
    assert (await tenant.reserve(await tenant.task(), 4_000))[1] == "granted"


async def test_limit_of_a_case_counts_all_its_days_and_tasks(tenant: Tenant) -> None:
    await tenant.limit("case", 1_000)
    opening = tenant.case()
    call, _ = await tenant.reserve(await tenant.task(opening), 700)
    await tenant.close(call, 700)
    tomorrow = NOON + timedelta(days=1)
    assert (await tenant.reserve(await tenant.task(opening), 400, at=tomorrow))[1] == "case"
    assert (await tenant.reserve(await tenant.task(), 400, at=tomorrow))[1] == "granted"


async def test_call_over_midnight_is_paid_by_the_day_it_began(tenant: Tenant) -> None:
    await tenant.limit("day", 1_000)
    late, next_day = NOON.replace(hour=23, minute=59), NOON + timedelta(days=1)
    task = await tenant.task()
    call, _ = await tenant.reserve(task, 900, at=late)
    assert (await tenant.reserve(task, 900, at=next_day.replace(hour=0)))[1] == "granted"
    await tenant.close(call, 800)
    assert (await tenant.day(late), await tenant.day(next_day)) == ((800, 0), (0, 900))


async def test_limit_that_is_lowered_counts_for_the_next_call(tenant: Tenant) -> None:
    await tenant.limit("day", 10_000)
    task = await tenant.task()
    running, _ = await tenant.reserve(task, 3_000)
    await tenant.limit("day", 1_000)
    assert (await tenant.reserve(task, 10))[1] == "reserved"
    assert await tenant.close(running, 3_000)
    assert (await tenant.reserve(task, 10))[1] == "day"


async def test_own_limit_of_a_tenant_replaces_that_of_every_tenant(tenant: Tenant, owner: Owner) -> None:
    every = Tenant(owner, "every-tenant")
    await every.limit("day", 100)
    try:
        task = await tenant.task()
        assert (await tenant.reserve(task, 200))[1] == "day"
        await tenant.limit("day", None)
        assert (await tenant.reserve(task, 200))[1] == "granted"
    finally:
        await owner.execute("delete from budget.money_limit where tenant = 'every-tenant'")


async def test_model_without_a_price_is_stopped_by_a_limit_and_counted_without_one(
    tenant: Tenant, owner: Owner
) -> None:
    task = await tenant.task()
    call, verdict = await tenant.reserve(task, None)
    assert verdict == "granted"
    await tenant.close(call, None, tokens=77)
    counted = "select unpriced_tokens from budget.tenant_day where tenant = $1"
    assert await owner.fetchval(counted, tenant.name) == 77
    await tenant.limit("case", 10_000_000)
    assert (await tenant.reserve(task, None))[1] == "unpriced"


async def lose(owner: Owner, after_s: float) -> None:
    await owner.fetchval("select budget.lose_calls_at($1, 1000)", NOON + timedelta(seconds=after_s))


async def test_reservation_of_a_killed_agent_ends_with_its_lease_and_counts_as_spent(
    tenant: Tenant, owner: Owner
) -> None:
    await tenant.reserve(await tenant.task(), 500, lease_s=60)
    await lose(owner, 59)
    assert await tenant.day() == (0, 500)
    await lose(owner, 61)
    await lose(owner, 62)
    assert await tenant.day() == (500, 0)


async def test_late_report_of_a_lost_call_corrects_it_once(tenant: Tenant, owner: Owner) -> None:
    call, _ = await tenant.reserve(await tenant.task(), 500, lease_s=60)
    await lose(owner, 61)
    assert [await tenant.close(call, 30), await tenant.close(call, 30)] == [True, False]
    assert await tenant.day() == (30, 0)


async def test_agent_reserves_only_for_a_task_that_it_has(tenant: Tenant) -> None:
    task, case = await tenant.task()
    _, other_case = await tenant.task()
    for forged in ((fresh_id(), case), (task, other_case), (task, fresh_id())):
        assert (await tenant.reserve(forged, 1))[1] == "no_open_task"
    assert (await tenant.reserve((task, case), 1, node="triage"))[1] == "no_open_task"


async def test_agent_cannot_choose_its_clock_nor_close_another_agents_call(tenant: Tenant, pool_for: PoolFor) -> None:
    call, _ = await tenant.reserve(await tenant.task(), 500)
    thief = await pool_for("triage")
    assert await thief.fetchval("select budget.close_call($1, 0, 0)", call) is None
    assert await tenant.day() == (0, 500)
    for forbidden in (
        "select * from budget.reserve_at(now(), 'triage', null, null, null, 'm', 1, 1, null, 1)",
        f"select budget.close_call_as('{call}', 'settled', 0, 0)",
        "update budget.tenant_day set spent = 0",
        "select * from budget.money_limit",
        "select budget.lose_calls(1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await thief.execute(forbidden)


# The quota of a model: a minute that all tenants share.


async def flood(tenant: Tenant, model: str, *, seconds: range) -> int:
    """How many calls of a hundred tokens are granted, one per second."""
    task, granted = await tenant.task(), 0
    for second in seconds:
        verdict = await tenant.reserve(task, 0, at=NOON + timedelta(seconds=second), model=model, quota=1_000)
        granted += verdict[1] == "granted"
    return granted


async def test_tenant_alone_has_the_whole_quota_of_a_minute(tenant: Tenant) -> None:
    assert await flood(tenant, f"model-{fresh_id()}", seconds=range(30)) == 10


async def test_flood_of_one_tenant_leaves_others_their_share(tenant: Tenant, owner: Owner) -> None:
    model, other = f"model-{fresh_id()}", Tenant(owner)
    await flood(tenant, model, seconds=range(20))
    mine = theirs = 0
    for second in range(20, 140):
        for each in (tenant, tenant, other):
            granted = await flood(each, model, seconds=range(second, second + 1))
            mine, theirs = mine + (granted if each is tenant else 0), theirs + (granted if each is other else 0)
    assert theirs >= 9
    assert mine <= 11


async def test_quota_is_whole_again_when_the_others_stopped(tenant: Tenant, owner: Owner) -> None:
    model, other = f"model-{fresh_id()}", Tenant(owner)
    await flood(other, model, seconds=range(1))
    assert await flood(tenant, model, seconds=range(100, 130)) == 10


async def test_quota_frees_what_a_call_did_not_use(tenant: Tenant) -> None:
    model, task = f"model-{fresh_id()}", await tenant.task()
    call, _ = await tenant.reserve(task, 0, tokens=900, model=model, quota=1_000)
    assert (await tenant.reserve(task, 0, tokens=900, model=model, quota=1_000))[1] == "quota"
    await tenant.close(call, 0, tokens=50)
    assert (await tenant.reserve(task, 0, tokens=900, model=model, quota=1_000))[1] == "granted"


async def test_call_larger_than_the_quota_is_granted_when_the_minute_is_empty(tenant: Tenant) -> None:
    model, task = f"model-{fresh_id()}", await tenant.task()
    assert (await tenant.reserve(task, 0, tokens=9_000, model=model, quota=1_000))[1] == "granted"
    assert (await tenant.reserve(task, 0, tokens=1, model=model, quota=1_000))[1] == "quota"


async def test_observer_is_stopped_before_cases_are_and_costs_no_case(tenant: Tenant, owner: Owner) -> None:
    await tenant.limit("day", 1_000)
    await tenant.limit("case", 10)
    judging = await tenant.task()
    await owner.execute(TASK.replace(f"{NODE}.inbox", "judge.inbox"), *judging)
    observed, verdict = await tenant.reserve(judging, 700, node="judge")
    assert verdict == "granted"
    await tenant.close(observed, 700)
    assert (await tenant.reserve(judging, 101, node="judge"))[1] == "day"
    assert (await tenant.reserve(judging, 11))[1] == "case"
    assert (await tenant.reserve(judging, 10))[1] == "granted"
    [row] = await owner.fetch(
        "select spent, observed, stopped_calls from budget.tenant_day where tenant = $1", tenant.name
    )
    assert tuple(row) == (700, 700, 0)
    [total] = await owner.fetch("select spent, reserved from budget.case_total where case_id = $1", judging[1])
    assert tuple(total) == (0, 10)
