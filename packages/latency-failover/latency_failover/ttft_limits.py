"""How long a silent model is waited for. Pure: what was seen of both models in, moments out.

The rule is optimal stopping: wait on while, given the silence so far, the first token is expected sooner than the other
model could make up for it, and turn to the other when it is not. Calls that were cut say only that their first token
came no sooner than the cut, and are used as just that.
"""

from bisect import bisect_left, bisect_right

from latency_failover.policy import FailoverPolicy
from latency_failover.statistics import Expectation

_UNSEEN_WEIGHT = 4
"""Beyond the longest wait seen in n calls, so many n-ths more are still ordinary: few observations, a wide margin."""

_LEAST_UNSEEN_PERCENT = 25


def switch_point_ms(expected: Expectation, other: Expectation) -> int | None:
    """When, in milliseconds of silence, the other model becomes the better bet; `None` where too little was seen."""
    seen, cut = expected.ttft_seen, expected.ttft_cut
    if not seen:
        return None
    head_start = _head_start(expected, other)
    for waited in seen[len(seen) // 2 :]:
        later = seen[bisect_right(seen, waited) :]
        never = len(cut) - bisect_left(cut, waited)
        # The median of what is left: half of those still silent would speak by then.
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
    """When a silent model is given up, alone and with the other running beside it.

    Not before it is plainly unwell or the other is the better bet; not after the moment when the other can still be
    turned to (`due`), nor when its answer would come too late (`usable`). A model that is asked although even a usual
    first token would be too late is only held to the former.
    """
    if expected.ttft_p95_ms is None or expected.ttft_p50_ms is None:
        patience = policy.cold_ttft_ms
    else:
        # Abandoned calls enter the statistics with the limit they were abandoned at, and soon are the P95. The median
        # holds it: otherwise every abandoned call would raise the limit of the next.
        usual = min(expected.ttft_p95_ms, 2 * expected.ttft_p50_ms)
        patience = max(policy.ttft_floor_ms, policy.ttft_patience * usual)
    turn = switch_point_ms(expected, other)
    alone = patience if turn is None else min(patience, max(policy.ttft_floor_ms, turn))
    latest = min(due, usable - (expected.generation_ms(tokens) or 0))
    caps = [patience]
    if policy.ttft_limit_ms is not None:
        caps.append(policy.ttft_limit_ms)
    if latest > (expected.ttft_p95_ms or 0):
        caps.append(latest)
    return min(alone, *caps), min(caps)


def hedge_after(policy: FailoverPolicy, limit: int, expected: Expectation, other: Expectation) -> int | None:
    """When a second call is started beside the silent first: at its P95, or later if only then it is worth one."""
    p95 = expected.ttft_p95_ms
    if not policy.hedge or p95 is None:
        return None
    after = max(p95, policy.hedge_min_ms)
    turn = switch_point_ms(expected, other)
    if turn is not None:
        # The P95 of a model that is often cut is where it was cut: the turning point is the better guide.
        after = max(turn, policy.hedge_min_ms)
    return after if after <= limit else None


def _head_start(expected: Expectation, other: Expectation) -> int:
    """How much sooner a first token of this model is as good as one of the other, asked now."""
    own = expected.generation_ms(None) or 0
    if other.total_p50_ms is not None:
        return max(0, other.total_p50_ms - own)
    seen = expected.ttft_seen
    return 2 * seen[len(seen) // 2]  # nothing is known of the other: take it for half as fast
