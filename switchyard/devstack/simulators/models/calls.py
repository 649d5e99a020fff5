"""The log of calls: what was asked of the simulator and how each call ended. No text of any prompt is kept."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Literal, get_args

RECENT_CALLS = 200

CallOutcome = Literal["active", "completed", "failed", "aborted", "expired", "dropped"]
"""completed: answered. failed: a planned error. aborted: the client left first. expired: a stall reached its limit.
dropped: the simulator was stopped meanwhile."""


@dataclass(slots=True, eq=False)
class RecordedCall:
    """One call. `tokens_sent` grows while it is active."""

    wire: str
    model: str
    rule: str | None
    stream: bool
    fault: str | None
    scripted: bool
    outcome: CallOutcome = "active"
    tokens_sent: int = 0


class CallLog:
    """Counts calls, and remembers the most recent ones."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count from the start. Calls that are still running are forgotten."""
        self._by: dict[str, Counter[str]] = {name: Counter() for name in ("model", "rule", "fault")}
        self._outcomes: Counter[tuple[bool, CallOutcome]] = Counter()
        self._unscripted = 0
        self._active: set[RecordedCall] = set()
        self._recent: deque[RecordedCall] = deque(maxlen=RECENT_CALLS)

    def begin(self, call: RecordedCall) -> None:
        """Count a call that begins."""
        for name, counts in self._by.items():
            if (value := getattr(call, name)) is not None:
                counts[value] += 1
        self._unscripted += not call.scripted
        self._outcomes[call.stream, "active"] += 1
        self._active.add(call)
        self._recent.append(call)

    def end(self, call: RecordedCall, outcome: CallOutcome) -> None:
        """Close the record of a call. One that began before the last reset is no longer counted."""
        call.outcome = outcome
        if call in self._active:
            self._active.remove(call)
            self._outcomes[call.stream, "active"] -= 1
            self._outcomes[call.stream, outcome] += 1

    def report(self) -> dict[str, object]:
        """Everything counted since the start or the last reset."""
        kinds = {
            kind: {outcome: self._outcomes[stream, outcome] for outcome in get_args(CallOutcome)}
            for kind, stream in (("streams", True), ("whole", False))
        }
        return {
            "calls": self._by["model"].total(),
            "unscripted": self._unscripted,
            **{f"by_{name}": dict(counts) for name, counts in self._by.items()},
            **kinds,
            "recent": [asdict(call) for call in self._recent],
        }
