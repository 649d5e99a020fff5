"""What the failover bench counts, and what it claims."""

from __future__ import annotations

import pytest

from bench.failover.contenders import OURS
from bench.failover.report import FailoverBenchRun as BenchRun
from bench.failover.report import failover_markdown
from bench.failover.score import (
    LatencyFigures,
    ScenarioOutcome,
    ServedRequest,
    build_outcome,
    failed_claims,
    score_with_costs,
)
from bench.failover.trace import NO_ANSWER_MS, PROMPT_TOKENS, SCENARIOS, Scenario, TracedCall, build_trace, duration_ms
from bench.failover.virtual import replay_virtually
from switchyard.devstack.simulators.models.plan import FailureResponse, ResponsePlan

QUICK, SLOW = ResponsePlan(100, 100), ResponsePlan(5_000, 100)


def call(number: int, primary: ResponsePlan = QUICK, *, budget_ms: int = 3_000) -> TracedCall:
    return TracedCall(
        number=number, at_ms=0, tokens=11, budget_ms=budget_ms, primary=primary, fallback=ResponsePlan(400, 100)
    )


def test_call_latency_lasts_to_last_token_or_read_timeout() -> None:
    assert duration_ms(QUICK, 11) == 200
    assert duration_ms(ResponsePlan(failure=FailureResponse(503)), 11) == NO_ANSWER_MS
    assert duration_ms(ResponsePlan(100, 100, stall_after_tokens=3), 11) == NO_ANSWER_MS
    assert call(0, SLOW).best_ms == 500, "the fallback's"


def test_trace_is_deterministic_and_prefix_stable() -> None:
    for scenario in SCENARIOS:
        assert build_trace(scenario, 50) == build_trace(scenario, 80)[:50]


def test_served_request_without_answer_is_extra_and_rejected_one_is_free() -> None:
    calls = [call(0), call(1, SLOW), call(2, QUICK)]
    served = [
        ServedRequest(0, "primary", finished=True, tokens=11),
        ServedRequest(1, "primary", tokens=0),
        ServedRequest(1, "fallback", finished=True, tokens=11),
        ServedRequest(2, "primary", rejected=True),
        ServedRequest(2, "fallback", finished=True, tokens=11),
    ]
    figures = score_with_costs([200, 1_500, 500], calls, served, [])
    assert figures.extra_calls == pytest.approx(33.33)
    assert figures.extra_tokens == round(100 * PROMPT_TOKENS / (3 * (PROMPT_TOKENS + 11)), 2)
    assert figures.wrong_abandons == 0


def test_call_cut_before_faster_finish_counts_as_wrong_abandon() -> None:
    served = [ServedRequest(0, "primary", tokens=5), ServedRequest(0, "fallback", finished=True, tokens=11)]
    assert score_with_costs([900], [call(0)], served, []).wrong_abandons == 1


def test_call_without_answer_misses_deadline_and_counts_as_longest() -> None:
    figures = score_with_costs([200, NO_ANSWER_MS], [call(0), call(1, budget_ms=12_000)], [], [])
    assert (figures.deadlines_met, figures.max_ms) == (50.0, NO_ANSWER_MS)


def outcome(ours: LatencyFigures, other: LatencyFigures, *, faulty: bool = True) -> ScenarioOutcome:
    return ScenarioOutcome(
        scenario="s",
        description="t",
        faulty=faulty,
        calls=1,
        oracle=other,
        allowed_p99_ms=1_000,
        contenders={"primary only": other, OURS: ours},
    )


GOOD = LatencyFigures(p50_ms=1, p95_ms=2, p99_ms=3, max_ms=4, deadlines_met=99, extra_calls=0)


@pytest.mark.parametrize(
    ("changed", "faulty", "claim"),
    [
        ({}, True, None),
        ({}, False, None),
        ({"p95_ms": 3}, False, "nothing is wrong"),
        ({"extra_calls": 0.1}, False, "nothing is wrong"),
        ({"deadlines_met": 98}, True, "primary only meets more deadlines"),
        ({"extra_calls": 5.1}, True, "extra calls"),
        ({"p99_ms": 1_001}, True, "P99"),
    ],
)
def test_claim_contradicted_by_the_figures_is_reported(
    changed: dict[str, float], faulty: bool, claim: str | None
) -> None:
    found = list(failed_claims(outcome(GOOD.model_copy(update=changed), GOOD, faulty=faulty)))
    assert [claim in each for each in found] == [True] if claim else found == []


def test_report_shows_all_contenders() -> None:
    shown = failover_markdown(BenchRun(virtual=[outcome(GOOD, GOOD)]))
    assert f"| P99 ms/met %/extra % | oracle | primary only | {OURS} |" in shown
    assert "| 3/99/0 | 3/99/0 |" in shown


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_policy_defaults_keep_the_benchs_claims(scenario: Scenario) -> None:
    found = {name: replay_virtually(scenario, name) for name in ("primary only", "fixed 2 s", OURS)}
    assert list(failed_claims(build_outcome(scenario, build_trace(scenario), found))) == []
