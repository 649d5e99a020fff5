"""Plans and named distributions, in virtual time."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.devstack.simulators.models.plan import Behaviour, FailureResponse, ResponsePlan, reply_timeline

EVERY_NAME = ["steady", "bimodal", "slow_drip", "stall_after_tokens", "throttling_storm", "outage", "recovery"]

plans = st.builds(
    ResponsePlan,
    first_token_ms=st.floats(0, 5000),
    tokens_per_second=st.none() | st.floats(0.5, 5000),
    stall=st.booleans(),
    stall_after_tokens=st.none() | st.integers(0, 300),
    failure=st.none() | st.just(FailureResponse(503)),
    error_after_tokens=st.none() | st.integers(0, 300),
)


@given(plans, st.integers(0, 300))
def test_timeline_is_monotonic_and_ends_once(plan: ResponsePlan, tokens: int) -> None:
    steps = list(reply_timeline(plan, tokens))
    assert [step.end is not None for step in steps] == [False] * (len(steps) - 1) + [True]
    assert [step.at_ms for step in steps] == sorted(step.at_ms for step in steps)
    assert sum(step.tokens for step in steps) <= tokens


@given(plans, st.integers(0, 300))
def test_completed_reply_was_sent_whole(plan: ResponsePlan, tokens: int) -> None:
    *before, last = reply_timeline(plan, tokens)
    if last.end == "done":
        assert sum(step.tokens for step in before) == tokens


def test_tokens_after_the_first_have_the_planned_rate() -> None:
    steps = list(reply_timeline(ResponsePlan(first_token_ms=1000, tokens_per_second=10), 4))
    assert [(step.at_ms, step.tokens) for step in steps] == [(1000, 1), (1100, 1), (1200, 1), (1300, 1), (1300, 0)]


def test_stream_stalls_after_its_number_of_tokens() -> None:
    *sent, last = reply_timeline(ResponsePlan(tokens_per_second=1000, stall_after_tokens=7), 50)
    assert (sum(step.tokens for step in sent), last.end) == (7, "stall")


def test_fault_beyond_the_end_of_the_reply_has_no_effect() -> None:
    assert list(reply_timeline(ResponsePlan(stall_after_tokens=8), 7))[-1].end == "done"


@pytest.mark.parametrize("name", EVERY_NAME)
def test_plan_of_a_call_is_deterministic_per_seed(name: str) -> None:
    def read(seed: int) -> list[ResponsePlan]:
        behaviour = Behaviour.model_validate({"name": name, "seed": seed})
        return [behaviour.plan(call) for call in range(200)]

    assert read(1) == read(1)
    assert read(1) != read(2)


def test_steady_service_keeps_its_median_and_its_tail() -> None:
    times = sorted(Behaviour(name="steady", seed=3).plan(call).first_token_ms for call in range(4000))
    assert statistics.median(times) == pytest.approx(400, rel=0.05)
    assert times[3800] == pytest.approx(600, rel=0.1)


def test_bimodal_service_is_slow_for_its_share_of_calls() -> None:
    slow = [Behaviour(name="bimodal", seed=3).plan(call).first_token_ms > 2000 for call in range(4000)]
    assert statistics.mean(slow) == pytest.approx(0.1, abs=0.02)


def test_slow_drip_starts_on_time_and_continues_slowly() -> None:
    dripping = [
        plan
        for call in range(400)
        if (plan := Behaviour(name="slow_drip", share=0.3).plan(call)).tokens_per_second == 4
    ]
    assert len(dripping) == pytest.approx(120, abs=40)
    assert statistics.median(plan.first_token_ms for plan in dripping) < 500


def test_stalling_service_stalls_its_share_of_streams() -> None:
    stalled = [
        Behaviour(name="stall_after_tokens", tokens=5).plan(call).stall_after_tokens == 5 for call in range(2000)
    ]
    assert statistics.mean(stalled) == pytest.approx(0.1, abs=0.03)


def test_throttling_storm_ends_and_returns() -> None:
    refused = [
        Behaviour(name="throttling_storm", share=0.9, every=60, lasts=20).plan(call).failure is not None
        for call in range(120)
    ]
    assert sum(refused[:20]) >= 14
    assert not any(refused[20:60])
    assert sum(refused[60:80]) >= 14


def test_outage_has_its_start_and_end() -> None:
    down = [
        Behaviour(name="outage", starts_at=5, lasts=3).plan(call).failure == FailureResponse(503) for call in range(12)
    ]
    assert down == [False] * 5 + [True] * 3 + [False] * 4


def test_recovering_service_gets_faster_per_call() -> None:
    recovery = Behaviour(name="recovery", lasts=2, climbing=4, jitter=0, first_token_ms=400, slow_first_token_ms=8400)
    calls = [recovery.plan(call) for call in range(8)]
    assert [plan.failure is not None for plan in calls] == [True] * 2 + [False] * 6
    assert [plan.first_token_ms for plan in calls[2:]] == [8400, 6400, 4400, 2400, 400, 400]
