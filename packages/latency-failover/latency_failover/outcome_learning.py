"""After the call: the decision as it is recorded, and what the statistics and breakers learn from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from latency_failover.attempt import RunningAttempt
from latency_failover.breaker import BreakerState, CircuitBreaker
from latency_failover.call_plan import CallPlan
from latency_failover.policy import FailoverPolicy, LatencyBudget
from latency_failover.race import Race
from latency_failover.records import CallResult, FailoverDecision, ModelAttempt, ModelRole
from latency_failover.statistics import Expectation, LatencySample, LatencyStats

_TOKENS_FOR_PACE = 8  # a pace that will be learned from needs more of an answer than one that is watched


@dataclass(frozen=True)
class PlanningBasis:
    """The numbers a call was planned on."""

    plan: CallPlan
    expected: Mapping[ModelRole, Expectation]
    prompt_tokens: int
    primary_breaker: BreakerState
    budget: LatencyBudget
    model_policy: str
    not_permitted: tuple[str, ...]


def build_decision(
    race: Race, basis: PlanningBasis, policy: FailoverPolicy, *, result: CallResult, latency_ms: int
) -> FailoverDecision:
    """The record of a finished race; when nobody won, it names the model asked last."""
    attempts = tuple(attempt.record() for attempt in race.attempts)
    won = None if race.winner is None else attempts[race.attempts.index(race.winner)]
    last = won or (attempts[-1] if attempts else None)
    named = race.candidate_for(basis.plan.first if last is None else last.role)
    return FailoverDecision(
        result=result,
        reason=race.reason,
        role=named.role,
        vendor=named.vendor,
        model_id=named.model_id,
        latency_ms=latency_ms,
        ttft_ms=None if last is None or last.ttft_ms is None else last.started_ms + last.ttft_ms,
        attempts=attempts,
        input_tokens=won.input_tokens if won else 0,
        output_tokens=won.output_tokens if won else 0,
        loser_tokens=sum(a.input_tokens + a.output_tokens for a in attempts if a is not won),
        total_ms=basis.plan.hard_ms,
        budget_ms=basis.plan.budget_ms,
        reserve_ms=basis.plan.reserve_ms,
        prompt_tokens=basis.prompt_tokens,
        primary_p50_ms=basis.expected["primary"].total_p50_ms,
        primary_p95_ms=basis.expected["primary"].total_p95_ms,
        fallback_p95_ms=basis.expected["fallback"].total_p95_ms,
        ttft_limit_ms=basis.plan.ttft_limit_ms,
        hedge_after_ms=basis.plan.hedge_after_ms,
        primary_breaker=basis.primary_breaker,
        later_ms=min(basis.budget.remaining_nodes_p95_ms, basis.plan.hard_ms),
        earlier=basis.budget.earlier,
        model_policy=basis.model_policy,
        not_permitted=basis.not_permitted,
        policy_version=policy.version,
    )


def record_statistics(race: Race, stats: LatencyStats, prompt_tokens: int, *, now_ms: int) -> None:
    """Take every attempt into the statistics. Errors are fast and say nothing about latency; they are left out."""
    for attempt in race.attempts:
        record, name = attempt.record(), attempt.candidate.name
        waited = record.ended_ms - record.started_ms
        match record.outcome:
            case "won":
                stats.observe(name, prompt_tokens, _sample(record, waited, attempt.longest_gap_ms), now_ms=now_ms)
            case "abandoned" | "lost":
                if record.ttft_ms is not None:
                    stats.observe(name, prompt_tokens, LatencySample(ttft_ms=record.ttft_ms), now_ms=now_ms)
                stats.observe_cut(name, prompt_tokens, waited_ms=waited, silent=record.ttft_ms is None, now_ms=now_ms)


def _sample(record: ModelAttempt, total_ms: int, gap_ms: int | None) -> LatencySample:
    pace = None
    if record.ttft_ms is not None and record.output_tokens >= _TOKENS_FOR_PACE:
        pace = (total_ms - record.ttft_ms) * 1000 // record.output_tokens
    return LatencySample(
        ttft_ms=record.ttft_ms,
        total_ms=total_ms,
        output_tokens=record.output_tokens or None,
        us_per_token=pace,
        gap_ms=gap_ms,
    )


def update_breakers(
    race: Race, breakers: Mapping[ModelRole, CircuitBreaker], stats: LatencyStats, basis: PlanningBasis, *, now_ms: int
) -> None:
    """Give each model's breaker its verdict. Our own mistakes and a caller's change of mind are nobody's fault."""
    for attempt in race.attempts:
        breaker = breakers[attempt.candidate.role]
        good = _is_good(attempt, breaker, basis)
        if good is None:
            breaker.release(probe=attempt.probe)
            continue
        was = breaker.state(now_ms)
        breaker.record(now_ms, good=good, probe=attempt.probe)
        if was != "closed" and breaker.state(now_ms) == "closed":
            # The probes went well: what was cut while it was unwell is no guide any more.
            stats.forget_cuts(attempt.candidate.name)
        stats.record_verdict(attempt.candidate.name, good=good, now_ms=now_ms)
        failure = race.failures.get(attempt)
        if failure is not None and failure.retry_after_ms:
            breaker.hold(now_ms, failure.retry_after_ms)


def _is_good(attempt: RunningAttempt, breaker: CircuitBreaker, basis: PlanningBasis) -> bool | None:
    slow = (attempt.ended_ms or 0) - attempt.started_ms > _slow_ms(attempt, breaker, basis)
    match attempt.outcome:
        case "won":
            return not slow
        case "abandoned" | "error" | "throttled":
            return False
        case "lost" if slow or (attempt.first_token_ms is None and attempt.candidate.role == basis.plan.first):
            return False  # the hedge was started later and still spoke first
        case _:
            return None


def _slow_ms(attempt: RunningAttempt, breaker: CircuitBreaker, basis: PlanningBasis) -> int:
    """Beyond the time it had in this call. A call that had too little for any model is measured by its own P95."""
    if breaker.policy.slow_ms is not None:
        return breaker.policy.slow_ms
    role, plan = attempt.candidate.role, basis.plan
    had = plan.due_ms if role == plan.first else plan.hard_ms - attempt.started_ms
    return max(had, basis.expected[role].total_p95_ms or 0)
