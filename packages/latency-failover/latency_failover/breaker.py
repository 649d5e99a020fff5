"""The circuit breaker and the hedging allowance: two small state machines, which get the time as an argument."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from latency_failover.policy import BreakerPolicy

BreakerState = Literal["closed", "half_open", "open"]


@dataclass
class CircuitBreaker:
    """Opens when too large a share of recent calls missed the objective; admits single probes after a pause.

    It has two windows: a fast one for an outage, a slow one for a model that keeps failing now and then. `half_open`
    means that one probe may go. Each failed probe doubles the pause, up to `cool_max_ms`.
    """

    policy: BreakerPolicy
    _calls: deque[tuple[int, bool]] = field(default_factory=deque, repr=False)
    _open_until_ms: int | None = None
    _cool_ms: int = 0
    _probing: bool = False
    _good_probes: int = 0
    _probes_wanted: int = 0

    def state(self, now_ms: int) -> BreakerState:
        """The state for a call that starts now."""
        if self._open_until_ms is None:
            return "closed"
        return "open" if self._probing or now_ms < self._open_until_ms else "half_open"

    def admit(self, now_ms: int) -> bool:
        """Record the start of a call; returns whether it is the probe."""
        if self.state(now_ms) != "half_open":
            return False
        self._probing = True
        return True

    def release(self, *, probe: bool) -> None:
        """Record the end of a call without a result (cancelled, or cut before it could be late)."""
        if probe:
            self._probing = False

    def record(self, now_ms: int, *, good: bool, probe: bool = False) -> None:
        """Record a result: `good` is an answer within the objective."""
        self.release(probe=probe)
        if self._open_until_ms is not None:
            self._judge_probe(now_ms, good=good, probe=probe)
            return
        self._calls.append((now_ms, good))
        while self._calls[0][0] < now_ms - max(self.policy.window_ms, self.policy.slow_window_ms):
            self._calls.popleft()
        window = self._burning(now_ms)
        if window is not None:
            fast = window == "fast"
            self._probes_wanted = self.policy.probes_to_close if fast else self.policy.slow_probes_to_close
            self._open(now_ms, self.policy.cool_ms if fast else self.policy.slow_cool_ms)

    def _burning(self, now_ms: int) -> Literal["fast", "slow"] | None:
        """The window in which the objective is missed too often, or None."""
        policy = self.policy
        recent = [good for at, good in self._calls if at >= now_ms - policy.window_ms]
        if len(recent) >= policy.min_calls and _bad_bp(recent) >= policy.bad_share_bp:
            return "fast"
        every = [good for at, good in self._calls if at >= now_ms - policy.slow_window_ms]
        # The fast window too, so that an outage that is over does not open the breaker.
        burning = min(_bad_bp(every), _bad_bp(recent)) >= policy.slow_bad_share_bp
        return "slow" if len(every) >= policy.slow_min_calls and burning else None

    def restore_history(self, now_ms: int, verdicts: Sequence[bool]) -> None:
        """Start with the results of other processes: they count for the slow window only."""
        before = now_ms - self.policy.window_ms - 1
        self._calls.extendleft((before, good) for good in verdicts)

    def hold(self, now_ms: int, for_ms: int) -> None:
        """Leave the model alone for as long as the vendor asked (Retry-After), up to `cool_max_ms`."""
        until = now_ms + min(for_ms, self.policy.cool_max_ms)
        if self._open_until_ms is None:
            self._cool_ms, self._good_probes = self.policy.cool_ms, 0
            self._probes_wanted = self.policy.probes_to_close
        self._open_until_ms = max(self._open_until_ms or 0, until)

    def _judge_probe(self, now_ms: int, *, good: bool, probe: bool) -> None:
        if not probe:
            return  # it had started before the breaker opened, so it is outdated
        if not good:
            self._open(now_ms, min(self._cool_ms * 2, self.policy.cool_max_ms))
            return
        self._good_probes += 1
        if self._good_probes >= self._probes_wanted:
            self._calls.clear()
            self._open_until_ms = None

    def _open(self, now_ms: int, cool_ms: int) -> None:
        self._cool_ms, self._good_probes = cool_ms, 0
        self._open_until_ms = now_ms + cool_ms


def _bad_bp(calls: Sequence[bool]) -> int:
    """The share of bad calls; 0 without calls."""
    return calls.count(False) * 10_000 // len(calls) if calls else 0


@dataclass
class HedgeBucket:
    """Extra calls as a share of all calls: each call adds a fraction of one, each hedge takes one.

    It starts empty, so that at every moment hedges are at most the share of the calls so far.
    """

    share_bp: int
    burst: int
    _saved_bp: int = 0

    def earn(self) -> None:
        """Record a call."""
        self._saved_bp = min(self._saved_bp + self.share_bp, self.burst * 10_000)

    @property
    def available(self) -> bool:
        """Whether a hedge may be started now."""
        return self._saved_bp >= 10_000

    def spend(self) -> None:
        """Record the start of a hedge.

        Raises:
            ValueError: no hedge is available.
        """
        if not self.available:
            raise ValueError("no hedge is available")
        self._saved_bp -= 10_000
