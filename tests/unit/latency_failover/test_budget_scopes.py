import asyncio

from latency_failover import FailoverDecision, FailoverModel, FailoverPolicy, LatencyBudget
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, ScriptedModel, answers
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time

POLICY = FailoverPolicy(cold_ttft_ms=60_000)


def lone(*, first_after: float) -> FailoverModel:
    model = ScriptedModel("a", answers(first_after=first_after, tokens=1))
    return FailoverModel(model, None, policy=POLICY, clock=VirtualClock())


async def spend(model: FailoverModel, total_ms: int) -> list[FailoverDecision]:
    with model.budget(LatencyBudget(total_ms=total_ms)) as record:
        await model.request(PROMPT, None, NO_TOOLS)
        await model.request(PROMPT, None, NO_TOOLS)
    return record.decisions


@virtual_time
async def test_concurrent_calls_keep_their_budgets_and_records_apart() -> None:
    model = lone(first_after=0.5)
    first, second = await asyncio.gather(spend(model, 5_000), spend(model, 9_000))
    assert [d.total_ms for d in first] == [5_000, 4_500]
    assert [d.total_ms for d in second] == [9_000, 8_500]


@virtual_time
async def test_time_before_a_call_counts_against_its_budget() -> None:
    model = lone(first_after=0.1)
    with model.budget(LatencyBudget(total_ms=5_000)) as record:
        await asyncio.sleep(2)
        await model.request(PROMPT, None, NO_TOOLS)
    assert record.decisions[0].total_ms == 3_000


@virtual_time
async def test_nested_scope_replaces_the_outer_one_until_its_end() -> None:
    model = lone(first_after=0.1)
    with model.budget(LatencyBudget(total_ms=5_000)) as outer:
        with model.budget(LatencyBudget(total_ms=1_000)) as inner:
            await model.request(PROMPT, None, NO_TOOLS)
        await model.request(PROMPT, None, NO_TOOLS)
    assert [d.total_ms for d in inner.decisions] == [1_000]
    assert [d.total_ms for d in outer.decisions] == [4_900]


@virtual_time
async def test_scope_applies_to_its_own_model_only() -> None:
    model, other = lone(first_after=0.1), lone(first_after=0.1)
    with model.budget(LatencyBudget(total_ms=5_000)) as record:
        await other.request(PROMPT, None, NO_TOOLS)
    assert record.decisions == []
