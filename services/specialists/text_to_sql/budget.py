"""What one user may cost the warehouse per day: seconds of running, and bytes of results.

The most that a query can cost is reserved before it runs, and settled to what it did cost afterwards. What is never
settled, because the process died or the answer was lost, stays spent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import structlog

from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.warehouse import MAX_RESULT_BYTES, QueryLimits, TokenNotAccepted
from switchyard.identity.client import ConsentRequired
from switchyard.runtime.core.clock import Clock, timestamp
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.database.session_scope import SessionScope

log = structlog.get_logger(__name__)
_SQL = load_queries(__file__)
KEPT_DAYS = 7
NOT_LOGGED_IN = (TokenNotAccepted, ConsentRequired)
NOTHING_RAN = "role_not_granted"
"""The code of a log-in that Snowflake refused: no statement was sent, as with `NOT_LOGGED_IN`."""


class WarehouseBudget:
    """The budgets of all users, in the agent's own schema."""

    def __init__(self, pool: Pool, clock: Clock, *, seconds_per_day: int, bytes_per_day: int) -> None:
        self._database = Database(pool, "the work database", _SQL)
        self._clock = clock
        self._ms_per_day, self._bytes_per_day = seconds_per_day * 1_000, bytes_per_day

    def of(self, scope: SessionScope) -> UserBudget:
        """The budget of the user on whose behalf a case runs."""
        return UserBudget(self, scope)

    async def reserve(self, scope: SessionScope, ms: int, size: int) -> date:
        """Reserve on today's budget; return the day. Raises `PermanentTaskError` if too little is left."""
        day = self._clock.now().astimezone(UTC).date()
        await self._database.execute("prune", day - timedelta(days=KEPT_DAYS))
        async with self._database.transaction(scope) as database:
            reserved = await database.value("reserve", day, ms, size, self._ms_per_day, self._bytes_per_day)
        if reserved:
            return day
        again = timestamp(datetime.combine(day + timedelta(days=1), time(), UTC))
        message = (
            f"too little is left of the user's warehouse budget of today ({self._ms_per_day // 1_000} s and "
            f"{self._bytes_per_day:,} bytes) for a query; it is free again at {again}"
        )
        raise PermanentTaskError("warehouse_budget_spent", message, remedy=f"ask again after {again}")

    async def settle(self, scope: SessionScope, day: date, ms: int, size: int) -> None:
        """Give back what was reserved and not used: negative numbers. An unreachable database leaves it spent."""
        try:
            async with self._database.transaction(scope) as database:
                await database.execute("settle", day, ms, size)
        except Unavailable as error:
            log.warning("budget.not_settled", code=error.code)

    def monotonic(self) -> float:
        """Seconds, for measuring."""
        return self._clock.monotonic()


@dataclass(frozen=True, slots=True)
class UserBudget:
    """The budget of one user."""

    budget: WarehouseBudget
    scope: SessionScope

    async def spend(self, run: Callable[[], Awaitable[Rows]], limits: QueryLimits) -> Rows:
        """Run a query on the budget. Raises what `run` raises, and `PermanentTaskError` if too little is left."""
        most = limits.timeout_s * 1_000
        day = await self.budget.reserve(self.scope, most, MAX_RESULT_BYTES)
        started = self.budget.monotonic()
        try:
            rows = await run()
        except NOT_LOGGED_IN:
            await self.budget.settle(self.scope, day, -most, -MAX_RESULT_BYTES)
            raise
        except PermanentTaskError as error:
            used = 0 if error.code == NOTHING_RAN else round((self.budget.monotonic() - started) * 1_000)
            await self.budget.settle(self.scope, day, used - most, -MAX_RESULT_BYTES)
            raise
        await self.budget.settle(self.scope, day, rows.elapsed_ms - most, rows.size - MAX_RESULT_BYTES)
        return rows
