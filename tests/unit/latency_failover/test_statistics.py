import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_failover import LatencyStats
from latency_failover.statistics import LatencySample, quantile

VALUES = st.lists(st.integers(min_value=0, max_value=10**6), min_size=1)


@given(VALUES, st.integers(min_value=0, max_value=10_000))
def test_quantile_is_an_observed_value_with_its_share_below(values: list[int], bp: int) -> None:
    ordered = sorted(values)
    found = quantile(ordered, bp)
    assert found in values
    assert sum(value <= found for value in values) * 10_000 >= bp * len(values)
    assert sum(value < found for value in values) * 10_000 <= bp * len(values)


def test_quantile_of_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 5_000)


def filled(*ttfts: int, tokens: int = 100, at: int = 0) -> LatencyStats:
    stats = LatencyStats(min_samples=4)
    for ttft in ttfts:
        sample = LatencySample(ttft_ms=ttft, total_ms=ttft + 1_000, output_tokens=100, us_per_token=10_000)
        stats.observe("m", tokens, sample, now_ms=at)
    return stats


def test_observations_below_the_minimum_give_no_expectation() -> None:
    assert filled(1, 2, 3).expect("m", 100, now_ms=0).ttft_p50_ms is None
    assert filled(1, 2, 3, 4).expect("m", 100, now_ms=0).ttft_p50_ms == 2


def test_old_observations_slide_out_of_the_window() -> None:
    stats = filled(1, 2, 3, 4)
    assert stats.expect("m", 100, now_ms=stats.window_ms).ttft_p95_ms == 4
    assert stats.expect("m", 100, now_ms=stats.window_ms + 1).ttft_p95_ms is None


def test_unseen_size_uses_the_models_other_sizes() -> None:
    stats = filled(1, 2, 3, 4, tokens=100)
    assert stats.expect("m", 20_000, now_ms=0).ttft_p50_ms == 2
    assert stats.expect("another", 100, now_ms=0).ttft_p50_ms is None


def test_prompt_sizes_are_kept_apart_once_both_are_known() -> None:
    stats = filled(10, 10, 10, 10, tokens=100)
    for _ in range(4):
        stats.observe("m", 20_000, LatencySample(ttft_ms=900), now_ms=0)
    assert stats.expect("m", 100, now_ms=0).ttft_p95_ms == 10
    assert stats.expect("m", 20_000, now_ms=0).ttft_p50_ms == 900


def test_abandoned_attempt_counts_as_its_wait_plus_typical_generation() -> None:
    stats = filled(100, 100, 100, 100)
    stats.observe_cut("m", 100, waited_ms=3_000, silent=True, now_ms=0)
    known = stats.expect("m", 100, now_ms=0)
    assert known.ttft_p95_ms == 3_000
    assert known.total_p95_ms == 3_000 + 100 * 10


def test_model_cut_by_a_race_does_not_look_faster() -> None:
    stats = filled(100, 100, 100, 100)
    before = stats.expect("m", 100, now_ms=0)
    for _ in range(20):
        stats.observe_cut("m", 100, waited_ms=5, silent=True, now_ms=0)
    assert stats.expect("m", 100, now_ms=0) == before
