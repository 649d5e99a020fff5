"""Offline: does a recorded decision follow from the numbers recorded with it?"""

from collections.abc import Callable, Mapping

from latency_failover.records import FailoverDecision, FailoverReason

DecisionCheck = Callable[[FailoverDecision], bool]


def find_contradictions(decision: FailoverDecision) -> tuple[str, ...]:
    """Contradictions within a record; empty for every decision of this package.

    Auditors run it over stored decisions; it needs no model, clock or statistics.
    """
    found = [] if _BASIS[decision.reason](decision) else [f"reason {decision.reason} has no basis in the record"]
    return (*found, *(message for message, holds in _ALWAYS.items() if not holds(decision)))


def _of_an_older_release(decision: FailoverDecision) -> bool:
    """Whether the record predates the fields for earlier attempts and model policies."""
    return not decision.model_policy


def _first_ended_as(decision: FailoverDecision, outcome: str) -> bool:
    """Whether the first model ended so, or was skipped because it had ended so in an earlier delivery."""
    if not decision.attempts or (decision.attempts[0].role == "fallback" and decision.role == "fallback"):
        earlier = [attempt.outcome for attempt in decision.earlier if attempt.role == "primary"]
        return earlier[-1:] == [outcome] or _of_an_older_release(decision)
    return decision.attempts[0].outcome == outcome


def _silent_to_its_limit(decision: FailoverDecision) -> bool:
    if not decision.attempts or decision.attempts[0].role == decision.role:
        return _first_ended_as(decision, "abandoned")
    first, limit = decision.attempts[0], decision.ttft_limit_ms
    silent = first.ttft_ms is None and limit is not None and first.ended_ms - first.started_ms >= limit
    return silent and first.outcome == "abandoned"


def _spoke_but_was_left(decision: FailoverDecision) -> bool:
    return any(a.outcome == "abandoned" and a.ttft_ms is not None for a in decision.attempts[:1])


def _did_not_fit(decision: FailoverDecision) -> bool:
    # A primary without statistics was skipped because the fallback's reserve left it no time.
    p95 = decision.primary_p95_ms
    return decision.budget_ms == 0 if p95 is None else p95 > decision.budget_ms


def _the_second_was_a_hedge(decision: FailoverDecision) -> bool:
    roles = [attempt.role for attempt in decision.attempts]
    return decision.hedge_after_ms is not None and roles[:2] == ["primary", "fallback"]


_BASIS: Mapping[FailoverReason, DecisionCheck] = {
    "primary": lambda d: d.role == "primary" or d.result != "answered",
    "ttft": _silent_to_its_limit,
    "projected": _spoke_but_was_left,
    "error": lambda d: _first_ended_as(d, "error"),
    "throttled": lambda d: _first_ended_as(d, "throttled"),
    "truncated": lambda d: _first_ended_as(d, "truncated"),
    "filtered": lambda d: _first_ended_as(d, "filtered"),
    "breaker": lambda d: d.primary_breaker == "open",
    "hedge_win": _the_second_was_a_hedge,
    "budget": _did_not_fit,
    "policy": lambda d: (
        all(attempt.role == "fallback" for attempt in d.attempts) and (bool(d.not_permitted) or _of_an_older_release(d))
    ),
}


def _one_winner_if_answered(decision: FailoverDecision) -> bool:
    won = [attempt for attempt in decision.attempts if attempt.outcome == "won"]
    if decision.result != "answered":
        return decision.result == "cancelled" or not won
    return len(won) == 1 and (won[0].role, won[0].model_id) == (decision.role, decision.model_id)


def _losers_add_up(decision: FailoverDecision) -> bool:
    lost = [attempt for attempt in decision.attempts if attempt.outcome != "won"]
    return decision.loser_tokens == sum(attempt.input_tokens + attempt.output_tokens for attempt in lost)


def _hedged_when_due(decision: FailoverDecision) -> bool:
    overlapping = [
        later
        for first, later in zip(decision.attempts, decision.attempts[1:], strict=False)
        if later.started_ms < first.ended_ms
    ]
    due = decision.hedge_after_ms
    return not overlapping or (due is not None and all(attempt.started_ms >= due for attempt in overlapping))


_ALWAYS: Mapping[str, DecisionCheck] = {
    "the answering model is not the attempt that won": _one_winner_if_answered,
    "loser_tokens is not the sum over the losers": _losers_add_up,
    "a second call was started beside the first before it was due": _hedged_when_due,
    "budget and reserve exceed the total": lambda d: d.budget_ms + d.reserve_ms <= d.total_ms,
}
