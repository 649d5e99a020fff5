"""What a process passes on to those that start after it."""

import pytest

from latency_failover import FailoverModel, LatencyStats, Snapshot
from latency_failover.snapshot import HALF_LIFE_MS, HORIZON_MS, merge_snapshots, take_snapshot
from latency_failover.statistics import PRIOR_ATTEMPTS, VERDICT_SERIES, LatencySample, quantile, thin_sorted
from tests.unit.latency_failover.scripted import ScriptedModel, silent
from tests.unit.latency_failover.virtual_time import VirtualClock, virtual_time

WALL = 1_800_000_000_000


def watched(*waits: int, cuts: int = 0) -> LatencyStats:
    stats = LatencyStats()
    for wait in waits:
        sample = LatencySample(ttft_ms=wait, total_ms=wait + 1_000, output_tokens=100, us_per_token=10_000, gap_ms=20)
        stats.observe("m", 100, sample, now_ms=0)
        stats.record_verdict("m", good=True, now_ms=0)
    for _ in range(cuts):
        stats.observe_cut("m", 100, waited_ms=5_000, silent=True, now_ms=0)
        stats.record_verdict("m", good=False, now_ms=0)
    return stats


def restored(*snapshots: Snapshot, age_ms: int = 0) -> LatencyStats:
    stats = LatencyStats()
    stats.restore_history(merge_snapshots(snapshots, wall_ms=WALL + age_ms), now_ms=0)
    return stats


WAITS = tuple(range(300, 700, 2))


def test_new_process_expects_the_snapshots_latencies() -> None:
    before = watched(*WAITS, cuts=20)
    snapshot = take_snapshot(before, wall_ms=WALL, now_ms=0)
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
    known, expected = restored(snapshot).expect("m", 100, now_ms=0), before.expect("m", 100, now_ms=0)
    for name in ("ttft_p50_ms", "total_p50_ms", "us_per_token_p50", "gap_p95_ms", "output_p95"):
        assert getattr(known, name) == pytest.approx(getattr(expected, name), rel=0.05), name
    assert len(known.ttft_cut) / len(known.ttft_seen) == pytest.approx(20 / 200, rel=0.2)
    assert LatencyStats().expect("m", 100, now_ms=0).ttft_p50_ms is None


def test_restored_history_fades_with_own_observations() -> None:
    stats = restored(take_snapshot(watched(*WAITS), wall_ms=WALL, now_ms=0))
    for made in range(PRIOR_ATTEMPTS):
        stats.observe("m", 100, LatencySample(ttft_ms=2_000, total_ms=3_000), now_ms=made)
    known = stats.expect("m", 100, now_ms=PRIOR_ATTEMPTS)
    assert (known.ttft_p50_ms, min(known.ttft_seen)) == (2_000, 2_000)


def test_restored_history_expires_after_one_window() -> None:
    stats = restored(take_snapshot(watched(*WAITS), wall_ms=WALL, now_ms=0))
    assert stats.expect("m", 100, now_ms=stats.window_ms - 1).ttft_p50_ms is not None
    assert stats.expect("m", 100, now_ms=stats.window_ms).ttft_p50_ms is None


def test_restored_history_is_left_out_of_new_snapshot() -> None:
    heir = restored(take_snapshot(watched(*WAITS), wall_ms=WALL, now_ms=0))
    assert take_snapshot(heir, wall_ms=WALL + 1, now_ms=1).series == ()


def test_old_snapshot_weighs_less_and_a_very_old_one_nothing() -> None:
    old = take_snapshot(watched(*[300] * 64), wall_ms=WALL - 2 * HALF_LIFE_MS, now_ms=0)
    fresh = take_snapshot(watched(*[900] * 64), wall_ms=WALL, now_ms=0)
    waits = merge_snapshots([old, fresh], wall_ms=WALL)["m", None, "ttft_ms"]
    assert waits.count(300) / len(waits) == pytest.approx(0.2, abs=0.02), "a quarter, beside a whole"
    assert merge_snapshots([old], wall_ms=WALL - 2 * HALF_LIFE_MS + HORIZON_MS + 1) == {}
    assert merge_snapshots([fresh], wall_ms=WALL - 60_000) == merge_snapshots([fresh], wall_ms=WALL), (
        "a clock that is ahead"
    )


def test_snapshots_of_replicas_weigh_the_same_in_any_order() -> None:
    quick = take_snapshot(watched(*[300] * 64), wall_ms=WALL, now_ms=0)
    slow = take_snapshot(watched(*[900] * 64), wall_ms=WALL, now_ms=0)
    both = merge_snapshots([quick, slow], wall_ms=WALL)
    assert both == merge_snapshots([slow, quick], wall_ms=WALL)
    waits = both["m", None, "ttft_ms"]
    assert (len(waits), waits.count(300)) == (PRIOR_ATTEMPTS, PRIOR_ATTEMPTS // 2)


def test_thinning_keeps_the_quantiles_and_the_share_of_bad_verdicts() -> None:
    ordered = tuple(range(1_000))
    few = thin_sorted(ordered, 50)
    assert (len(few), quantile(few, 5_000), quantile(few, 9_500)) == (50, 490, 950)
    assert thin_sorted((0,) * 100 + (1,) * 900, 50).count(0) == 5
    assert thin_sorted(ordered, 0) == ()


@virtual_time
async def test_breaker_history_is_restored_from_the_snapshot() -> None:
    before = FailoverModel(ScriptedModel("a", silent()), ScriptedModel("b", silent()), clock=VirtualClock())
    for made in range(64):
        before.stats.record_verdict("scripted:a", good=made % 4 != 0, now_ms=1_000_000)
    heir = FailoverModel(ScriptedModel("a", silent()), ScriptedModel("b", silent()), clock=VirtualClock())
    heir.restore_history([before.snapshot(wall_ms=WALL)], wall_ms=WALL)
    assert heir.breakers["primary"].state(1_000_000) == "closed"
    heir.breakers["primary"].record(1_000_000, good=False)
    assert heir.breakers["primary"].state(1_000_000) == "open"
    assert heir.breakers["fallback"].state(1_000_000) == "closed"
    assert VERDICT_SERIES in {series.name for series in before.snapshot(wall_ms=WALL).series}
