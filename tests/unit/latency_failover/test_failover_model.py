"""Each way a call can go, end to end over scripted models, in virtual time."""

import pytest
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError, ModelRequestRejectedError
from pydantic_ai.usage import RequestUsage

from latency_failover import (
    AllModelsFailed,
    BudgetRecord,
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

POLICY = FailoverPolicy(version="test", cold_ttft_ms=1_000, cold_reserve_ms=2_000, stall_ms=1_000, hedge_share_bp=0)


def over(primary: ScriptedModel, fallback: ScriptedModel | None, policy: FailoverPolicy = POLICY) -> FailoverModel:
    return FailoverModel(primary, fallback, policy=policy, stats=LatencyStats(min_samples=4), clock=VirtualClock())


def teach(model: FailoverModel, name: str, *, ttft: int, total: int, tokens: int = 10) -> None:
    pace = (total - ttft) * 1_000 // tokens
    sample = LatencySample(ttft_ms=ttft, total_ms=total, output_tokens=tokens, us_per_token=pace)
    for _ in range(8):
        model.stats.observe(f"scripted:{name}", 10, sample, now_ms=1_000_000)


async def ask(model: FailoverModel, budget: LatencyBudget | None = None) -> tuple[str, FailoverDecision]:
    with model.budget(budget or LatencyBudget(total_ms=20_000)) as record:
        response = await model.request(PROMPT, None, NO_TOOLS)
    (decision,) = record.decisions
    assert find_contradictions(decision) == ()
    return response.model_name or "", decision


def throttled() -> ModelHTTPError:
    return ModelHTTPError.for_category(
        ModelRateLimitError,
        status_code=429,
        model_name="a",
        body={"message": "secret prompt"},
        provider_error_code="ThrottlingException",
    )


@virtual_time
async def test_healthy_primary_answers_without_the_fallback() -> None:
    primary, fallback = ScriptedModel("a", answers(first_after=0.3, tokens=11)), ScriptedModel("b", silent())
    name, decision = await ask(over(primary, fallback))
    assert (name, decision.reason, decision.role) == ("a", "primary", "primary")
    assert (decision.ttft_ms, decision.latency_ms) == (300, 400)
    assert (decision.input_tokens, decision.output_tokens, decision.loser_tokens) == (70, 11, 0)
    assert decision.policy_version == "test"
    assert fallback.calls == 0


@virtual_time
async def test_primary_without_a_first_token_is_abandoned_and_closed() -> None:
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", answers(first_after=0.2))
    name, decision = await ask(over(primary, fallback))
    assert (name, decision.reason, decision.role) == ("b", "ttft", "fallback")
    assert decision.ttft_ms == 1_200
    lost, won = decision.attempts
    assert (lost.outcome, lost.ttft_ms, lost.ended_ms) == ("abandoned", None, 1_000)
    assert (won.outcome, won.started_ms, won.ttft_ms) == ("won", 1_000, 200)
    assert primary.running == 0


@virtual_time
async def test_stalled_stream_is_abandoned_with_its_tokens_counted() -> None:
    primary = ScriptedModel("a", stalls(first_after=0.1, tokens=5))
    name, decision = await ask(over(primary, ScriptedModel("b", answers(first_after=0.2))))
    assert (name, decision.reason) == ("b", "projected")
    lost = decision.attempts[0]
    assert (lost.outcome, lost.ttft_ms, lost.output_tokens, lost.tokens_source) == ("abandoned", 100, 5, "estimated")
    assert decision.loser_tokens == lost.input_tokens + 5
    assert primary.running == 0


@virtual_time
async def test_slow_stream_is_abandoned_long_before_the_budgets_end() -> None:
    model = over(
        ScriptedModel("a", answers(first_after=0.1, tokens=100, every=0.5)),
        ScriptedModel("b", answers(first_after=0.2)),
    )
    teach(model, "a", ttft=100, total=2_100, tokens=100)
    name, decision = await ask(model, LatencyBudget(total_ms=10_000, reserve_ms=2_000))
    assert (name, decision.reason) == ("b", "projected")
    assert decision.latency_ms < 4_000


@virtual_time
async def test_throttled_primary_is_abandoned_at_once() -> None:
    name, decision = await ask(
        over(ScriptedModel("a", fails(throttled())), ScriptedModel("b", answers(first_after=0.2)))
    )
    assert (name, decision.reason) == ("b", "throttled")
    assert decision.attempts[0].error_code == "ModelRateLimitError/429/ThrottlingException"
    assert decision.loser_tokens == 0, "a refused call costs nothing"


@virtual_time
async def test_primary_error_in_mid_answer_fails_over_at_once() -> None:
    broken = Script([(0.1, "word"), (0.1, "word")], error=ConnectionResetError())
    name, decision = await ask(over(ScriptedModel("a", broken), ScriptedModel("b", answers(first_after=0.2))))
    assert (name, decision.reason) == ("b", "error")
    assert decision.attempts[0].output_tokens == 2
    assert decision.latency_ms == 200 + 290


@virtual_time
async def test_primary_over_the_budget_is_not_called() -> None:
    model = over(ScriptedModel("a", silent()), ScriptedModel("b", answers(first_after=0.2)))
    model._asked_ms["primary"] = 1_000_000
    teach(model, "a", ttft=3_000, total=9_000)
    teach(model, "b", ttft=200, total=300)
    name, decision = await ask(model, LatencyBudget(total_ms=5_000))
    assert (name, decision.reason) == ("b", "budget")
    assert (decision.primary_p95_ms, decision.fallback_p95_ms, decision.budget_ms) == (9_000, 300, 4_700)
    assert [attempt.role for attempt in decision.attempts] == ["fallback"]


@virtual_time
async def test_primary_with_an_open_breaker_is_not_called() -> None:
    primary, fallback = ScriptedModel("a", fails(ConnectionError())), ScriptedModel("b", answers(first_after=0.1))
    model = over(primary, fallback)
    reasons = [(await ask(model))[1].reason for _ in range(11)]
    assert reasons == ["error"] * 10 + ["breaker"]
    assert primary.calls == 10


@virtual_time
async def test_slow_successes_open_the_breaker() -> None:
    policy = POLICY.model_copy(update={"breaker": POLICY.breaker.model_copy(update={"slow_ms": 500, "min_calls": 3})})
    model = over(ScriptedModel("a", answers(first_after=0.9)), ScriptedModel("b", answers(first_after=0.1)), policy)
    reasons = [(await ask(model))[1].reason for _ in range(4)]
    assert reasons == ["primary"] * 3 + ["breaker"]


@virtual_time
async def test_recovered_primary_is_detected_by_a_probe_and_used_again() -> None:
    primary = ScriptedModel("a", *[fails(ConnectionError())] * 10, answers(first_after=0.1))
    model = over(primary, ScriptedModel("b", answers(first_after=0.1)))
    for _ in range(10):
        await ask(model)
    assert model.breakers["primary"].state(model._now_ms()) == "open"
    seen: list[str] = []
    while len(seen) < 500 and model.breakers["primary"].state(model._now_ms()) != "closed":
        seen.append((await ask(model))[1].reason)
    assert seen[-2:] == ["primary", "primary"]
    assert set(seen[:-2]) == {"breaker"}


@virtual_time
async def test_invalid_request_is_raised_and_not_sent_to_fallback() -> None:
    rejection = ModelHTTPError.for_category(ModelRequestRejectedError, status_code=400, model_name="a")
    fallback = ScriptedModel("b", answers(first_after=0.1))
    model = over(ScriptedModel("a", fails(rejection)), fallback)
    with pytest.raises(ModelHTTPError) as raised, model.budget(LatencyBudget(total_ms=9_000)) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    assert raised.value is rejection
    assert fallback.calls == 0
    assert record.decisions[0].result == "failed"
    assert record.decisions[0].attempts[0].outcome == "rejected"


@virtual_time
async def test_internal_defect_is_raised_without_the_fallback() -> None:
    fallback = ScriptedModel("b", answers(first_after=0.1))
    with pytest.raises(KeyError):
        await ask(over(ScriptedModel("a", fails(KeyError("field"))), fallback))
    assert fallback.calls == 0


@virtual_time
async def test_both_models_failing_raises_both_causes_and_the_decision() -> None:
    first, second = throttled(), ConnectionResetError("gone")
    model = over(ScriptedModel("a", fails(first)), ScriptedModel("b", fails(second)))
    with pytest.raises(AllModelsFailed) as raised, model.budget(LatencyBudget(total_ms=9_000)) as record:
        await model.request(PROMPT, None, NO_TOOLS)
    assert raised.value.causes == (first, second)
    assert raised.value.__cause__ is second
    assert raised.value.retryable
    assert record.decisions == [raised.value.decision]
    assert [a.outcome for a in raised.value.decision.attempts] == ["throttled", "error"]
    assert "secret" not in str(raised.value) + raised.value.decision.model_dump_json()


@virtual_time
async def test_exhausted_budget_cuts_both_models_and_fails_in_time() -> None:
    primary, fallback = ScriptedModel("a", silent()), ScriptedModel("b", silent())
    model = over(primary, fallback)
    with pytest.raises(AllModelsFailed) as raised, model.budget(LatencyBudget(total_ms=3_000)):
        await model.request(PROMPT, None, NO_TOOLS)
    assert raised.value.decision.latency_ms == 3_000
    assert [a.outcome for a in raised.value.decision.attempts] == ["abandoned", "abandoned"]


@virtual_time
async def test_shared_budget_used_up_by_one_call_leaves_the_next_without_attempts() -> None:
    primary = ScriptedModel("a", answers(first_after=0.91))
    model = over(primary, None)
    with model.budget(LatencyBudget(total_ms=1_000)) as record:
        await model.request(PROMPT, None, NO_TOOLS)
        with pytest.raises(AllModelsFailed):
            await model.request(PROMPT, None, NO_TOOLS)
    assert [d.total_ms for d in record.decisions] == [1_000, 0]
    assert [len(d.attempts) for d in record.decisions] == [1, 0]
    assert primary.calls == 1


@virtual_time
async def test_single_model_gets_the_whole_time() -> None:
    name, decision = await ask(over(ScriptedModel("a", answers(first_after=15.0)), None))
    assert (name, decision.reason, decision.latency_ms) == ("a", "primary", 15_090)


@virtual_time
async def test_fallback_called_first_fails_over_to_the_primary() -> None:
    model = over(ScriptedModel("a", answers(first_after=0.1)), ScriptedModel("b", fails(ConnectionError())))
    model.breakers["primary"].hold(1_000_000, 60_000)
    name, decision = await ask(model)
    assert (name, decision.reason, decision.role) == ("a", "error", "primary")


@virtual_time
async def test_usage_is_the_vendors_or_estimated_if_missing() -> None:
    nothing = RequestUsage()
    _, decision = await ask(over(ScriptedModel("a", answers(first_after=0.1, tokens=6, usage=nothing)), None))
    assert decision.attempts[0].tokens_source == "estimated"
    assert decision.output_tokens == 6
    assert decision.input_tokens == decision.prompt_tokens == 7


@virtual_time
async def test_decision_record_has_integers_and_strings_only() -> None:
    _, decision = await ask(over(ScriptedModel("a", silent()), ScriptedModel("b", answers(first_after=0.2))))

    def leaves(value: object) -> list[object]:
        match value:
            case dict():
                return [leaf for item in value.values() for leaf in leaves(item)]
            case list():
                return [leaf for item in value for leaf in leaves(item)]
            case _:
                return [value]

    assert {type(leaf) for leaf in leaves(decision.model_dump(mode="json"))} <= {int, str, type(None)}
    assert FailoverDecision.model_validate_json(decision.model_dump_json()) == decision


@virtual_time
async def test_call_outside_a_scope_has_the_policys_budget() -> None:
    model = over(ScriptedModel("a", silent()), None, POLICY.model_copy(update={"default_total_ms": 500}))
    with pytest.raises(AllModelsFailed) as raised:
        await model.request(PROMPT, None, NO_TOOLS)
    assert raised.value.decision.latency_ms == 500


def test_new_record_has_no_decisions() -> None:
    assert BudgetRecord().decisions == []
