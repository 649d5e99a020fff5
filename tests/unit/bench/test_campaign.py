"""The forecast of a campaign: which limit binds, and that emails leave in permitted hours only."""

from __future__ import annotations

import pytest

from bench.campaign.simulation import forecast_campaign

FAST = {"model tokens": 1_000.0, "sending": 1_000.0}


def test_forecast_bound_by_sending_counts_the_windows_hours_only() -> None:
    found = forecast_campaign(400_000, cpu_ms=100, vcpus=1_000, limits_per_s={**FAST, "sending": 14.0}, window=(8, 21))

    # 50,400 an hour: seven full hours of the first day's window, and a part of the eighth.
    assert (found.hours, found.bound_by) == (8 + 8, "sending")


def test_forecast_bound_by_cpu_or_tokens_prepares_at_night_too() -> None:
    by_cpu = forecast_campaign(36_000, cpu_ms=1_000, vcpus=1, limits_per_s=FAST, window=(0, 24))
    by_tokens = forecast_campaign(36_000, cpu_ms=1, vcpus=1, limits_per_s={**FAST, "model tokens": 0.5}, window=(8, 21))

    assert (by_cpu.hours, by_cpu.bound_by, by_cpu.vcpu_hours) == (10, "CPU", 10.0)
    assert (by_tokens.hours, by_tokens.bound_by) == (20, "model tokens")


@pytest.mark.parametrize("wrong", [{"vcpus": 0.0}, {"window": (21, 8)}, {"limits_per_s": {"sending": 0.0}}])
def test_forecast_with_an_impossible_limit_is_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"cpu_ms": 1.0, "vcpus": 1.0, "limits_per_s": FAST, "window": (0, 24)}

    with pytest.raises(ValueError, match="limits are positive"):
        forecast_campaign(1, **{**given, **wrong})  # type: ignore[arg-type]
