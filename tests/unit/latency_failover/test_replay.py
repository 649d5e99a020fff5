from typing import Any

import pytest

from latency_failover import FailoverDecision, ModelAttempt, find_contradictions


def attempt(role: str = "primary", outcome: str = "won", **changes: Any) -> ModelAttempt:
    made: dict[str, Any] = {
        "vendor": "v",
        "model_id": role,
        "role": role,
        "outcome": outcome,
        "started_ms": 0,
        "ttft_ms": 100,
        "ended_ms": 900,
        "input_tokens": 5,
        "output_tokens": 5,
        "tokens_source": "reported",
    }
    return ModelAttempt.model_validate(made | changes)


def decision(*attempts: ModelAttempt, **changes: Any) -> FailoverDecision:
    made: dict[str, Any] = {
        "reason": "primary",
        "role": "primary",
        "vendor": "v",
        "model_id": "primary",
        "latency_ms": 900,
        "attempts": attempts,
        "loser_tokens": 10 * sum(a.outcome != "won" for a in attempts),
        "total_ms": 10_000,
        "budget_ms": 7_000,
        "reserve_ms": 3_000,
        "primary_p95_ms": 2_000,
        "ttft_limit_ms": 900,
        "hedge_after_ms": 300,
        "policy_version": "1",
    }
    return FailoverDecision.model_validate(made | changes)


FALLBACK = {"role": "fallback", "model_id": "fallback"}
LATER = attempt("fallback", started_ms=900, ended_ms=1_500)
SILENT = attempt(outcome="abandoned", ttft_ms=None)


@pytest.mark.parametrize(
    "record",
    [
        decision(attempt()),
        decision(SILENT, LATER, reason="ttft", **FALLBACK),
        decision(attempt(outcome="abandoned"), LATER, reason="projected", **FALLBACK),
        decision(attempt(outcome="throttled"), LATER, reason="throttled", **FALLBACK),
        decision(attempt(outcome="truncated"), LATER, reason="truncated", **FALLBACK),
        decision(attempt(outcome="filtered"), LATER, reason="filtered", **FALLBACK),
        decision(attempt("fallback"), reason="throttled", **FALLBACK),
        decision(attempt("fallback"), reason="breaker", primary_breaker="open", **FALLBACK),
        decision(attempt("fallback"), reason="budget", primary_p95_ms=7_001, **FALLBACK),
        decision(attempt("fallback"), reason="policy", **FALLBACK),
        decision(attempt("fallback"), reason="policy", model_policy="p", not_permitted=("v:primary",), **FALLBACK),
        decision(
            attempt("fallback"), reason="error", model_policy="p", earlier=(attempt(outcome="error"),), **FALLBACK
        ),
        decision(attempt(outcome="lost"), attempt("fallback", started_ms=300), reason="hedge_win", **FALLBACK),
        decision(SILENT, attempt("fallback", "error", started_ms=900), reason="ttft", result="failed", **FALLBACK),
        decision(result="failed"),
    ],
    ids=lambda record: f"{record.reason}-{record.result}",
)
def test_consistent_record_has_no_contradictions(record: FailoverDecision) -> None:
    assert find_contradictions(record) == ()


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (decision(attempt("fallback"), **FALLBACK), "reason primary"),
        (decision(SILENT, LATER, reason="ttft", ttft_limit_ms=901, **FALLBACK), "reason ttft"),
        (decision(SILENT, LATER, reason="projected", **FALLBACK), "reason projected"),
        (decision(attempt(outcome="error"), LATER, reason="throttled", **FALLBACK), "reason throttled"),
        (decision(attempt("fallback"), reason="breaker", **FALLBACK), "reason breaker"),
        (decision(attempt("fallback"), reason="budget", **FALLBACK), "reason budget"),
        (decision(attempt(), reason="policy"), "reason policy"),
        (decision(attempt("fallback"), reason="policy", model_policy="p", **FALLBACK), "reason policy"),
        (decision(attempt("fallback"), reason="error", model_policy="p", **FALLBACK), "reason error"),
        (decision(attempt(), model_id="another"), "not the attempt that won"),
        (decision(attempt(outcome="lost")), "not the attempt that won"),
        (decision(attempt(), loser_tokens=1), "loser_tokens"),
        (decision(attempt(), attempt("fallback", "lost", started_ms=299)), "before it was due"),
        (decision(attempt(), attempt("fallback", "lost", started_ms=400), hedge_after_ms=None), "before it was due"),
        (decision(attempt(), reserve_ms=3_001), "exceed the total"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_altered_record_has_contradictions(record: FailoverDecision, found: str) -> None:
    assert any(found in contradiction for contradiction in find_contradictions(record))
