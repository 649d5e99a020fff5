"""Before the call: who is asked first, and how long for. Pure: statistics, budget and breakers in, a plan out."""

from collections.abc import Sequence
from dataclasses import dataclass

from failover.breaker import State
from failover.policy import Budget, FailoverPolicy
from failover.records import Attempt, Reason, Role
from failover.statistics import Expectation

_FAILED: dict[str, Reason] = {"error": "error", "throttled": "throttled", "abandoned": "ttft"}


@dataclass(frozen=True)
class Side:
    """One of the two models as the plan sees it. `idle_ms` is the time since it was last asked (`None`: never)."""

    expected: Expectation
    breaker: State = "closed"
    idle_ms: int | None = None


@dataclass(frozen=True)
class Plan:
    """The limits of one call, in milliseconds after its start.

    `hard_ms` ends everything, `budget_ms` is the primary's share, `due_ms` is when the model asked first should be
    done, `second` is the one that may be turned to. Without a `ttft_limit_ms` the first is left only when it fails.
    """

    first: Role
    second: Role | None
    reason: Reason
    hard_ms: int
    budget_ms: int
    due_ms: int
    reserve_ms: int
    ttft_limit_ms: int | None
    hedge_after_ms: int | None


def plan_call(
    policy: FailoverPolicy, budget: Budget, *, spent_ms: int, primary: Side | None, fallback: Side | None
) -> Plan:
    """Decide how a call is made; a side is `None` when there is no such model or it may not see the data.

    Raises:
        ValueError: both sides are `None`.
    """
    hard = max(0, budget.total_ms - spent_ms)
    usable = max(0, hard - budget.remaining_nodes_p95_ms)
    if primary is None or fallback is None:
        if primary is None and fallback is None:
            raise ValueError("a call needs a model")
        only: Role = "fallback" if primary is None else "primary"
        return Plan(only, None, "policy" if primary is None else "primary", hard, usable, usable, 0, None, None)

    reserve = _reserve(policy, budget.reserve_ms, usable, fallback.expected)
    share = usable - reserve
    reason = _why_not_primary(policy, budget, share, primary, fallback)
    if reason is not None:
        # The primary was passed over for a reason; slowness alone does not send the call back to an open breaker.
        due = usable - _reserve(policy, None, usable, primary.expected)
        limit = _ttft_limit(policy, due, fallback.expected, budget.expected_output_tokens)
        patience = None if primary.breaker == "open" else limit
        return Plan("fallback", "primary", reason, hard, share, due, reserve, patience, None)
    limit = _ttft_limit(policy, share, primary.expected, budget.expected_output_tokens)
    hedge = _hedge_after(policy, limit, primary)
    return Plan("primary", "fallback", "primary", hard, share, share, reserve, limit, hedge)


def _reserve(policy: FailoverPolicy, wanted: int | None, usable: int, second: Expectation) -> int:
    learned = second.total_p95_ms if wanted is None else wanted
    # A guess may not take the greater part; what was learned, or set by the caller, may take all.
    return min(learned, usable) if learned is not None else min(policy.cold_reserve_ms, usable // 2)


def _why_not_primary(
    policy: FailoverPolicy, budget: Budget, share: int, primary: Side, fallback: Side
) -> Reason | None:
    failed = _failed_earlier(budget.earlier, "primary")
    if failed is not None and _failed_earlier(budget.earlier, "fallback") is None:
        return failed
    if fallback.breaker == "open":
        # With the alternative open too, a breaker would only turn slow into refused: the primary is as good a try.
        return None
    if primary.breaker == "open":
        return "breaker"
    return None if _fits(policy, share, primary, fallback) else "budget"


def _fits(policy: FailoverPolicy, share: int, primary: Side, fallback: Side) -> bool:
    p95, other = primary.expected.total_p95_ms, fallback.expected.total_p95_ms
    if p95 is None:
        return share > 0 or other is None
    if p95 <= share:
        return True
    if other is not None and other >= p95:
        return True  # neither fits well; the fallback is no faster
    # Numbers that keep a model from being asked are never renewed, so one call in a while goes to look.
    return share > 0 and (primary.idle_ms is None or primary.idle_ms >= policy.probe_every_ms)


def _failed_earlier(earlier: Sequence[Attempt], role: Role) -> Reason | None:
    last = next((attempt for attempt in reversed(earlier) if attempt.role == role), None)
    return None if last is None else _FAILED.get(last.outcome)


def _ttft_limit(policy: FailoverPolicy, due: int, expected: Expectation, tokens: int | None) -> int:
    """How long a silent model is waited for: until it is plainly unwell, or until its answer would come too late.

    A model that is asked although even a prompt first token would be late is only held to the former.
    """
    if expected.ttft_p95_ms is None or expected.ttft_p50_ms is None:
        limit = policy.cold_ttft_ms
    else:
        # Abandoned calls enter the statistics with the limit they were abandoned at, and soon are the P95. The median
        # holds it: otherwise every abandoned call would raise the limit of the next.
        usual = min(expected.ttft_p95_ms, 2 * expected.ttft_p50_ms)
        limit = max(policy.ttft_floor_ms, policy.ttft_patience * usual)
    if policy.ttft_limit_ms is not None:
        limit = min(limit, policy.ttft_limit_ms)
    latest = due - (expected.generation_ms(tokens) or 0)
    return min(limit, latest) if latest > (expected.ttft_p50_ms or 0) else limit


def _hedge_after(policy: FailoverPolicy, limit: int, primary: Side) -> int | None:
    p95 = primary.expected.ttft_p95_ms
    if not policy.hedge or p95 is None:
        return None
    after = max(p95, policy.hedge_min_ms)
    return after if after < limit else None
