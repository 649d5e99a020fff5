"""Snapshots of a process's statistics, for processes that start later. Pure; the caller stores them.

A snapshot holds only its own process's measurements. Observations recalled at start are left out, so that old ones do
not look new, however often processes restart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from latency_failover.statistics import PRIOR_ATTEMPTS, VERDICT_SERIES, LatencyStats, SeriesKey, thin_sorted

HALF_LIFE_MS = 30 * 60_000
"""A snapshot counts half for each half-hour of its age: a vendor's latency changes over the day."""

HORIZON_MS = 6 * HALF_LIFE_MS
"""Older snapshots are ignored."""

_ATTEMPTS = "total_ms"  # every attempt with a latency has a total


class SnapshotSeries(BaseModel):
    """The values of one series, sorted. Integers: milliseconds, microseconds a token, tokens, or 0 and 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    bucket: int | None
    name: str
    values: tuple[int, ...]


class Snapshot(BaseModel):
    """The observations of one process within its window, at a moment in Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    taken_at_ms: int
    series: tuple[SnapshotSeries, ...] = ()


def take_snapshot(stats: LatencyStats, *, wall_ms: int, now_ms: int) -> Snapshot:
    """A snapshot of statistics: at most `PRIOR_ATTEMPTS` attempts of each model and prompt size."""
    recorded = stats.recorded(now_ms=now_ms)
    series = [
        SnapshotSeries(model=model, bucket=bucket, name=name, values=_share(recorded, (model, bucket, name)))
        for model, bucket, name in sorted(recorded, key=repr)
    ]
    return Snapshot(taken_at_ms=wall_ms, series=tuple(series))


def merge_snapshots(snapshots: Sequence[Snapshot], *, wall_ms: int) -> dict[SeriesKey, tuple[int, ...]]:
    """All snapshots as one, each thinned by its age, and the whole to the limit for a new process."""
    found: defaultdict[SeriesKey, list[int]] = defaultdict(list)
    for snapshot in snapshots:
        # A snapshot from the future, from a clock that is ahead, counts as fresh.
        age = max(0, wall_ms - snapshot.taken_at_ms)
        if age > HORIZON_MS:
            continue
        weight = 0.5 ** (age / HALF_LIFE_MS)
        for series in snapshot.series:
            kept = thin_sorted(sorted(series.values), round(len(series.values) * weight))
            found[series.model, series.bucket, series.name].extend(kept)
    every = {key: tuple(sorted(values)) for key, values in found.items() if values}
    return {key: _share(every, key) for key in every}


def _share(every: Mapping[SeriesKey, tuple[int, ...]], key: SeriesKey) -> tuple[int, ...]:
    """A series thinned in step with the others of its model and size, so that their proportions stay."""
    model, bucket, name = key
    values = every[key]
    attempts = len(values) if name == VERDICT_SERIES else len(every.get((model, bucket, _ATTEMPTS), values))
    keep = min(1.0, PRIOR_ATTEMPTS / max(1, attempts))
    return thin_sorted(values, round(len(values) * keep))
