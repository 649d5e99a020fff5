"""What the failover bench counts, and what it claims."""

from __future__ import annotations

import pytest

from bench.failover.playing import Served
from bench.failover.report import Outcome, broken, markdown
from bench.failover.report import Run as BenchRun
from bench.failover.score import Figures, allowed_p99_ms, oracle, with_books
from bench.failover.trace import LOST_MS, PROMPT_TOKENS, Call, Scenario, duration_ms, scenarios, trace
from bench.failover.virtual import OURS, builders, replay
from switchyard.devstack.simulators.models.plan import Failure, Plan

QUICK, SLOW = Plan(100, 100), Plan(5_000, 100)


def call(number: int, primary: Plan = QUICK, *, budget_ms: int = 3_000) -> Call:
    return Call(number=number, at_ms=0, tokens=11, budget_ms=budget_ms, primary=primary, fallback=Plan(400, 100))


def test_a_call_takes_until_its_last_token_and_one_without_an_answer_takes_a_read_timeout() -> None:
    assert duration_ms(QUICK, 11) == 200
    assert duration_ms(Plan(failure=Failure(503)), 11) == LOST_MS
    assert duration_ms(Plan(100, 100, stall_after_tokens=3), 11) == LOST_MS
    assert call(0, SLOW).best_ms == 500, "the fallback's"


def test_a_trace_is_the_same_every_time_and_begins_alike_whatever_its_length() -> None:
    for scenario in scenarios():
        assert trace(scenario, 50) == trace(scenario, 80)[:50]


def test_what_was_served_and_gave_no_answer_is_extra_and_refusals_are_free() -> None:
    calls = [call(0), call(1, SLOW), call(2, QUICK)]
    served = [
        Served(0, "primary", finished=True, tokens=11),
        Served(1, "primary", tokens=0),
        Served(1, "fallback", finished=True, tokens=11),
        Served(2, "primary", refused=True),
        Served(2, "fallback", finished=True, tokens=11),
    ]
    figures = with_books([200, 1_500, 500], calls, served, {})
    assert figures.extra_calls == pytest.approx(33.33)
    assert figures.extra_tokens == round(100 * PROMPT_TOKENS / (3 * (PROMPT_TOKENS + 11)), 2)
    assert figures.wrong_abandons == 0


def test_a_call_cut_although_it_would_have_been_done_sooner_is_a_wrong_abandon() -> None:
    served = [Served(0, "primary", tokens=5), Served(0, "fallback", finished=True, tokens=11)]
    assert with_books([900], [call(0)], served, {}).wrong_abandons == 1


def test_a_call_without_an_answer_misses_its_deadline_and_counts_as_the_longest() -> None:
    figures = with_books([200, LOST_MS], [call(0), call(1, budget_ms=12_000)], [], {})
    assert (figures.deadlines_met, figures.max_ms) == (50.0, LOST_MS)


def outcome(ours: Figures, other: Figures, *, faulty: bool = True) -> Outcome:
    return Outcome(
        scenario="s",
        told="t",
        faulty=faulty,
        calls=1,
        oracle=other,
        detection_ms=0,
        allowed_p99_ms=1_000,
        contenders={"primary only": other, OURS: ours},
    )


GOOD = Figures(p50_ms=1, p95_ms=2, p99_ms=3, max_ms=4, deadlines_met=99, extra_calls=0)


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
def test_a_claim_that_the_figures_do_not_bear_out_is_told(
    changed: dict[str, float], faulty: bool, claim: str | None
) -> None:
    found = list(broken(outcome(GOOD.model_copy(update=changed), GOOD, faulty=faulty)))
    assert [claim in each for each in found] == [True] if claim else found == []


def test_the_report_shows_every_contender() -> None:
    shown = markdown(BenchRun(virtual=[outcome(GOOD, GOOD)]))
    assert "| primary only | 1 | 2 | 3 | 4 | 99 % |" in shown
    assert f"| **{OURS}** |" in shown


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each.name)
def test_the_policys_defaults_keep_what_the_bench_claims(scenario: Scenario) -> None:
    ideal = oracle(trace(scenario))
    found = {name: replay(scenario, builders()[name]) for name in ("primary only", "fixed 2 s", OURS)}
    made = Outcome(
        scenario=scenario.name,
        told=scenario.told,
        faulty=scenario.faulty,
        calls=len(trace(scenario)),
        oracle=ideal,
        detection_ms=scenario.detection_ms,
        allowed_p99_ms=allowed_p99_ms(scenario, ideal),
        contenders=found,
    )
    assert list(broken(made)) == []
