"""The figures of a contender over a trace."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from bench.failover.playing import ServedRequest
from bench.failover.trace import NO_ANSWER_MS, PROMPT_TOKENS, Scenario, TracedCall, duration_ms


class LatencyFigures(BaseModel):
    """Latencies in ms, a call without an answer counted as `NO_ANSWER_MS`; shares in percent of the calls.

    `extra_calls`: requests that a model served and that gave no answer (refusals cost nothing and are left out).
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
    """What can be said of latencies alone, in the order of the calls."""
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
    found: Sequence[float], calls: Sequence[TracedCall], served: Sequence[ServedRequest], reasons: Mapping[int, str]
) -> LatencyFigures:
    """The same with what it cost, from the models' own books."""
    answered = {call.number for call, took in zip(calls, found, strict=True) if took < NO_ANSWER_MS}
    losers, seen = [], set()
    for request in served:
        if request.finished and request.call in answered and request.call not in seen:
            seen.add(request.call)
        elif not request.refused:
            losers.append(request)
    useful = sum(PROMPT_TOKENS + call.tokens for call in calls if call.number in answered)
    lost_tokens = sum(PROMPT_TOKENS + request.tokens for request in losers)
    by_number = {call.number: (call, took) for call, took in zip(calls, found, strict=True)}
    wrong = 0
    for request in losers:
        call, took = by_number[request.call]
        if request.role == "primary" and not request.finished:
            wrong += duration_ms(call.primary, call.tokens) <= took
    return score_latencies(found, calls).model_copy(
        update={
            "extra_calls": round(100 * len(losers) / len(calls), 2),
            "extra_tokens": round(100 * lost_tokens / max(1, useful), 2),
            "wrong_abandons": wrong,
            "reasons": dict(Counter(reasons.values()).most_common()),
        }
    )


def score_oracle(calls: Sequence[TracedCall]) -> LatencyFigures:
    """The better model each time, known beforehand."""
    figures = score_latencies([call.best_ms for call in calls], calls)
    return figures.model_copy(update={"extra_calls": 0.0, "extra_tokens": 0.0, "wrong_abandons": 0})


def allowed_p99_ms(scenario: Scenario, ideal: LatencyFigures) -> int:
    """The bound: 1.25 times the oracle's P99, plus the detection time that theory requires."""
    return round(1.25 * ideal.p99_ms) + scenario.detection_ms
