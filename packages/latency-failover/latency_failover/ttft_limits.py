"""Limits of the time to first token (TTFT). Pure: statistics of both models in, moments out.

The rule is optimal stopping: wait while, given the silence so far, the expected first token is early enough to beat a
fresh call to the other model, and switch when it is not. A call that was cut is a lower bound: its first token came no
sooner than the cut.
"""

from bisect import bisect_left, bisect_right

from latency_failover.policy import FailoverPolicy
from latency_failover.statistics import Expectation

_UNSEEN_WEIGHT = 4
"""A wait is usual up to this many n-ths beyond the longest of n calls: few observations give a wide margin."""

_LEAST_UNSEEN_PERCENT = 25


def switch_point_ms(expected: Expectation, other: Expectation) -> int | None:
    """The silence, in milliseconds, after which the other model is the better choice; `None` without observations."""
    seen, cut = expected.ttft_seen, expected.ttft_cut
    if not seen:
        return None
    head_start = _head_start(expected, other)
    for waited in seen[len(seen) // 2 :]:
        later = seen[bisect_right(seen, waited) :]
        never = len(cut) - bisect_left(cut, waited)
        # The median of the remaining waits: half of the silent calls would have a first token by then.
        middle = (len(later) + never) // 2
        if len(later) + never and (middle >= len(later) or later[middle] - waited > head_start):
            return waited
    return seen[-1] + seen[-1] * max(_LEAST_UNSEEN_PERCENT, 100 * _UNSEEN_WEIGHT // len(seen)) // 100


def ttft_limit(
    policy: FailoverPolicy,
    expected: Expectation,
    other: Expectation,
    *,
    due: int,
    usable: int,
    tokens: int | None = None,
) -> tuple[int, int]:
    """When a silent model is abandoned: alone, and with the other model running as a hedge.

    Not before its wait is unusual or the other model is the better choice; not after the other can still be called
    (`due`), nor after its answer would come too late (`usable`). The latter two do not apply to a model that was called
    although even a usual first token would be too late.
    """
    if expected.ttft_p95_ms is None or expected.ttft_p50_ms is None:
        patience = policy.cold_ttft_ms
    else:
        # Abandoned calls count with the limit at which they were abandoned, and soon are the P95. The median caps it:
        # otherwise every abandoned call would raise the limit of the next.
        usual = min(expected.ttft_p95_ms, 2 * expected.ttft_p50_ms)
        patience = max(policy.ttft_floor_ms, policy.ttft_patience * usual)
    switch = switch_point_ms(expected, other)
    alone = patience if switch is None else min(patience, max(policy.ttft_floor_ms, switch))
    latest = min(due, usable - (expected.generation_ms(tokens) or 0))
    caps = [patience]
    if policy.ttft_limit_ms is not None:
        caps.append(policy.ttft_limit_ms)
    if latest > (expected.ttft_p95_ms or 0):
        caps.append(latest)
    return min(alone, *caps), min(caps)


def hedge_after(policy: FailoverPolicy, limit: int, expected: Expectation, other: Expectation) -> int | None:
    """When a hedge is started while the first model is silent: at its P95, or later if the hedge pays only then."""
    p95 = expected.ttft_p95_ms
    if not policy.hedge or p95 is None:
        return None
    after = max(p95, policy.hedge_min_ms)
    switch = switch_point_ms(expected, other)
    if switch is not None:
        # The P95 of a model that is often cut is the cut itself: the switch point is a better estimate.
        after = max(switch, policy.hedge_min_ms)
    return after if after <= limit else None


def _head_start(expected: Expectation, other: Expectation) -> int:
    """The lead of this model's first token over that of a fresh call to the other model."""
    own = expected.generation_ms(None) or 0
    if other.total_p50_ms is not None:
        return max(0, other.total_p50_ms - own)
    seen = expected.ttft_seen
    return 2 * seen[len(seen) // 2]  # the other model is unknown: assumed to be half as fast
