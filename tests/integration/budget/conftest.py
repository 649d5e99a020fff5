"""A tenant of its own for each test, with cases, tasks of an agent, and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from switchyard.protocol.fields import Json
from tests.integration.events import NODE, fresh_id, opened
from tests.integration.infrastructure import Owner

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TASK = f"""
insert into {NODE}.inbox (event_id, digest, case_id, type, token, claims, lease_until)
values ($1, '', $2, 'Task', 1, 1, clock_timestamp() + interval '1 hour')
"""
LIMIT = """
insert into budget.money_limit (tenant, period, micros, command_id, signed_at, set_by, why)
values ($1, $2, $3, gen_random_uuid(), now(), 'ada', 'a test')
on conflict (tenant, period) do update set micros = excluded.micros
"""
RESERVE = "select * from budget.reserve_at($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"


@dataclass
class Tenant:
    """What a test does in the name of one tenant, through the ledger's functions and with any clock."""

    owner: Owner
    name: str = field(default_factory=lambda: f"tenant-{fresh_id()}")

    async def limit(self, period: str, micros: int | None) -> None:
        await self.owner.execute(LIMIT, self.name, period, micros)

    async def task(self, opening: Json | None = None) -> tuple[str, str]:
        """A task of a case, which the agent has claimed."""
        opening = opening or self.case()
        task = fresh_id()
        await self.owner.execute(TASK, task, opening["case_id"])
        return task, opening["case_id"]

    def case(self) -> Json:
        """A case of this tenant."""
        return opened(tenant=self.name, principal={"sub": "service:upstream.tests", "tenant": self.name})

    async def reserve(
        self, task: tuple[str, str], micros: int | None, *, at: datetime = NOON, connection: Any = None, **more: Any
    ) -> tuple[str, str]:
        """Reserve a call; its id, and the verdict."""
        call, named = fresh_id(), {"model": "model-a", "tokens": 100, "quota": None, "lease_s": 60.0, "node": NODE}
        named |= more
        [row] = await (connection or self.owner).fetch(
            RESERVE,
            *(at, named["node"], call, *task, named["model"], micros, named["tokens"], named["quota"]),
            named["lease_s"],
        )
        return call, row["verdict"]

    async def close(self, call: str, micros: int | None, tokens: int = 10) -> bool:
        done: bool = await self.owner.fetchval(
            "select budget.close_call_as($1, 'settled', $2, $3)", call, micros, tokens
        )
        return done

    async def day(self, of: datetime = NOON) -> tuple[int, int]:
        """What is spent and reserved on a day."""
        return await self._sums("day = $2", of.date())

    async def days(self) -> tuple[int, int]:
        """What is spent and reserved in all."""
        return await self._sums("true")

    async def _sums(self, where: str, *arguments: object) -> tuple[int, int]:
        sums = "coalesce(sum(spent), 0)::bigint, coalesce(sum(reserved), 0)::bigint"
        sql = f"select {sums} from budget.tenant_day where tenant = $1 and {where}"
        spent, reserved = (await self.owner.fetch(sql, self.name, *arguments))[0]
        return spent, reserved


@pytest.fixture
def tenant(owner: Owner) -> Tenant:
    """A tenant that no other test knows."""
    return Tenant(owner)
