"""What is known about how fast each model is: sliding quantiles per model and prompt size."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

BUCKETS = (500, 2_000, 8_000, 32_000)
"""Upper bounds of the prompt-size buckets, in tokens: prefill time grows with the prompt."""


@dataclass(frozen=True)
class Sample:
    """One attempt. A field is `None` when the attempt did not show it."""

    ttft_ms: int | None = None
    total_ms: int | None = None
    output_tokens: int | None = None
    us_per_token: int | None = None


@dataclass(frozen=True)
class Expectation:
    """Quantiles of one model at one prompt size; `None` where too little was seen. Pace is in µs per output token."""

    ttft_p50_ms: int | None = None
    ttft_p95_ms: int | None = None
    total_p50_ms: int | None = None
    total_p95_ms: int | None = None
    output_p50: int | None = None
    output_p95: int | None = None
    us_per_token_p50: int | None = None

    def generation_ms(self, tokens: int | None) -> int | None:
        """How long the model typically needs for `tokens` (`None`: a typical answer) once the first has come."""
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


def bucket(prompt_tokens: int) -> int:
    """The index of the prompt-size bucket."""
    return next((index for index, bound in enumerate(BUCKETS) if prompt_tokens <= bound), len(BUCKETS))


@dataclass
class LatencyStats:
    """Sliding statistics, shared by every call of a process. Times are the clock's, in milliseconds.

    A bucket with too few observations borrows the model's others; a model with too few says so (`None`).
    """

    window_ms: int = 600_000
    max_samples: int = 256
    min_samples: int = 8
    _series: dict[tuple[str, int | None, str], _Window] = field(default_factory=dict, repr=False)

    def observe(self, model_id: str, prompt_tokens: int, sample: Sample, *, now_ms: int) -> None:
        """Take in one attempt."""
        for name, value in vars(sample).items():
            if value is None:
                continue
            for key in (bucket(prompt_tokens), None):
                self._window(model_id, key, name).add(now_ms, value)

    def observe_cut(self, model_id: str, prompt_tokens: int, *, waited_ms: int, silent: bool, now_ms: int) -> None:
        """Take in an attempt that was cut off after `waited_ms`: a lower bound, not a measurement.

        It enters as the wait plus a typical generation. Leaving it out would make a model look faster the more often
        it is abandoned. A bound below the median says nothing (the other was merely first) and is left out.
        """
        known = self.expect(model_id, prompt_tokens, now_ms=now_ms)
        median = known.ttft_p50_ms if silent else known.total_p50_ms
        if median is not None and waited_ms < median:
            return
        total = waited_ms + ((known.generation_ms(None) or 0) if silent else 0)
        sample = Sample(ttft_ms=waited_ms if silent else None, total_ms=total)
        self.observe(model_id, prompt_tokens, sample, now_ms=now_ms)

    def expect(self, model_id: str, prompt_tokens: int, *, now_ms: int) -> Expectation:
        """What the model is expected to do with a prompt of this size."""

        def known(name: str, basis_points: int) -> int | None:
            for key in (bucket(prompt_tokens), None):
                window = self._series.get((model_id, key, name))
                ordered = window.since(now_ms - self.window_ms) if window else []
                if len(ordered) >= self.min_samples:
                    return quantile(ordered, basis_points)
            return None

        return Expectation(
            ttft_p50_ms=known("ttft_ms", 5_000),
            ttft_p95_ms=known("ttft_ms", 9_500),
            total_p50_ms=known("total_ms", 5_000),
            total_p95_ms=known("total_ms", 9_500),
            output_p50=known("output_tokens", 5_000),
            output_p95=known("output_tokens", 9_500),
            us_per_token_p50=known("us_per_token", 5_000),
        )

    def _window(self, model_id: str, key: int | None, name: str) -> _Window:
        return self._series.setdefault((model_id, key, name), _Window(deque(maxlen=self.max_samples)))
