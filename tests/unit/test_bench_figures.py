"""The bench's arithmetic: the figures and missed targets follow from the samples alone."""

import pytest

from bench.broker.figures import (
    MAX_MEMORY_GROWTH_BYTES,
    compare_contenders,
    delivery_delay,
    memory_growth,
    missed_targets,
)


def test_ratio_is_the_median_of_ratios_per_round() -> None:
    figures = compare_contenders({"bare": [100, 200, 100, 200, 100], "ours": [110, 220, 110, 260, 110]}, "bare")
    assert figures["ours"]["ratio"] == pytest.approx(1.1)
    assert figures["bare"]["ratio"] == 1
    assert figures["ours"]["median"] == 110


def test_delay_is_the_median_of_paired_differences() -> None:
    assert delivery_delay([12, 52, 97], [10, 51, 90])["median_difference_ms"] == 2


def test_memory_growth_is_last_quarter_minus_second() -> None:
    assert memory_growth([50, 90, 100, 100, 100, 100, 103, 103]) == 3
    with pytest.raises(ValueError, match="at least 4"):
        memory_growth([1, 2])


def test_missed_target_is_named_and_unmeasured_phase_is_not_judged() -> None:
    assert missed_targets({}, "ours") == []
    results = {
        "cpu": {"consume": {"ours": {"ratio": 1.31}}, "publish": {"ours": {"ratio": 1.3}}},
        "latency": {"asyncio": {"median_difference_ms": 10.1}},
        "memory": {"growth_bytes": MAX_MEMORY_GROWTH_BYTES + 1},
    }
    assert [miss.split(":")[0] for miss in missed_targets(results, "ours")] == [
        "consume",
        "latency on asyncio",
        "memory",
    ]
