"""The whole policy under the weather it is made for: hundreds of calls in virtual time, against the ideal.

The ideal knows beforehand which of the two models will be done first, and asks only that one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError

from latency_failover import (
    FailoverDecision,
    FailoverModel,
    FailoverPolicy,
    LatencyBudget,
    LatencyStats,
    find_contradictions,
)
from latency_failover.statistics import quantile
from tests.unit.latency_failover.scripted import FOR_EVER, NO_TOOLS, PROMPT, Script, ScriptedModel, answers, fails
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time

CALLS = 400
TOKENS = 25
EVERY_S = 0.08
BUDGET_MS = 15_000
HEALTHY_FALLBACK = (0.9, 0.15)
DIFFERENCE_MS = 400
"""By how much a healthy fallback is slower than a healthy primary."""

Weather = Callable[[random.Random, int], Script]


@dataclass(frozen=True)
class Report:
    """What a spell of weather cost. Added latency is over the ideal; times in milliseconds."""

    decisions: list[FailoverDecision]
    added_p50: int
    added_p95: int
    extra_tokens_percent: int
    wrong_abandons: int

    def reasons(self, *reasons: str) -> int:
        return sum(decision.reason in reasons for decision in self.decisions)


def healthy(rng: random.Random, first_after: float = 0.6, spread: float = 0.1) -> Script:
    return answers(first_after=first_after * rng.lognormvariate(0, spread), tokens=TOKENS, every=EVERY_S)


def duration_ms(script: Script) -> float:
    """How long the script would have taken, without a cut."""
    if script.error is not None:
        return float("inf")
    return 1_000 * (script.opens_after + sum(delay for delay, _ in script.chunks))


async def weather(primary: Weather) -> Report:
    rng = random.Random(20260101)
    ours = [primary(rng, call) for call in range(CALLS)]
    theirs = [healthy(rng, *HEALTHY_FALLBACK) for _ in range(CALLS)]
    first, second = ScriptedModel("a"), ScriptedModel("b")
    model = FailoverModel(first, second, policy=FailoverPolicy(), stats=LatencyStats(), clock=VirtualClock())
    decisions: list[FailoverDecision] = []
    added: list[int] = []
    wrong = 0
    for mine, other in zip(ours, theirs, strict=True):
        first.scripts, second.scripts = [mine], [other]
        with model.budget(LatencyBudget(total_ms=BUDGET_MS)) as record:
            await model.request(PROMPT, None, NO_TOOLS)
        (decision,) = record.decisions
        decisions.append(decision)
        assert find_contradictions(decision) == ()
        added.append(round(decision.latency_ms - min(duration_ms(mine), duration_ms(other))))
        abandoned = any(a.role == "primary" and a.outcome == "abandoned" for a in decision.attempts)
        wrong += abandoned and duration_ms(mine) <= decision.latency_ms
    added.sort()
    useful = sum(decision.input_tokens + decision.output_tokens for decision in decisions)
    extra = 100 * sum(decision.loser_tokens for decision in decisions) // useful
    return Report(decisions, quantile(added, 5_000), quantile(added, 9_500), extra, wrong)


def steady(rng: random.Random, call: int) -> Script:
    return healthy(rng)


def bimodal(rng: random.Random, call: int) -> Script:
    """One call in eight is slow to start."""
    return healthy(rng, 6.0) if rng.random() < 0.125 else healthy(rng)


def stalling(rng: random.Random, call: int) -> Script:
    """One call in ten stops in the middle of its answer, for good."""
    script = healthy(rng)
    return Script([*script.chunks[:10], (FOR_EVER, "never")]) if rng.random() < 0.1 else script


def storm(rng: random.Random, call: int) -> Script:
    """A hundred calls in the middle are throttled, nine in ten."""
    if 150 <= call < 250 and rng.random() < 0.9:
        return fails(ModelHTTPError.for_category(ModelRateLimitError, status_code=429, model_name="a"), after=0.05)
    return healthy(rng)


def outage(rng: random.Random, call: int) -> Script:
    """A hundred calls in the middle get no answer at all."""
    return Script(opens_after=FOR_EVER) if 150 <= call < 250 else healthy(rng)


@virtual_time
async def test_steady_primary_answers_all_calls() -> None:
    report = await weather(steady)
    assert report.reasons("primary") == CALLS
    assert (report.added_p95, report.extra_tokens_percent, report.wrong_abandons) == (0, 0, 0)


@virtual_time
async def test_slow_starting_primary_is_abandoned_for_a_faster_fallback() -> None:
    report = await weather(bimodal)
    assert report.reasons("breaker") > CALLS / 2, "one call in eight is more than the objective allows"
    assert report.added_p50 < DIFFERENCE_MS
    assert report.wrong_abandons == 0
    assert max(decision.latency_ms for decision in report.decisions) < 7_500, "the slow mode alone takes 8,000"


@virtual_time
async def test_stalled_streams_cost_the_stall_limit_only() -> None:
    report = await weather(stalling)
    limit = 1_000 * EVERY_S * TOKENS + FailoverPolicy().stall_ms
    assert 0 < report.added_p95 < limit
    assert report.reasons("projected") > 0
    assert report.added_p50 < DIFFERENCE_MS
    assert report.wrong_abandons == 0


@virtual_time
async def test_throttling_storm_and_its_end_are_detected_after_a_few_calls() -> None:
    report = await weather(storm)
    assert report.reasons("throttled") <= FailoverPolicy().breaker.min_calls + 5
    assert [decision.reason for decision in report.decisions[300:]] == ["primary"] * 100
    assert report.added_p95 < 500


@virtual_time
async def test_outage_and_its_end_are_detected_after_a_few_calls() -> None:
    report = await weather(outage)
    assert report.reasons("ttft", "hedge_win") <= FailoverPolicy().breaker.min_calls + 5
    assert [decision.reason for decision in report.decisions[300:]] == ["primary"] * 100
    assert report.added_p95 < 500
    assert max(decision.latency_ms for decision in report.decisions) < BUDGET_MS / 2
