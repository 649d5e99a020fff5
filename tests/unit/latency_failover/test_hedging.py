import pytest
from pydantic_ai.exceptions import ModelHTTPError, ModelRequestRejectedError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.native_tools import WebSearchTool

from latency_failover import (
    FailoverDecision,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    LatencyStats,
    find_contradictions,
)
from latency_failover.statistics import LatencySample
from tests.unit.latency_failover.scripted import NO_TOOLS, PROMPT, Script, ScriptedModel, answers, fails, silent, stalls
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time

POLICY = FailoverPolicy(hedge_share_bp=10_000, hedge_min_ms=100, ttft_floor_ms=1_500, stall_ms=1_000)


def pair(primary: Script, fallback: Script, policy: FailoverPolicy = POLICY) -> tuple[FailoverModel, ScriptedModel]:
    """A primary that has always spoken after 200 ms. The hedge is due half as much later; the limit is 1,500."""
    second = ScriptedModel("b", fallback)
    model = FailoverModel(
        ScriptedModel("a", primary), second, policy=policy, stats=LatencyStats(min_samples=4), clock=VirtualClock()
    )
    for _ in range(8):
        sample = LatencySample(ttft_ms=200, total_ms=400, output_tokens=10, us_per_token=20_000)
        model.stats.observe("scripted:a", 10, sample, now_ms=1_000_000)
    return model, second


async def ask(model: FailoverModel, parameters: ModelRequestParameters = NO_TOOLS) -> FailoverDecision:
    with model.budget(LatencyBudget(total_ms=20_000)) as record:
        await model.request(PROMPT, None, parameters)
    (decision,) = record.decisions
    assert find_contradictions(decision) == ()
    return decision


@virtual_time
async def test_hedge_starts_beyond_longest_wait_and_wins_if_first() -> None:
    model, _ = pair(answers(first_after=1.0), answers(first_after=0.1))
    decision = await ask(model)
    assert (decision.reason, decision.role, decision.hedge_after_ms) == ("hedge_win", "fallback", 300)
    lost, won = decision.attempts
    assert (won.started_ms, lost.outcome, lost.ended_ms) == (300, "lost", 400)
    assert decision.loser_tokens == lost.input_tokens > 0


@virtual_time
async def test_primary_answering_after_the_hedge_started_wins() -> None:
    model, second = pair(answers(first_after=0.35), answers(first_after=0.5))
    decision = await ask(model)
    assert (decision.reason, decision.role) == ("primary", "primary")
    assert [a.outcome for a in decision.attempts] == ["won", "lost"]
    assert second.running == 0


@virtual_time
async def test_hedge_without_an_allowance_is_not_started() -> None:
    model, second = pair(answers(first_after=1.0), silent(), POLICY.model_copy(update={"hedge_share_bp": 0}))
    assert (await ask(model)).reason == "primary"
    assert second.calls == 0


@virtual_time
async def test_hedge_of_a_call_with_possible_effects_is_not_started() -> None:
    model, second = pair(answers(first_after=1.0), silent())
    assert (await ask(model, ModelRequestParameters(native_tools=[WebSearchTool()]))).reason == "primary"
    assert second.calls == 0


@virtual_time
async def test_hedge_to_a_degraded_fallback_is_not_started() -> None:
    model, second = pair(answers(first_after=1.0), silent())
    model.breakers["fallback"].hold(1_000_000, 60_000)
    assert (await ask(model)).reason == "primary"
    assert second.calls == 0


@virtual_time
@pytest.mark.parametrize(("share_bp", "hedges"), [(500, 4), (200, 2), (100, 1), (99, 0)])
async def test_hedges_go_to_the_slow_calls_and_stay_within_their_share(share_bp: int, hedges: int) -> None:
    policy = FailoverPolicy(hedge_share_bp=share_bp, hedge_min_ms=200, ttft_floor_ms=9_000)
    model, second = pair(silent(), answers(first_after=0.1), policy)
    primary = model.models[0]
    assert isinstance(primary, ScriptedModel)
    primary.scripts = [*[answers(first_after=0.1)] * 24, answers(first_after=3.0)] * 4
    latencies = [(await ask(model)).latency_ms for _ in range(100)]
    assert second.calls == hedges
    assert sum(latency > 1_000 for latency in latencies) == 4 - hedges


@virtual_time
async def test_failing_hedge_does_not_disturb_the_primary() -> None:
    for error in (
        ConnectionError(),
        ModelHTTPError.for_category(ModelRequestRejectedError, status_code=400, model_name="b"),
    ):
        model, _ = pair(answers(first_after=1.0), fails(error))
        decision = await ask(model)
        assert (decision.reason, decision.role) == ("primary", "primary")


@virtual_time
async def test_fallback_lost_as_hedge_remains_available_on_stall() -> None:
    model, second = pair(stalls(first_after=0.35, tokens=3), answers(first_after=0.5))
    decision = await ask(model)
    assert (decision.reason, decision.role) == ("projected", "fallback")
    assert [a.outcome for a in decision.attempts] == ["abandoned", "lost", "won"]
    assert second.calls == 2


@virtual_time
async def test_silent_models_lead_to_abandoning_the_primary_at_its_limit() -> None:
    model, _ = pair(silent(), answers(first_after=3.0))
    decision = await ask(model)
    assert (decision.reason, decision.role) == ("ttft", "fallback")
    assert [(a.outcome, a.started_ms) for a in decision.attempts] == [("abandoned", 0), ("won", 300)]
    assert decision.attempts[0].ended_ms == 1_500
