from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_failover import FailoverPolicy, LatencyBudget, ModelAttempt
from latency_failover.breaker import BreakerState
from latency_failover.call_plan import CallPlan, ModelState, plan_call
from latency_failover.records import AttemptOutcome, ModelRole
from latency_failover.statistics import Expectation

POLICY = FailoverPolicy(
    cold_ttft_ms=2_000,
    cold_reserve_ms=3_000,
    ttft_patience=4,
    ttft_floor_ms=500,
    hedge_min_ms=100,
    probe_every_ms=30_000,
)


def known(*, ttft_p50: int = 200, ttft_p95: int = 400, total_p50: int = 2_000, total_p95: int = 3_000) -> Expectation:
    return Expectation(
        ttft_p50_ms=ttft_p50,
        ttft_p95_ms=ttft_p95,
        total_p50_ms=total_p50,
        total_p95_ms=total_p95,
        output_p50=100,
        output_p95=200,
        us_per_token_p50=10_000,
    )


HEALTHY = ModelState(known())


def plan(
    *,
    total: int = 20_000,
    primary: ModelState | None = HEALTHY,
    fallback: ModelState | None = HEALTHY,
    spent: int = 0,
    policy: FailoverPolicy = POLICY,
    **budget: Any,
) -> CallPlan:
    return plan_call(
        policy, LatencyBudget(total_ms=total, **budget), spent_ms=spent, primary=primary, fallback=fallback
    )


def earlier(role: ModelRole, outcome: AttemptOutcome) -> ModelAttempt:
    return ModelAttempt(vendor="v", model_id=role, role=role, started_ms=0, ended_ms=1, outcome=outcome)


def test_primary_share_leaves_later_steps_and_fallback_p95() -> None:
    made = plan(total=20_000, remaining_nodes_p95_ms=4_000, spent=1_000)
    assert (made.first, made.reason) == ("primary", "primary")
    assert made.reserve_ms == 3_000
    assert made.budget_ms == 20_000 - 1_000 - 4_000 - 3_000
    assert made.hard_ms == 19_000


def test_callers_reserve_overrides_the_learned_one() -> None:
    assert plan(reserve_ms=7_000).budget_ms == 13_000


def test_unknown_fallback_reserves_a_guess_of_at_most_half() -> None:
    assert plan(fallback=ModelState(Expectation())).reserve_ms == 3_000
    assert plan(fallback=ModelState(Expectation()), total=4_000).reserve_ms == 2_000


def test_primary_with_a_p95_over_the_budget_is_skipped() -> None:
    made = plan(
        total=5_000, primary=ModelState(known(total_p95=4_000), idle_ms=10), fallback=ModelState(known(total_p95=1_500))
    )
    assert (made.first, made.reason) == ("fallback", "budget")


def test_primary_over_budget_is_called_if_the_fallback_is_no_faster() -> None:
    made = plan(
        total=5_000, primary=ModelState(known(total_p95=4_000), idle_ms=10), fallback=ModelState(known(total_p95=4_000))
    )
    assert made.first == "primary"


def test_skipped_primary_is_probed_to_refresh_statistics() -> None:
    slow, quick = known(total_p95=4_000), ModelState(known(total_p95=1_500))
    assert plan(total=5_000, primary=ModelState(slow, idle_ms=29_999), fallback=quick).first == "fallback"
    assert plan(total=5_000, primary=ModelState(slow, idle_ms=30_000), fallback=quick).first == "primary"


@pytest.mark.parametrize(
    ("primary", "fallback", "first", "reason"),
    [
        ("closed", "closed", "primary", "primary"),
        ("open", "closed", "fallback", "breaker"),
        ("half_open", "closed", "primary", "primary"),
        ("open", "half_open", "fallback", "breaker"),
        ("open", "open", "primary", "primary"),
        ("closed", "open", "primary", "primary"),
    ],
)
def test_breaker_states_choose_the_first_model(
    primary: BreakerState, fallback: BreakerState, first: ModelRole, reason: str
) -> None:
    made = plan(primary=ModelState(known(), primary), fallback=ModelState(known(), fallback))
    assert (made.first, made.reason) == (first, reason)


def test_slow_fallback_is_not_abandoned_for_a_primary_with_an_open_breaker() -> None:
    assert plan(primary=ModelState(known(), "open")).ttft_limit_ms is None


@pytest.mark.parametrize(
    ("outcome", "reason"), [("throttled", "throttled"), ("error", "error"), ("abandoned", "ttft"), ("lost", "primary")]
)
def test_model_failed_in_an_earlier_delivery_is_not_called_first(outcome: AttemptOutcome, reason: str) -> None:
    assert plan(earlier=(earlier("primary", outcome),)).reason == reason


def test_models_both_failed_earlier_start_afresh() -> None:
    made = plan(earlier=(earlier("primary", "error"), earlier("fallback", "error")))
    assert made.first == "primary"


def test_single_model_gets_the_whole_budget() -> None:
    made = plan(fallback=None)
    assert (made.second, made.budget_ms, made.ttft_limit_ms, made.hedge_after_ms) == (None, 20_000, None, None)


def test_primary_not_permitted_for_the_data_is_not_called() -> None:
    made = plan(primary=None)
    assert (made.first, made.second, made.reason) == ("fallback", None, "policy")


def test_plan_without_a_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a model"):
        plan(primary=None, fallback=None)


def test_first_token_limit_is_a_multiple_of_the_learned_p95() -> None:
    assert plan(primary=ModelState(known(ttft_p95=400))).ttft_limit_ms == 1_600
    assert plan(primary=ModelState(known(ttft_p95=300))).ttft_limit_ms == 1_200
    assert plan(primary=ModelState(known(ttft_p95=50))).ttft_limit_ms == 500


def test_first_token_limit_is_not_raised_by_abandoned_calls() -> None:
    assert plan(primary=ModelState(known(ttft_p50=200, ttft_p95=1_600))).ttft_limit_ms == 1_600


def test_first_token_limit_leaves_time_for_the_rest() -> None:
    slow = ModelState(known(ttft_p50=1_400, ttft_p95=3_000))
    assert plan(total=6_500, primary=slow).ttft_limit_ms == 6_500 - 3_000, "later, the fallback could not follow"
    assert plan(total=6_500, primary=slow, expected_output_tokens=320).ttft_limit_ms == 6_500 - 3_200


def test_late_model_called_anyway_is_abandoned_only_if_unhealthy() -> None:
    slow = known(total_p95=4_000)
    made = plan(total=4_300, primary=ModelState(slow, idle_ms=10), fallback=ModelState(slow))
    assert (made.first, made.due_ms, made.ttft_limit_ms) == ("primary", 300, 1_600)


def test_unknown_primary_gets_the_cold_limit() -> None:
    assert plan(primary=ModelState(Expectation())).ttft_limit_ms == 2_000


def test_hedge_is_due_at_the_learned_p95_before_the_limit() -> None:
    assert plan().hedge_after_ms == 400
    assert plan(primary=ModelState(known(ttft_p95=20))).hedge_after_ms == 100
    assert plan(primary=ModelState(Expectation())).hedge_after_ms is None
    assert plan(policy=POLICY.model_copy(update={"hedge": False})).hedge_after_ms is None
    assert plan(policy=POLICY.model_copy(update={"ttft_limit_ms": 399})).hedge_after_ms is None


times = st.integers(min_value=0, max_value=60_000)
expectations = st.builds(
    Expectation,
    ttft_p50_ms=st.none() | times,
    ttft_p95_ms=st.none() | times,
    total_p50_ms=st.none() | times,
    total_p95_ms=st.none() | times,
    output_p50=st.none() | st.integers(1, 4_000),
    us_per_token_p50=st.none() | st.integers(0, 200_000),
)
states: st.SearchStrategy[BreakerState] = st.sampled_from(["closed", "half_open", "open"])
sides = st.builds(ModelState, expectations, states, st.none() | times)


@given(
    primary=sides,
    fallback=st.none() | sides,
    total=st.integers(1, 60_000),
    spent=times,
    later=times,
    reserve=st.none() | times,
)
def test_plan_never_exceeds_the_budget(
    primary: ModelState, fallback: ModelState | None, total: int, spent: int, later: int, reserve: int | None
) -> None:
    budget = LatencyBudget(total_ms=total, remaining_nodes_p95_ms=later, reserve_ms=reserve)
    made = plan_call(POLICY, budget, spent_ms=spent, primary=primary, fallback=fallback)
    assert 0 <= made.hard_ms == max(0, total - spent)
    assert made.reserve_ms >= 0
    assert 0 <= made.due_ms <= made.hard_ms
    assert 0 <= made.budget_ms + made.reserve_ms <= made.hard_ms
    if made.ttft_limit_ms is not None:
        assert made.ttft_limit_ms >= 0
        assert made.hedge_after_ms is None or made.hedge_after_ms <= made.ttft_limit_ms
