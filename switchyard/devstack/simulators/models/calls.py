"""What became of every call since the start. Of no prompt any text is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

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


def report_calls(calls: list[RecordedCall]) -> dict[str, Any]:
    """The calls in numbers, and the most recent ones."""
    outcomes = Counter((call.stream, call.outcome) for call in calls)
    return {
        "calls": len(calls),
        "unscripted": sum(not call.scripted for call in calls),
        **{
            f"by_{name}": dict(Counter(value for call in calls if (value := getattr(call, name)) is not None))
            for name in ("model", "rule", "fault")
        },
        **{
            kind: {outcome: outcomes[stream, outcome] for outcome in get_args(CallOutcome)}
            for kind, stream in (("streams", True), ("whole", False))
        },
        "recent": [asdict(call) for call in calls[-RECENT_CALLS:]],
    }
