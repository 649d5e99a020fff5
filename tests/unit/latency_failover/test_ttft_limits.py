"""When silence has lasted long enough."""

from hypothesis import given
from hypothesis import strategies as st

from latency_failover import FailoverPolicy
from latency_failover.statistics import Expectation
from latency_failover.ttft_limits import hedge_after, switch_point_ms, ttft_limit

OTHER = Expectation(ttft_p50_ms=500, total_p50_ms=1_500)
HEALTHY = tuple(range(300, 700, 4))


def silent(*, cut: tuple[int, ...] = (), seen: tuple[int, ...] = HEALTHY, p95: int = 680) -> Expectation:
    return Expectation(
        ttft_p50_ms=500,
        ttft_p95_ms=p95,
        total_p50_ms=1_500,
        output_p50=100,
        us_per_token_p50=10_000,
        ttft_seen=seen,
        ttft_cut=cut,
    )


def test_model_first_token_limit_is_a_quarter_beyond_longest_wait() -> None:
    assert switch_point_ms(silent(), OTHER) == 696 + 696 // 4


def test_few_observations_widen_the_margin() -> None:
    assert switch_point_ms(silent(seen=(500, 510, 520)), OTHER) == 520 + 520 * 133 // 100
    assert switch_point_ms(silent(seen=()), OTHER) is None


def test_cuts_in_silence_mark_outlasting_calls_as_unhealthy() -> None:
    turn = switch_point_ms(silent(cut=(2_000,) * 10), OTHER)
    assert turn is not None
    assert sum(wait > turn for wait in HEALTHY) <= 10, "half of those still silent are sick, no sooner"
    assert turn < 700


def test_slow_call_that_was_awaited_counts_like_a_cut_one() -> None:
    turn = switch_point_ms(silent(seen=(*HEALTHY, *[6_000] * 10)), OTHER)
    assert turn is not None
    assert 600 < turn < 700


def test_slow_call_still_sooner_than_the_other_model_is_awaited() -> None:
    slow = tuple(wait + 300 for wait in HEALTHY[-10:])
    assert switch_point_ms(silent(seen=(*HEALTHY, *slow)), OTHER) == slow[-1] + slow[-1] // 4


def test_ttft_limit_is_turning_point_and_longer_with_hedge() -> None:
    policy = FailoverPolicy(ttft_floor_ms=100)
    alone, with_hedge = ttft_limit(policy, silent(), OTHER, due=9_000, usable=9_000)
    assert (alone, with_hedge) == (870, 3 * 680)
    assert hedge_after(policy, alone, silent(), OTHER) == 870


def test_often_cut_model_is_hedged_at_its_turning_point() -> None:
    sick = silent(cut=(2_000,) * 30, p95=2_000)
    alone, _ = ttft_limit(FailoverPolicy(ttft_floor_ms=100), sick, OTHER, due=9_000, usable=9_000)
    assert alone < 700
    assert hedge_after(FailoverPolicy(), alone, sick, OTHER) == alone


@given(
    seen=st.lists(st.integers(1, 60_000), min_size=3, max_size=60),
    cut=st.lists(st.integers(1, 60_000), max_size=30),
)
def test_switch_point_is_between_the_median_and_the_margin(seen: list[int], cut: list[int]) -> None:
    seen.sort()
    turn = switch_point_ms(silent(seen=tuple(seen), cut=tuple(sorted(cut))), OTHER)
    assert turn is not None
    assert seen[len(seen) // 2] <= turn <= seen[-1] * 7 // 3
