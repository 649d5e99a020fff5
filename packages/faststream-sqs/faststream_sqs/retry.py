"""The retry policy: exponential back-off with jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter: from 0 to `base * 2 ** (attempt - 1)`, at most `cap`.

    Full jitter spreads concurrent retries at the least cost (AWS Architecture Blog, "Exponential Backoff And Jitter").

    Attributes:
        base: ceiling of the first wait, in seconds.
        cap: ceiling of every wait, in seconds.
        uniform: draws the wait between two bounds; replaced in tests.
    """

    base: float = 1.0
    cap: float = 60.0
    uniform: Callable[[float, float], float] = random.uniform

    def __post_init__(self) -> None:
        if self.base <= 0 or self.cap < self.base:
            raise ValueError("a retry policy needs 0 < base <= cap")

    def ceiling(self, attempt: int) -> float:
        """The longest wait after the given attempt (1 is the first), in seconds."""
        # 2 ** 60 already exceeds any cap; beyond that the power overflows a float.
        return min(self.cap, self.base * 2.0 ** min(max(attempt, 1) - 1, 60))

    def delay(self, attempt: int) -> float:
        """The wait after the given attempt (1 is the first), in seconds."""
        return self.uniform(0.0, self.ceiling(attempt))
