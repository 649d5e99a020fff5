from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from latency_failover import FailoverPolicy
from latency_failover.call_plan import CallPlan
from latency_failover.race_steps import (
    AbandonAttempt,
    AbandonCall,
    AttemptProgress,
    KeepWaiting,
    RaceView,
    SettleOnWinner,
    StartHedge,
    next_step,
    projected_ms,
)
from latency_failover.records import ModelRole
from latency_failover.statistics import Expectation

POLICY = FailoverPolicy(check_every_ms=100, stall_ms=2_000)
PLAN = CallPlan(
    first="primary",
    second="fallback",
    reason="primary",
    hard_ms=10_000,
    budget_ms=7_000,
    due_ms=7_000,
    reserve_ms=3_000,
    ttft_limit_ms=2_000,
    hedge_after_ms=800,
)
EXPECTED: dict[ModelRole, Expectation] = {
    "primary": Expectation(total_p50_ms=3_000, output_p50=100, output_p95=300, us_per_token_p50=20_000),
    "fallback": Expectation(total_p50_ms=2_000, output_p50=100, output_p95=300, us_per_token_p50=10_000),
}
SILENT = AttemptProgress("primary", started_ms=0)


def view(now: int, *running: AttemptProgress, **changes: bool) -> RaceView:
    made = RaceView(
        now_ms=now, running=running, second_available=True, hedge_available=True, committed=False, expected=EXPECTED
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def streaming(
    now: int, tokens: int, pace_us: int | None, role: ModelRole = "primary", last: int | None = None
) -> AttemptProgress:
    last_token = now if last is None else last
    return AttemptProgress(role, 0, first_token_ms=500, last_token_ms=last_token, tokens=tokens, us_per_token=pace_us)


def test_silent_primary_is_awaited_until_the_hedge_is_due() -> None:
    assert next_step(POLICY, PLAN, view(0, SILENT)) == KeepWaiting(800)
    assert next_step(POLICY, PLAN, view(799, SILENT)) == KeepWaiting(800)


def test_hedge_is_started_when_due_and_available() -> None:
    assert next_step(POLICY, PLAN, view(800, SILENT)) == StartHedge()
    assert next_step(POLICY, PLAN, view(800, SILENT, hedge_available=False)) == KeepWaiting(2_000)


def test_silent_primary_past_its_limit_is_abandoned() -> None:
    assert next_step(POLICY, PLAN, view(2_000, SILENT, hedge_available=False)) == AbandonAttempt("primary", "ttft")


def test_silent_primary_without_an_alternative_is_awaited_to_the_end() -> None:
    assert next_step(POLICY, PLAN, view(5_000, SILENT, second_available=False)) == KeepWaiting(10_000)


def test_silent_primary_is_kept_when_fallback_would_miss_deadline() -> None:
    assert next_step(POLICY, PLAN, view(8_000, SILENT, hedge_available=False)) == AbandonAttempt("primary", "ttft")
    assert next_step(POLICY, PLAN, view(8_001, SILENT, hedge_available=False)) == KeepWaiting(10_000)


def test_race_ends_at_the_hard_limit() -> None:
    assert next_step(POLICY, PLAN, view(10_000, SILENT)) == AbandonCall()
    assert next_step(POLICY, PLAN, view(10_000, streaming(10_000, 99, 1), committed=True)) == AbandonCall()


def test_stream_on_time_is_checked_again_soon() -> None:
    assert next_step(POLICY, PLAN, view(1_000, streaming(1_000, 50, 20_000))) == KeepWaiting(1_100)


def test_slow_stream_is_abandoned_for_faster_model() -> None:
    # 90 tokens to go at 100 ms each: done at 10,000, and the answer is wanted by 7,000.
    assert next_step(POLICY, PLAN, view(1_000, streaming(1_000, 10, 100_000))) == AbandonAttempt("primary", "projected")


def test_late_stream_is_kept_if_the_fallback_would_be_later() -> None:
    # Done at 8,100, late for 7,000; the fallback, started now, would need until 8,500.
    assert next_step(POLICY, PLAN, view(6_500, streaming(6_500, 84, 100_000))) == KeepWaiting(6_600)


def test_stalled_stream_is_abandoned_while_fallback_can_answer() -> None:
    stalled = streaming(0, 50, 20_000, last=1_000)
    assert next_step(POLICY, PLAN, view(2_999, stalled)) == KeepWaiting(3_099)
    assert next_step(POLICY, PLAN, view(3_000, stalled)) == AbandonAttempt("primary", "projected")
    assert next_step(POLICY, PLAN, view(8_001, stalled)) == KeepWaiting(8_101), (
        "too late for the fallback: hope for the rest"
    )


def test_first_model_with_a_token_wins() -> None:
    hedge = AttemptProgress("fallback", started_ms=800)
    assert next_step(POLICY, PLAN, view(900, streaming(900, 1, None), hedge)) == SettleOnWinner("primary")
    spoken = AttemptProgress("fallback", 800, first_token_ms=900, last_token_ms=900, tokens=1)
    assert next_step(POLICY, PLAN, view(900, SILENT, spoken)) == SettleOnWinner("fallback")


def test_two_streaming_models_settle_on_the_sooner_finish() -> None:
    both = (streaming(900, 1, 20_000), streaming(900, 1, 10_000, "fallback"))
    assert next_step(POLICY, PLAN, view(900, *both)) == SettleOnWinner("fallback")
    equal = (streaming(900, 1, 10_000), streaming(900, 1, 10_000, "fallback"))
    assert next_step(POLICY, PLAN, view(900, *equal)) == SettleOnWinner("primary")


def test_primary_limit_holds_while_hedge_runs() -> None:
    hedge = AttemptProgress("fallback", started_ms=800)
    assert next_step(POLICY, PLAN, view(1_000, SILENT, hedge)) == KeepWaiting(2_000)
    assert next_step(POLICY, PLAN, view(2_000, SILENT, hedge)) == AbandonAttempt("primary", "ttft")


def test_committed_stream_is_stopped_by_the_budget_only() -> None:
    stalled = streaming(0, 50, 20_000, last=1_000)
    assert next_step(POLICY, PLAN, view(9_000, stalled, committed=True)) == KeepWaiting(10_000)


def test_projection_of_an_answer_over_the_median_assumes_a_long_one() -> None:
    assert projected_ms(POLICY, view(1_000), streaming(1_000, 50, 10_000)) == 1_500
    assert projected_ms(POLICY, view(1_000), streaming(1_000, 150, 10_000)) == 2_500
    assert projected_ms(POLICY, view(1_000), streaming(1_000, 400, 10_000)) == 1_000
    assert projected_ms(POLICY, view(1_000), streaming(1_000, 50, None)) == 2_000, "the learned pace"
    assert projected_ms(POLICY, view(1_000), SILENT) is None


@given(
    now=st.integers(0, 12_000),
    tokens=st.integers(1, 500),
    pace=st.none() | st.integers(1, 500_000),
    last=st.integers(0, 12_000),
    speaking=st.booleans(),
    free=st.booleans(),
)
def test_race_step_makes_progress_within_hard_limit(
    now: int, tokens: int, pace: int | None, last: int, speaking: bool, free: bool
) -> None:
    running = streaming(now, tokens, pace, last=min(last, now)) if speaking else SILENT
    step = next_step(POLICY, PLAN, view(now, running, second_available=free, hedge_available=free))
    if now >= PLAN.hard_ms:
        assert step == AbandonCall()
    elif isinstance(step, KeepWaiting):
        assert now < step.until_ms <= PLAN.hard_ms
    else:
        assert free, "without an alternative there is nothing to do but wait"
