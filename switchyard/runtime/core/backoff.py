"""The one back-off: how long to wait before the next attempt."""

from __future__ import annotations

import random

_MAX_DOUBLINGS = 32


def backoff_s(failures: int, *, base: float = 1.0, longest: float, jitter: bool = True) -> float:
    """Seconds to wait after so many failures in a row, counted from 1: `base`, doubled each time, `longest` at most.
    With jitter it is between half of that and all of it, so that a fleet does not retry at the same moment."""
    seconds = min(longest, base * 2.0 ** min(max(failures, 1) - 1, _MAX_DOUBLINGS))
    return seconds * (0.5 + 0.5 * random.random()) if jitter else seconds  # noqa: S311
