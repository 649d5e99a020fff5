"""The call plan: which model is called first, and for how long. Pure: statistics, budget and breakers in, plan out."""

from collections.abc import Sequence
from dataclasses import dataclass

from latency_failover.breaker import BreakerState
from latency_failover.policy import FailoverPolicy, LatencyBudget
from latency_failover.records import FailoverReason, ModelAttempt, ModelRole
from latency_failover.statistics import Expectation
from latency_failover.ttft_limits import hedge_after, ttft_limit

_FAILED: dict[str, FailoverReason] = {
    "error": "error",
    "throttled": "throttled",
    "truncated": "truncated",
    "filtered": "filtered",
    "abandoned": "ttft",
}


@dataclass(frozen=True)
class ModelState:
    """One of the two models, as input of the plan. `idle_ms` is the time since its last call (`None`: never)."""

    expected: Expectation
    breaker: BreakerState = "closed"
    idle_ms: int | None = None


@dataclass(frozen=True)
class CallPlan:
    """The limits of one call, in milliseconds after its start.

    `hard_ms` ends every attempt, `usable_ms` leaves time for later steps, `budget_ms` is the primary's share. By
    `due_ms` the first model should be done, so that the `second` can still be called. Without a `ttft_limit_ms` the
    first is abandoned only when it fails; with a hedge running, it has until `patience_ms`.
    """

    first: ModelRole
    second: ModelRole | None
    reason: FailoverReason
    hard_ms: int
    budget_ms: int
    due_ms: int
    reserve_ms: int
    ttft_limit_ms: int | None
    hedge_after_ms: int | None
    patience_ms: int | None = None
    usable_ms: int | None = None


def plan_call(
    policy: FailoverPolicy,
    budget: LatencyBudget,
    *,
    spent_ms: int,
    primary: ModelState | None,
    fallback: ModelState | None,
) -> CallPlan:
    """Plan a call; a side is `None` if the model does not exist or may not see the data.

    Raises:
        ValueError: both sides are `None`.
    """
    hard = max(0, budget.total_ms - spent_ms)
    usable = max(0, hard - budget.remaining_nodes_p95_ms)
    if primary is None or fallback is None:
        if primary is None and fallback is None:
            raise ValueError("a call needs a model")
        only: ModelRole = "fallback" if primary is None else "primary"
        why: FailoverReason = "policy" if primary is None else "primary"
        return CallPlan(only, None, why, hard, usable, usable, 0, None, None, usable_ms=usable)

    reserve = _reserve(policy, budget.reserve_ms, usable, fallback.expected)
    share = usable - reserve
    reason = _why_not_primary(policy, budget, primary, fallback, share=share, usable=usable)
    tokens = budget.expected_output_tokens
    if reason is not None:
        # The primary was skipped for a reason; slowness alone does not send the call back to an open breaker.
        due = usable - _reserve(policy, None, usable, primary.expected)
        limit, patience = ttft_limit(policy, fallback.expected, primary.expected, due=due, usable=usable, tokens=tokens)
        held = None if primary.breaker == "open" else limit
        return CallPlan("fallback", "primary", reason, hard, share, due, reserve, held, None, patience, usable)
    limit, patience = ttft_limit(policy, primary.expected, fallback.expected, due=share, usable=usable, tokens=tokens)
    hedge = hedge_after(policy, limit, primary.expected, fallback.expected)
    return CallPlan("primary", "fallback", "primary", hard, share, share, reserve, limit, hedge, patience, usable)


def _reserve(policy: FailoverPolicy, wanted: int | None, usable: int, second: Expectation) -> int:
    learned = second.total_p95_ms if wanted is None else wanted
    # A default reserve takes at most half; a learned or configured one may take all.
    return min(learned, usable) if learned is not None else min(policy.cold_reserve_ms, usable // 2)


def _why_not_primary(
    policy: FailoverPolicy, budget: LatencyBudget, primary: ModelState, fallback: ModelState, *, share: int, usable: int
) -> FailoverReason | None:
    failed = _failed_earlier(budget.earlier, "primary")
    if failed is not None and _failed_earlier(budget.earlier, "fallback") is None:
        return failed
    if fallback.breaker == "open":
        # With the other breaker open as well, the primary is as good a choice.
        return None
    if primary.breaker == "open":
        return "breaker"
    return None if _fits(policy, primary, fallback, share=share, usable=usable) else "budget"


def _fits(policy: FailoverPolicy, primary: ModelState, fallback: ModelState, *, share: int, usable: int) -> bool:
    p95, other = primary.expected.total_p95_ms, fallback.expected.total_p95_ms
    if p95 is None:
        return share > 0 or other is None
    # An unmeasured fallback is no reason to skip a primary that fits without a reserve for it; and where
    # neither fits well, one that is no faster gives no reason either.
    if p95 <= (usable if other is None else share) or (other is not None and other >= p95):
        return True
    # Statistics of a model that is skipped are never renewed, so one call is sent to it from time to time.
    return share > 0 and (primary.idle_ms is None or primary.idle_ms >= policy.probe_every_ms)


def _failed_earlier(earlier: Sequence[ModelAttempt], role: ModelRole) -> FailoverReason | None:
    last = next((attempt for attempt in reversed(earlier) if attempt.role == role), None)
    return None if last is None else _FAILED.get(last.outcome)
