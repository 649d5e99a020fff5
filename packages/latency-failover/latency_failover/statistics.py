"""Latency statistics: sliding quantiles per model and prompt size."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BUCKETS = (500, 2_000, 8_000, 32_000)
"""Upper bounds of the prompt-size buckets, in tokens: prefill time grows with the prompt."""


@dataclass(frozen=True)
class LatencySample:
    """The measurements of one attempt. A field is `None` if the attempt did not yield it."""

    ttft_ms: int | None = None
    total_ms: int | None = None
    output_tokens: int | None = None
    us_per_token: int | None = None
    gap_ms: int | None = None
    """The longest pause in the stream."""


@dataclass(frozen=True)
class Expectation:
    """Quantiles of one model at one prompt size; `None` without enough observations. Pace is in µs per output token.

    `ttft_seen` are the times to first token, sorted; `ttft_cut` the waits that were cut before a first token.
    """

    ttft_p50_ms: int | None = None
    ttft_p95_ms: int | None = None
    total_p50_ms: int | None = None
    total_p95_ms: int | None = None
    output_p50: int | None = None
    output_p95: int | None = None
    us_per_token_p50: int | None = None
    gap_p95_ms: int | None = None
    ttft_seen: tuple[int, ...] = ()
    ttft_cut: tuple[int, ...] = ()

    def generation_ms(self, tokens: int | None) -> int | None:
        """Typical time for `tokens` (`None`: a typical answer) after the first token."""
        count = self.output_p50 if tokens is None else tokens
        if count is None or self.us_per_token_p50 is None:
            return None
        return count * self.us_per_token_p50 // 1000


@dataclass
class _Window:
    """One sliding series of integers."""

    values: deque[tuple[int, int]]
    ordered: list[int] | None = None

    def add(self, now_ms: int, value: int) -> None:
        self.values.append((now_ms, value))
        self.ordered = None

    def since(self, start_ms: int) -> list[int]:
        while self.values and self.values[0][0] < start_ms:
            self.values.popleft()
            self.ordered = None
        if self.ordered is None:
            self.ordered = sorted(value for _, value in self.values)
        return self.ordered


def quantile(ordered: Sequence[int], basis_points: int) -> int:
    """The nearest-rank quantile of sorted values: always one that was observed.

    Raises:
        ValueError: `ordered` is empty.
    """
    if not ordered:
        raise ValueError("a quantile of nothing")
    return ordered[max(0, -(-len(ordered) * basis_points // 10_000) - 1)]


def prompt_bucket(prompt_tokens: int) -> int:
    """The index of the prompt-size bucket."""
    return next((index for index, bound in enumerate(BUCKETS) if prompt_tokens <= bound), len(BUCKETS))


def thin_sorted(ordered: Sequence[int], keep: int) -> tuple[int, ...]:
    """A number of sorted values, evenly spaced by rank, so that the quantiles stay the same."""
    count = len(ordered)
    if keep >= count:
        return tuple(ordered)
    return tuple(ordered[(2 * rank + 1) * count // (2 * keep)] for rank in range(keep))


SeriesKey = tuple[str, int | None, str]
"""Model, prompt-size bucket (`None`: all sizes) and the name of a series."""

VERDICT_SERIES = "good"
"""The series of results: 1 for an attempt that met its objective, 0 for one that did not."""

MIN_SEEN = 3
"""Minimum of first tokens for an estimate of the next one."""

PRIOR_ATTEMPTS = 64
"""Observations of other processes count for at most so many attempts, and fade as this process makes its own."""


@dataclass(frozen=True)
class _Prior:
    points: Mapping[SeriesKey, tuple[int, ...]]
    until_ms: int


@dataclass
class LatencyStats:
    """Sliding statistics, shared by every call of a process. Times are the clock's, in milliseconds.

    A bucket with too few observations uses the model's other buckets; a model with too few yields `None`. A new process
    may start with the observations of others (`latency_failover.snapshot`).
    """

    window_ms: int = 600_000
    max_samples: int = 256
    min_samples: int = 8
    _series: dict[SeriesKey, _Window] = field(default_factory=dict, repr=False)
    _prior: _Prior | None = field(default=None, repr=False)

    def observe(self, model_id: str, prompt_tokens: int, sample: LatencySample, *, now_ms: int) -> None:
        """Add one attempt."""
        self._add(model_id, prompt_tokens, vars(sample) | {"ttft_seen_ms": sample.ttft_ms}, now_ms)

    def observe_cut(self, model_id: str, prompt_tokens: int, *, waited_ms: int, silent: bool, now_ms: int) -> None:
        """Add an attempt that was cut off after `waited_ms`: a lower bound, not a measurement.

        It counts as the wait plus a typical generation. Without it, a model would look faster the more often it is
        abandoned. A bound below the median is left out, because the other model was merely first.
        """
        known = self.expect(model_id, prompt_tokens, now_ms=now_ms)
        median = known.ttft_p50_ms if silent else known.total_p50_ms
        if median is not None and waited_ms < median:
            return
        total = waited_ms + ((known.generation_ms(None) or 0) if silent else 0)
        wait = waited_ms if silent else None
        self._add(model_id, prompt_tokens, {"ttft_ms": wait, "ttft_cut_ms": wait, "total_ms": total}, now_ms)

    def record_verdict(self, model_id: str, *, good: bool, now_ms: int) -> None:
        """Add whether an attempt met its objective, for the breakers of processes that start later."""
        window = self._series.setdefault((model_id, None, VERDICT_SERIES), _Window(deque(maxlen=self.max_samples)))
        window.add(now_ms, int(good))

    def forget_cuts(self, model_id: str) -> None:
        """Drop the waits that were cut: the model has recovered."""
        for key in [key for key in self._series if key[0] == model_id and key[2] == "ttft_cut_ms"]:
            del self._series[key]

    def restore_history(self, points: Mapping[SeriesKey, tuple[int, ...]], *, now_ms: int) -> None:
        """Start with the observations of other processes; they expire after one window."""
        self._prior = _Prior(points, now_ms + self.window_ms)

    def recorded(self, *, now_ms: int) -> dict[SeriesKey, tuple[int, ...]]:
        """This process's own observations within the window, sorted; recalled ones are left out."""
        found = {key: tuple(window.since(now_ms - self.window_ms)) for key, window in self._series.items()}
        return {key: values for key, values in found.items() if values}

    def expect(self, model_id: str, prompt_tokens: int, *, now_ms: int) -> Expectation:
        """The expected latency of the model for a prompt of this size."""

        def values(name: str, least: int) -> Sequence[int]:
            for key in (prompt_bucket(prompt_tokens), None):
                ordered = self._ordered(model_id, key, name, now_ms)
                if len(ordered) >= least:
                    return ordered
            return ()

        def known(name: str, basis_points: int) -> int | None:
            ordered = values(name, self.min_samples)
            return quantile(ordered, basis_points) if ordered else None

        return Expectation(
            ttft_p50_ms=known("ttft_ms", 5_000),
            ttft_p95_ms=known("ttft_ms", 9_500),
            total_p50_ms=known("total_ms", 5_000),
            total_p95_ms=known("total_ms", 9_500),
            output_p50=known("output_tokens", 5_000),
            output_p95=known("output_tokens", 9_500),
            us_per_token_p50=known("us_per_token", 5_000),
            gap_p95_ms=known("gap_ms", 9_500),
            ttft_seen=tuple(values("ttft_seen_ms", MIN_SEEN)),
            ttft_cut=tuple(values("ttft_cut_ms", 1)),
        )

    def _add(self, model_id: str, prompt_tokens: int, values: Mapping[str, int | None], now_ms: int) -> None:
        for name, value in values.items():
            if value is None:
                continue
            for key in (prompt_bucket(prompt_tokens), None):
                window = self._series.setdefault((model_id, key, name), _Window(deque(maxlen=self.max_samples)))
                window.add(now_ms, value)

    def _ordered(self, model_id: str, key: int | None, name: str, now_ms: int) -> Sequence[int]:
        own = self._own(model_id, key, name, now_ms)
        if self._prior is None or now_ms >= self._prior.until_ms:
            return own
        made = len(self._own(model_id, key, "total_ms", now_ms))
        restored = self._prior.points.get((model_id, key, name), ())
        faded = thin_sorted(restored, len(restored) * max(0, PRIOR_ATTEMPTS - made) // PRIOR_ATTEMPTS)
        return sorted((*own, *faded)) if faded else own

    def _own(self, model_id: str, key: int | None, name: str, now_ms: int) -> Sequence[int]:
        window = self._series.get((model_id, key, name))
        return window.since(now_ms - self.window_ms) if window else ()
