"""What goes wrong when: drawn from a seed, before anything starts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["kill", "postgres", "network", "aws", "deliveries", "clock", "disk"]
KINDS: tuple[Kind, ...] = get_args(Kind)

HOUR_S = 3600.0

_EVERY_S: dict[Kind, float] = {
    "kill": 2.0,
    "postgres": 15.0,
    "network": 4.0,
    "aws": 4.0,
    "deliveries": 2.0,
    "clock": 8.0,
    "disk": 30.0,
}
"""The mean time between two faults of a kind, in seconds."""

_LASTS_S: dict[Kind, tuple[float, float]] = {
    "kill": (0, 0),
    "postgres": (0, 0),
    "network": (0.5, 5.0),
    "aws": (0.5, 3.0),
    "deliveries": (0, 0),
    "clock": (4.0, 12.0),
    "disk": (2.0, 6.0),
}

_HOW: dict[Kind, tuple[str, ...]] = {
    "network": ("database cut", "database delay", "database silence", "aws cut", "aws delay", "aws silence"),
    "aws": ("error", "throttle", "lost answer"),
    "clock": ("ahead", "behind"),
}


@dataclass(frozen=True, order=True)
class Fault:
    """One fault. `target` is a process, or the kind of a fault that has none; times are in seconds from the start."""

    at_s: float
    kind: Kind
    target: str
    how: str = ""
    lasts_s: float = 0.0


def draw_plan(seed: int, seconds: float, processes: Sequence[str], kinds: Sequence[Kind] = KINDS) -> list[Fault]:
    """The faults of a run in their order; the same seed, length, processes and kinds give the same ones."""
    faults = []
    for kind in sorted(kinds):
        # A generator for each kind: to leave one kind out changes nothing about the others.
        chance = random.Random(f"{seed} {kind}")
        at_s, every_s = 0.0, min(_EVERY_S[kind], seconds / 2)  # a short run has one of each kind, too
        while (at_s := at_s + chance.uniform(0.5, 1.5) * every_s) < seconds:
            target = chance.choice(sorted(processes)) if kind in {"kill", "network", "aws", "clock"} else kind
            how = chance.choice(_HOW.get(kind, ("",)))
            faults.append(Fault(round(at_s, 2), kind, target, how, round(chance.uniform(*_LASTS_S[kind]), 2)))
    return sorted(faults)
