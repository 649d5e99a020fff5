"""The figures of a contender over a trace, and the claims that they must bear out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from bench.failover.contenders import OURS
from bench.failover.trace import NO_ANSWER_MS, PROMPT_TOKENS, Scenario, TracedCall, duration_ms

MOST_EXTRA_PERCENT = 5.0


@dataclass
class ServedRequest:
    """One request to a model: whether it was rejected or finished, and how many tokens it streamed."""

    call: int
    role: str
    rejected: bool = False
    finished: bool = False
    tokens: int = 0


class LatencyFigures(BaseModel):
    """Latencies in ms, a call without an answer counted as `NO_ANSWER_MS`; shares in percent of the calls.

    `extra_calls`: requests that a model served and that gave no answer (rejected requests cost nothing).
    `extra_tokens`: what those read and wrote, against what the answers read and wrote.
    `wrong_abandons`: calls cut although they would have been done no later than the answer that came instead.
    """

    p50_ms: int
    p95_ms: int
    p99_ms: int
    max_ms: int
    deadlines_met: float
    extra_calls: float | None = None
    extra_tokens: float | None = None
    wrong_abandons: int | None = None
    reasons: dict[str, int] = {}


def score_latencies(found: Sequence[float], calls: Sequence[TracedCall]) -> LatencyFigures:
    """The figures that follow from the latencies alone, in the order of the calls."""
    ordered = sorted(found)
    met = sum(took <= call.budget_ms for took, call in zip(found, calls, strict=True))

    def rank(share: float) -> int:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)])

    return LatencyFigures(
        p50_ms=rank(0.5),
        p95_ms=rank(0.95),
        p99_ms=rank(0.99),
        max_ms=round(ordered[-1]),
        deadlines_met=round(100 * met / len(calls), 2),
    )


def score_with_costs(
    found: Sequence[float], calls: Sequence[TracedCall], served: Sequence[ServedRequest], reasons: Sequence[str]
) -> LatencyFigures:
    """The same with the costs, from the requests that the models served."""
    answered = {call.number for call, took in zip(calls, found, strict=True) if took < NO_ANSWER_MS}
    losers, seen = [], set()
    for request in served:
        if request.finished and request.call in answered and request.call not in seen:
            seen.add(request.call)
        elif not request.rejected:
            losers.append(request)
    useful = sum(PROMPT_TOKENS + call.tokens for call in calls if call.number in answered)
    lost_tokens = sum(PROMPT_TOKENS + request.tokens for request in losers)
    by_number = {call.number: (call, took) for call, took in zip(calls, found, strict=True)}
    cut = [by_number[each.call] for each in losers if each.role == "primary" and not each.finished]
    wrong = sum(duration_ms(call.primary, call.tokens) <= took for call, took in cut)
    return score_latencies(found, calls).model_copy(
        update={
            "extra_calls": round(100 * len(losers) / len(calls), 2),
            "extra_tokens": round(100 * lost_tokens / max(1, useful), 2),
            "wrong_abandons": wrong,
            "reasons": dict(Counter(reasons).most_common()),
        }
    )


class ScenarioOutcome(BaseModel):
    """A scenario's figures by contender, next to the oracle's, which knows the better model for each call."""

    scenario: str
    description: str
    faulty: bool
    calls: int
    oracle: LatencyFigures
    allowed_p99_ms: int
    contenders: dict[str, LatencyFigures]


def build_outcome(
    scenario: Scenario, calls: Sequence[TracedCall], contenders: Mapping[str, LatencyFigures]
) -> ScenarioOutcome:
    """The outcome. The P99 bound is 1.25 times the oracle's, plus the detection time that theory requires."""
    free = {"extra_calls": 0.0, "extra_tokens": 0.0, "wrong_abandons": 0}
    oracle = score_latencies([call.best_ms for call in calls], calls).model_copy(update=free)
    return ScenarioOutcome(
        scenario=scenario.name,
        description=scenario.description,
        faulty=scenario.faulty,
        calls=len(calls),
        oracle=oracle,
        allowed_p99_ms=round(1.25 * oracle.p99_ms) + scenario.detection_ms,
        contenders=dict(contenders),
    )


def failed_claims(outcome: ScenarioOutcome) -> Iterator[str]:
    """The claims that a scenario's figures do not bear out, in words."""
    ours = outcome.contenders[OURS]
    others = {name: each for name, each in outcome.contenders.items() if not name.startswith(OURS)}
    if not outcome.faulty:
        alone = others["primary only"]
        if (ours.p50_ms, ours.p95_ms, ours.p99_ms) != (alone.p50_ms, alone.p95_ms, alone.p99_ms) or ours.extra_calls:
            yield "it costs something although nothing is wrong"
    for name, each in others.items():
        if each.deadlines_met > ours.deadlines_met:
            yield f"{name} meets more deadlines"
    if (ours.extra_calls or 0) > MOST_EXTRA_PERCENT:
        yield f"{ours.extra_calls} % extra calls"
    if ours.p99_ms > outcome.allowed_p99_ms:
        yield f"P99 {ours.p99_ms} ms, allowed {outcome.allowed_p99_ms}"
