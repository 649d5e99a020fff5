"""An agent's model calls go through the ledger: what it may not spend is not asked, and what it used is recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.usage import RequestUsage

from switchyard.protocol.fields import Contract, TaskBudget
from switchyard.protocol.received import ReceivedEvent
from switchyard.runtime.budget.ledger import MoneyLedger
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskPostponed
from switchyard.runtime.core.settings import TokenPrice
from switchyard.runtime.core.task import Task
from switchyard.runtime.models.clients import MeteredModel, ModelSettings, model_budget
from tests.integration.budget.conftest import TASK, Tenant
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, bus_body, command
from tests.integration.infrastructure import Owner
from tests.reference import read_event
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers, fails

pytestmark = pytest.mark.integration
DOLLAR_A_TOKEN = TokenPrice(input=1e6, output=1e6)
USED = RequestUsage(input_tokens=2, output_tokens=3)


async def metered(
    pool_for: PoolFor, *models: ScriptedModel, prices: Mapping[str, TokenPrice] | None = None, **settings: Any
) -> MeteredModel:
    """An agent's models, connected to the ledger."""
    known = {model.model_name: DOLLAR_A_TOKEN for model in models} if prices is None else dict(prices)
    given = ModelSettings(prices=known, **settings)
    primary, fallback = (*models, None)[:2]
    assert primary is not None
    model = MeteredModel(primary, fallback, given, version="test/1")
    model.ledger = MoneyLedger(await pool_for(NODE), model.prices, model.quotas)
    return model


async def claimed(owner: Owner, tenant: Tenant) -> Task[Contract]:
    """A task of the tenant that the agent has claimed."""
    received: ReceivedEvent[Contract] = read_event(bus_body(command(opening=tenant.case())), node=NODE)
    envelope = received.envelope
    await owner.execute(TASK, envelope.event_id, envelope.case_id)
    return Task(received, attempt=1, deadline=None)


async def ask(model: MeteredModel, task: Task[Contract], *, calls: int = 1) -> None:
    async with model_budget(model, task, margin_ms=0):
        for _ in range(calls):
            await model.request(PROMPT, {"max_tokens": 10}, NO_TOOLS)


async def test_answer_costs_its_reported_tokens(tenant: Tenant, owner: Owner, pool_for: PoolFor) -> None:
    model = await metered(pool_for, ScriptedModel("a", answers(first_after=0, usage=USED)))
    await ask(model, await claimed(owner, tenant))
    assert await tenant.days() == (5_000_000, 0)


async def test_failed_call_frees_its_reservation(tenant: Tenant, owner: Owner, pool_for: PoolFor) -> None:
    await tenant.limit("day", 100_000_000)
    model = await metered(pool_for, ScriptedModel("a", fails(ModelHTTPError(503, "a"))))
    with pytest.raises(RetryableTaskError, match="no model answered"):
        await ask(model, await claimed(owner, tenant))
    assert await tenant.days() == (0, 0)


async def test_limit_that_is_reached_asks_no_model_and_says_what_to_do(
    tenant: Tenant, owner: Owner, pool_for: PoolFor
) -> None:
    await tenant.limit("day", 1_000_000)
    scripted = ScriptedModel("a", answers(first_after=0, usage=USED))
    with pytest.raises(PermanentTaskError) as stopped:
        await ask(await metered(pool_for, scripted), await claimed(owner, tenant))
    assert (stopped.value.code, scripted.calls) == ("budget_exceeded", 0)
    assert "$1.000000" in stopped.value.message
    assert "switchyard budget set" in str(stopped.value.remedy)


async def test_reservation_covers_both_models_of_a_call(tenant: Tenant, owner: Owner, pool_for: PoolFor) -> None:
    # Each may write 10 tokens, and read twice the estimate of the prompt.
    prompt = 2 * -(-len(json.loads('"Draft a reminder, please."')) // 4)
    await tenant.limit("day", (2 * (10 + prompt) - 1) * 1_000_000)
    first = ScriptedModel("a", answers(first_after=0, usage=USED))
    with pytest.raises(PermanentTaskError, match="might exceed"):
        await ask(
            await metered(pool_for, first, ScriptedModel("b", answers(first_after=0))), await claimed(owner, tenant)
        )
    assert first.calls == 0
    await ask(await metered(pool_for, first), await claimed(owner, tenant))


async def test_fallback_without_a_price_is_refused_by_name_where_a_limit_applies(
    tenant: Tenant, owner: Owner, pool_for: PoolFor
) -> None:
    await tenant.limit("case", 100_000_000)
    models = [ScriptedModel(name, answers(first_after=0, usage=USED)) for name in ("a", "mystery-9")]
    with pytest.raises(PermanentTaskError, match="mystery-9") as stopped:
        await ask(await metered(pool_for, *models, prices={"a": DOLLAR_A_TOKEN}), await claimed(owner, tenant))
    assert (stopped.value.code, stopped.value.field) == ("model_without_price", "SWITCHYARD_MODEL_PRICES")


async def test_task_waits_for_the_quota_without_an_attempt(tenant: Tenant, owner: Owner, pool_for: PoolFor) -> None:
    name = f"quota-of-{tenant.name}"
    model = await metered(pool_for, ScriptedModel(name, answers(first_after=0, usage=USED)), quotas={name: 30})
    await ask(model, await claimed(owner, tenant))
    await ask(model, await claimed(owner, tenant))
    with pytest.raises(TaskPostponed) as postponed:
        await ask(model, await claimed(owner, tenant))
    assert 0 < postponed.value.after_s <= 60


async def test_task_ends_once_its_share_of_tokens_is_used(tenant: Tenant, owner: Owner, pool_for: PoolFor) -> None:
    scripted = ScriptedModel("a", answers(first_after=0, usage=USED))
    model, task = await metered(pool_for, scripted), await claimed(owner, tenant)
    share = TaskBudget(attempts=1, tokens=6)
    envelope = task.envelope.model_copy(update={"budget": share})
    limited = replace(task, received=replace(task.received, envelope=envelope))
    with pytest.raises(PermanentTaskError) as stopped:
        await ask(model, limited, calls=3)
    assert (stopped.value.code, stopped.value.field, scripted.calls) == ("tokens_used", "budget.tokens", 2)
    assert await tenant.days() == (10_000_000, 0)
