"""The waterfall of a case: what each step spent its time on, as bars on one time axis. Pure.

A step is the time from its cause to its event, by the producers' clocks. Its share of work comes from the agent's inbox
(claim to outcome); what is left before it is queue delay. Without an inbox row the two are one bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER

BarKind = Literal["queue", "work", "wait", "unsplit", "model", "model-lost"]
LEGEND: dict[BarKind, str] = {
    "queue": "queue delay",
    "work": "work",
    "unsplit": "queue and work",
    "wait": "waiting for a person or a time",
    "model": "model that answered",
    "model-lost": "model attempt that was left",
}
MIN_ROUTER_MS = 50.0
MIN_ROUTER_SHARE = 0.02
"""A message that waited shorter for the router has no lane: neither this long nor this share of the case."""


@dataclass(frozen=True)
class Bar:
    """A part of a row, in milliseconds since the case was opened."""

    kind: BarKind
    start_ms: float
    end_ms: float
    label: str
    thin: bool = False
    """A model attempt, drawn inside its step's bar."""

    @property
    def length_ms(self) -> float:
        """How long it took."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True)
class Lane:
    """One step."""

    node: str
    title: str
    event_id: str
    bars: tuple[Bar, ...]
    failed: bool = False


@dataclass(frozen=True)
class Waterfall:
    """Lanes on an axis of `span_ms`."""

    lanes: tuple[Lane, ...]
    span_ms: float
    kinds: tuple[BarKind, ...]
    ticks: tuple[float, ...] = field(default=())

    def x(self, at_ms: float) -> float:
        """Where a time is on the axis, in percent of it."""
        return round(max(0.0, min(at_ms / self.span_ms, 1.0)) * 100, 2)

    def width(self, bar: Bar) -> float:
        """How wide a bar is, in percent: wide enough to be seen."""
        return max(round(self.x(bar.end_ms) - self.x(bar.start_ms), 2), 0.25)


@dataclass(frozen=True)
class StepTiming:
    """What a lane is made from."""

    event_id: str
    node: str
    transition: str
    at_ms: float
    cause_ms: float | None
    cause_transition: str | None
    model_call: Mapping[str, Any] | None
    failed: bool


def draw_waterfall(steps: Sequence[StepTiming], work_ms: Mapping[str, float], causes: Mapping[str, str]) -> Waterfall:
    """The lanes of a case. `work_ms` says how long the task of a command was worked on, by the command's event id;
    `causes` names the command of each step. The router takes no time of its own: what it routed has one lane, of queue
    delay, where that is a part of the case that can be seen."""
    span = max((step.at_ms for step in steps), default=0.0) or 1.0
    shown, routed = [], set()
    for step in steps:
        if step.cause_ms is None:
            continue
        if step.node == ROUTER:
            cause = causes.get(step.event_id, step.event_id)
            if cause in routed or step.at_ms - step.cause_ms < max(MIN_ROUTER_MS, MIN_ROUTER_SHARE * span):
                continue
            routed.add(cause)
        shown.append(step)
    lanes = [
        Lane(
            step.node,
            f"{step.cause_transition or ''} → {step.transition}",
            step.event_id,
            _bars(step, work_ms, causes),
            step.failed,
        )
        for step in shown
    ]
    used = {bar.kind for lane in lanes for bar in lane.bars}
    return Waterfall(tuple(lanes), span, tuple(kind for kind in LEGEND if kind in used), _ticks(span))


def _bars(step: StepTiming, work_ms: Mapping[str, float], causes: Mapping[str, str]) -> tuple[Bar, ...]:
    begin, end = min(step.cause_ms or 0.0, step.at_ms), step.at_ms
    if step.node == CASE_MANAGER and step.cause_transition in _WAITS:
        return (Bar("wait", begin, end, LEGEND["wait"]),)
    if step.node == ROUTER:
        return (Bar("queue", begin, end, LEGEND["queue"]),)
    worked = work_ms.get(causes.get(step.event_id, ""))
    if worked is None:
        bars = [Bar("unsplit", begin, end, LEGEND["unsplit"])]
        began = begin
    else:
        began = max(begin, end - worked)
        bars = [Bar("work", began, end, LEGEND["work"])]
        if began > begin:
            bars.insert(0, Bar("queue", begin, began, LEGEND["queue"]))
    return (*bars, *_attempts(step, began, end))


_WAITS = frozenset({"AskApproval", "ReauthNeeded", "Wait"})


def _attempts(step: StepTiming, began: float, end: float) -> list[Bar]:
    """The attempts of the model call; they end when the step does, at the latest."""
    decision = (step.model_call or {}).get("decision")
    attempts = decision.get("attempts") if isinstance(decision, dict) else None
    found = [each for each in attempts if _is_attempt(each)] if isinstance(attempts, list) else []
    if not found:
        return []
    # The log has times since the model was called, not when that was: the last attempt cannot end after its step.
    offset = max(began, end - max(float(each["ended_ms"]) for each in found))
    return [
        Bar(
            "model" if each.get("outcome") == "won" else "model-lost",
            min(offset + each["started_ms"], end),
            min(offset + each["ended_ms"], end),
            f"{each.get('vendor', '?')} {each.get('model_id', '?')}: {each.get('outcome', '?')}",
            thin=True,
        )
        for each in found
    ]


def _is_attempt(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), int | float) and 0 <= value[name] < 1e12 for name in ("started_ms", "ended_ms")
    )


def _ticks(span_ms: float) -> tuple[float, ...]:
    """About five round times."""
    step = 1.0
    factors = (2, 2.5, 2)
    turn = 0
    while span_ms / step > 6:
        step *= factors[turn % 3]
        turn += 1
    return tuple(step * number for number in range(int(span_ms / step) + 1))
