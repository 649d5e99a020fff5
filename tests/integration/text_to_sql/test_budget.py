"""What a user may cost the warehouse per day is reserved before a query and settled after it, however many run."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from services.specialists.text_to_sql.budget import UserBudget, WarehouseBudget
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.warehouse import MAX_RESULT_BYTES, QueryLimits, TokenNotAccepted
from switchyard.identity.client import ConsentRequired
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError
from switchyard.runtime.database.session_scope import SessionScope
from tests.integration.conftest import PoolFor
from tests.integration.manual_clock import ManualClock

LIMITS = QueryLimits(timeout_s=30)


class Warehouse:
    """Answers after so many seconds of the test's clock, with so many bytes."""

    def __init__(self, clock: ManualClock, *, seconds: float = 1.0, size: int = 1_000) -> None:
        self.clock, self.seconds, self.size = clock, seconds, size
        self.runs = 0
        self.failure: Exception | None = None

    async def run(self) -> Rows:
        self.runs += 1
        await asyncio.sleep(0)
        self.clock.advance(self.seconds)
        if self.failure is not None:
            raise self.failure
        return Rows(
            columns=(),
            rows=(),
            row_count=0,
            truncated=False,
            sql="",
            elapsed_ms=round(self.seconds * 1_000),
            size=self.size,
        )


class Asker:
    """One user's budget, its clock and a warehouse."""

    def __init__(self, budget: WarehouseBudget, clock: ManualClock, user: str) -> None:
        self.budget, self.clock, self.user = budget, clock, user
        self.warehouse = Warehouse(clock)

    def of(self, user: str = "", tenant: str = "harbor") -> UserBudget:
        return self.budget.of(SessionScope(tenant, user or self.user, uuid.uuid4().hex))

    async def ask(self, user: str = "", tenant: str = "harbor") -> Rows:
        return await self.of(user, tenant).spend(self.warehouse.run, LIMITS)

    async def rejected(self) -> PermanentTaskError:
        with pytest.raises(PermanentTaskError) as caught:
            await self.ask()
        return caught.value


@pytest.fixture
async def asker(pool_for: PoolFor) -> Asker:
    clock = ManualClock(datetime(2026, 11, 28, 22, 0, tzinfo=UTC))
    pool = await pool_for("text_to_sql")
    budget = WarehouseBudget(pool, clock, seconds_per_day=60, bytes_per_day=10 * MAX_RESULT_BYTES)
    return Asker(budget, clock, uuid.uuid4().hex)


async def test_budget_used_up_refuses_with_the_time_of_the_next_query(asker: Asker) -> None:
    asker.warehouse.seconds = 25.0
    await asker.ask()
    await asker.ask()
    error = await asker.rejected()
    assert error.code == "warehouse_budget_spent"
    assert "60 s" in error.message
    assert "2026-11-29T00:00:00.000000Z" in error.message
    assert error.remedy == "ask again after 2026-11-29T00:00:00.000000Z"
    assert asker.warehouse.runs == 2
    asker.clock.advance(2 * 3_600)
    await asker.ask()


async def test_budget_is_settled_to_what_a_query_cost(asker: Asker) -> None:
    for _ in range(25):
        await asker.ask()
    assert asker.warehouse.runs == 25


async def test_budget_counts_bytes_and_seconds(asker: Asker) -> None:
    asker.warehouse.size = MAX_RESULT_BYTES
    for _ in range(10):
        await asker.ask()
    assert (await asker.rejected()).code == "warehouse_budget_spent"


async def test_budgets_of_users_and_tenants_are_separate(asker: Asker) -> None:
    asker.warehouse.seconds = 25.0
    await asker.ask()
    await asker.ask()
    await asker.rejected()
    await asker.ask(user=uuid.uuid4().hex)
    await asker.ask(tenant="other")


async def test_concurrent_attempts_never_exceed_the_budget(asker: Asker) -> None:
    results = await asyncio.gather(*(asker.ask() for _ in range(20)), return_exceptions=True)
    # Sixty seconds hold two reservations of thirty at a time.
    refused = [result for result in results if isinstance(result, PermanentTaskError)]
    assert all(error.code == "warehouse_budget_spent" for error in refused)
    assert len(refused) + asker.warehouse.runs == 20
    assert asker.warehouse.runs >= 2
    reserved = await asyncio.gather(
        *(asker.budget.reserve(SessionScope("harbor", "raced" + asker.user, "s-1"), 30_000, 1) for _ in "abcd"),
        return_exceptions=True,
    )
    assert sum(isinstance(each, PermanentTaskError) for each in reserved) == 2


async def test_attempt_without_a_recorded_end_stays_spent(asker: Asker) -> None:
    asker.warehouse.failure = RetryableTaskError("warehouse_unreachable", "no answer")
    for _ in range(2):
        with pytest.raises(RetryableTaskError):
            await asker.ask()
    assert (await asker.rejected()).code == "warehouse_budget_spent"


async def test_cancelled_attempt_stays_spent(asker: Asker) -> None:
    async def endless() -> Rows:
        await asyncio.Event().wait()
        raise AssertionError

    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asker.of().spend(endless, LIMITS)
    assert (await asker.rejected()).code == "warehouse_budget_spent"


@pytest.mark.parametrize(
    "refused",
    [
        PermanentTaskError("role_not_granted", "no such role"),
        TokenNotAccepted(390318),
        ConsentRequired("https://warehouse.example", ()),
    ],
)
async def test_failed_query_costs_its_run_time_and_a_refused_login_nothing(asker: Asker, refused: Exception) -> None:
    asker.warehouse.failure = PermanentTaskError("query_timeout", "too long")
    asker.warehouse.seconds = 25.0
    with pytest.raises(PermanentTaskError):
        await asker.ask()
    asker.warehouse.failure = refused
    for _ in range(5):
        with pytest.raises(type(refused)):
            await asker.ask()
    asker.warehouse.failure = None
    await asker.ask()
    assert (await asker.rejected()).code == "warehouse_budget_spent"
