"""Limits count if an operator signed them; thresholds are reported once; a stopped case ends with its own outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.case_manager.budgets import BudgetReports
from switchyard.cli.commands import budget
from switchyard.protocol.budgets import MoneyLimit
from switchyard.protocol.fields import Json
from switchyard.protocol.operator_commands import OperatorCommand
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.database.connections import Database
from tests.integration.budget.conftest import Tenant
from tests.integration.case_manager.conftest import CaseManager
from tests.integration.cloud import Tap
from tests.integration.conftest import PoolFor
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.operators import OPERATORS, hand_in, result_of, signed_command

pytestmark = pytest.mark.integration


@pytest.fixture
def tenant(owner: Owner) -> Tenant:
    """A tenant that no other test knows."""
    return Tenant(owner)


def signed(clock: ManualClock, tenant: Tenant, micros: int | None, **changes: Any) -> OperatorCommand:
    """A limit of the tenant's day, signed just now."""
    target = MoneyLimit(tenant.name, "day", micros).target
    return signed_command("budget", target, **{"signed_at": timestamp(clock.now())} | changes)


async def decided(case_manager: CaseManager, owner: Owner, command: OperatorCommand) -> str | None:
    """Hand a command in and let the case manager decide it."""
    await hand_in(owner, command)
    await case_manager.timers.tick()
    return await result_of(owner, command.command_id)


async def limit_of(owner: Owner, tenant: Tenant) -> int | None:
    """What counts now."""
    limit: int | None = await owner.fetchval("select budget.limit_of($1, 'day')", tenant.name)
    return limit


async def test_signed_limit_counts_and_its_event_proves_who_set_it(
    case_manager: CaseManager, owner: Owner, tap: Tap, clock: ManualClock, tenant: Tenant
) -> None:
    assert await decided(case_manager, owner, signed(clock, tenant, 50_000_000)) == "set"
    assert await limit_of(owner, tenant) == 50_000_000
    [event] = [each for each in await tap.seen("case_manager") if each["type"] == "BudgetSet"]
    payload = event["payload"]
    assert (event["tenant"], payload["target"]) == (tenant.name, f"{tenant.name}/day/50.000000")
    fields = {name: payload[name] for name in ("command_id", "target", "operator", "signed_at", "signature")}
    OperatorCommand(action="budget", reason=payload["why"], **fields).verify(OPERATORS)


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda command: replace(command, signature="ab" * 64), id="no signature"),
        pytest.param(lambda command: replace(command, target=command.target.replace("/1.", "/9.")), id="more money"),
        pytest.param(lambda command: replace(command, operator="m.allory"), id="another name"),
    ],
)
async def test_limit_that_nobody_signed_has_no_effect(
    case_manager: CaseManager, owner: Owner, clock: ManualClock, tenant: Tenant, forge: Any
) -> None:
    result = await decided(case_manager, owner, forge(signed(clock, tenant, 1_000_000)))
    assert str(result).startswith("refused")
    assert await limit_of(owner, tenant) is None


async def test_limit_that_was_signed_long_ago_or_before_another_is_refused(
    case_manager: CaseManager, owner: Owner, clock: ManualClock, tenant: Tenant
) -> None:
    kept, earlier = signed(clock, tenant, 9_000_000), signed(clock, tenant, 8_000_000)
    clock.advance(1)
    assert await decided(case_manager, owner, signed(clock, tenant, 1_000_000)) == "set"
    assert "sign again" in str(await decided(case_manager, owner, earlier))
    clock.advance(86_400)
    assert "too old" in str(await decided(case_manager, owner, kept))
    assert await limit_of(owner, tenant) == 1_000_000


@pytest.mark.parametrize("target", ["t/day/1", "t/day/-1.000000", "t/week/1.000000", "/day/1.000000", "t/day/none "])
async def test_limit_in_another_form_is_refused_where_it_is_handed_in(owner: Owner, target: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await hand_in(owner, signed_command("budget", target))


@pytest.fixture
async def reports(case_manager: CaseManager, pool_for: PoolFor, clock: ManualClock) -> BudgetReports:
    """The ledger's tick, as the role of the case manager."""
    database = Database(await pool_for("case_manager"), "the work database")
    return BudgetReports(database, CATALOGUE, clock, case_manager.outbox)


def today() -> datetime:
    """Noon of the database's day: its clock counts."""
    return datetime.now(UTC).replace(hour=12, minute=0)


async def spend(tenant: Tenant, micros: int, *, days: int = 0) -> None:
    """A call some days from now."""
    call, _ = await tenant.reserve(await tenant.task(), micros, at=today() + timedelta(days=days))
    await tenant.close(call, micros)


async def reached(tap: Tap, tenant: Tenant) -> list[int]:
    events: list[Json] = await tap.seen("case_manager")
    return [
        each["payload"]["percent"]
        for each in events
        if (each["type"], each["tenant"]) == ("BudgetReached", tenant.name)
    ]


async def test_each_threshold_is_reported_once_per_tenant_and_day(
    reports: BudgetReports, tap: Tap, tenant: Tenant
) -> None:
    await tenant.limit("day", 1_000)
    for micros in (400, 150, 150, 150, 100):
        await spend(tenant, micros)
        await asyncio.gather(reports.tick(), reports.tick())
    await tenant.limit("day", 1_100)
    await reports.tick()
    assert sorted(await reached(tap, tenant)) == [50, 80]
    assert (await tenant.reserve(await tenant.task(), 500, at=today()))[1] == "day"
    await reports.tick()
    assert sorted(await reached(tap, tenant)) == [50, 80, 100]
    await spend(tenant, 1_100, days=1)
    await reports.tick()
    assert sorted(await reached(tap, tenant)) == [50, 50, 80, 80, 100, 100]


async def test_tick_ends_reservations_of_killed_agents(reports: BudgetReports, tenant: Tenant) -> None:
    now = datetime.now(UTC)
    await tenant.reserve(await tenant.task(), 500, at=now, lease_s=3_600)
    await tenant.reserve(await tenant.task(), 70, at=now - timedelta(hours=1), lease_s=60)
    await reports.tick()
    assert await tenant.days() == (70, 500)


async def test_tick_forgets_old_calls_and_keeps_the_days(reports: BudgetReports, owner: Owner, tenant: Tenant) -> None:
    await spend(tenant, 7, days=-9)
    await reports.tick()
    assert await owner.fetchval("select count(*) from budget.model_call where tenant = $1", tenant.name) == 0
    assert await tenant.days() == (7, 0)


async def test_operator_reads_what_was_spent_and_what_may_be(
    case_manager: CaseManager, pool_for: PoolFor, tenant: Tenant
) -> None:
    await tenant.limit("case", 250_000)
    await spend(tenant, 7)
    await tenant.reserve(await tenant.task(), 5, at=today())
    operator = await pool_for("operator")
    [row] = await operator.fetch(budget._ROWS, 1, tenant.name)
    assert dict(row) == {
        "tenant": tenant.name,
        "day": today().date(),
        "day_limit": None,
        "case_limit": 250_000,
        "spent": 7,
        "observed": 0,
        "reserved": 5,
        "stopped_calls": 0,
        "unpriced_tokens": 0,
    }
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operator.execute("update budget.money_limit set micros = null")
