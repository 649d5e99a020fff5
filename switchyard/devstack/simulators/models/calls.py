"""The book of calls: what was asked of the simulator and how each call ended. No text of any prompt is kept."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

from switchyard.devstack.simulators.models.exchange import Prompt

RECENT_CALLS = 200

CallOutcome = Literal["completed", "failed", "aborted", "expired", "dropped"]
"""completed: answered. failed: a planned error. aborted: the client left first. expired: a stall reached its limit.
dropped: the simulator was stopped meanwhile."""

CALL_OUTCOMES: tuple[CallOutcome, ...] = ("completed", "failed", "aborted", "expired", "dropped")


@dataclass(slots=True, eq=False)
class RecordedCall:
    """One call. `tokens_sent` grows while it is active, which it is until it has an outcome."""

    wire: str
    model: str
    rule: str | None
    stream: bool
    fault: str | None
    scripted: bool
    outcome: CallOutcome | None = None
    tokens_sent: int = 0

    def report(self) -> dict[str, object]:
        """The call as GET /sim/calls shows it."""
        return {
            "wire": self.wire,
            "model": self.model,
            "rule": self.rule,
            "stream": self.stream,
            "fault": self.fault,
            "scripted": self.scripted,
            "outcome": self.outcome or "active",
            "tokens_sent": self.tokens_sent,
        }


@dataclass(slots=True)
class _Tally:
    calls: int = 0
    unscripted: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    active: set[RecordedCall] = field(default_factory=set)
    ended: Counter[tuple[bool, CallOutcome]] = field(default_factory=Counter)
    recent: deque[RecordedCall] = field(default_factory=lambda: deque(maxlen=RECENT_CALLS))


class CallLog:
    """Counts calls, and remembers the most recent ones."""

    def __init__(self) -> None:
        self._tally = _Tally()

    def begin(self, prompt: Prompt, *, rule: str | None, fault: str | None, scripted: bool) -> RecordedCall:
        """Open the record of a call."""
        call = RecordedCall(prompt.wire, prompt.model, rule, prompt.stream, fault, scripted)
        tally = self._tally
        tally.calls += 1
        tally.unscripted += not scripted
        tally.by_model[prompt.model] += 1
        if rule is not None:
            tally.by_rule[rule] += 1
        if fault is not None:
            tally.by_fault[fault] += 1
        tally.active.add(call)
        tally.recent.append(call)
        return call

    def end(self, call: RecordedCall, outcome: CallOutcome) -> None:
        """Close the record of a call. One that began before the last reset is no longer counted."""
        call.outcome = outcome
        if call in self._tally.active:
            self._tally.active.remove(call)
            self._tally.ended[call.stream, outcome] += 1

    def reset(self) -> None:
        """Count from the start. Calls that are still running are forgotten."""
        self._tally = _Tally()

    def report(self) -> dict[str, object]:
        """Everything counted since the start or the last reset."""
        tally = self._tally
        return {
            "calls": tally.calls,
            "unscripted": tally.unscripted,
            "by_model": dict(tally.by_model),
            "by_rule": dict(tally.by_rule),
            "by_fault": dict(tally.by_fault),
            "streams": self._summary(stream=True),
            "whole": self._summary(stream=False),
            "recent": [call.report() for call in tally.recent],
        }

    def _summary(self, *, stream: bool) -> dict[str, int]:
        active = sum(call.stream is stream for call in self._tally.active)
        return {"active": active, **{outcome: self._tally.ended[stream, outcome] for outcome in CALL_OUTCOMES}}
