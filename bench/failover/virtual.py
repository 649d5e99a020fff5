"""Replay a whole trace in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from bench.failover.contenders import FIXED_S, Contender, FixedTimeout, NoAnswer, Ours, PrimaryOnly, PydanticFallback
from bench.failover.playing import Books, playing
from bench.failover.score import Figures, with_books
from bench.failover.trace import LOST_MS, Call, Scenario, trace
from latency_failover.virtual_time import VirtualClock, VirtualTimeLoop

OURS = "ours"
BLIND = "ours, no snapshot"

Make = Callable[[str, ModelSettings | None], Model[Any]]
"""Makes the model of a role, with settings of its own."""

Build = Callable[[Make], Contender]


def builders() -> dict[str, Build]:
    """Every contender that can run in virtual time."""
    return {
        "primary only": lambda make: PrimaryOnly(make("primary", None)),
        "fixed 2 s": lambda make: FixedTimeout(make("primary", None), make("fallback", None)),
        "pydantic-ai FallbackModel": lambda make: PydanticFallback(
            make("primary", ModelSettings(request_timeout=FIXED_S)), make("fallback", None)
        ),
        OURS: lambda make: Ours(make("primary", None), make("fallback", None), clock=VirtualClock()),
        BLIND: lambda make: Ours(make("primary", None), make("fallback", None), clock=VirtualClock(), keeps=False),
    }


def replay(scenario: Scenario, build: Build) -> Figures:
    """One contender over the scenario's trace."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_replay(scenario, trace(scenario), build))


async def _replay(scenario: Scenario, calls: Sequence[Call], build: Build) -> Figures:
    books = Books()
    by_number = {call.number: call for call in calls}

    def make(role: str, settings: ModelSettings | None) -> Model[Any]:
        return playing(role, by_number, books, settings)

    reasons: dict[int, str] = {}
    loop = asyncio.get_running_loop()
    started = loop.time()
    contender = build(make)

    async def one(contender: Contender, call: Call) -> float:
        asked = loop.time()
        try:
            await contender.ask(call)
        except NoAnswer:
            return LOST_MS
        finally:
            if isinstance(contender, Ours):
                reasons[call.number] = contender.decisions[call.number].reason
        return 1_000 * (loop.time() - asked)

    tasks = []
    for call in calls:
        await asyncio.sleep(started + call.at_ms / 1_000 - loop.time())
        if scenario.restart_every and call.number and call.number % scenario.restart_every == 0:
            contender = successor(contender, build(make), round(1_000 * loop.time()))
        tasks.append(asyncio.create_task(one(contender, call)))
    found = await asyncio.gather(*tasks)
    return with_books(found, calls, books.served, reasons)


def successor(before: Contender, after: Contender, wall_ms: int) -> Contender:
    """A new process, which reads what its predecessor wrote, if it writes anything."""
    if isinstance(before, Ours) and isinstance(after, Ours) and after.keeps:
        after.snapshots = [*before.snapshots, before.model.snapshot(wall_ms=wall_ms)]
        after.model.recall(after.snapshots, wall_ms=wall_ms)
    return after
