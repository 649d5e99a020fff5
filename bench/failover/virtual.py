"""Replay a whole trace in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from bench.failover.contenders import (
    FIXED_S,
    ContenderGaveUp,
    FailoverContender,
    FixedTimeout,
    OurFailover,
    PrimaryOnly,
    PydanticFallback,
)
from bench.failover.playing import RequestLog, traced_model
from bench.failover.score import LatencyFigures, score_with_costs
from bench.failover.trace import NO_ANSWER_MS, Scenario, TracedCall, build_trace
from latency_failover.virtual_time import VirtualClock, VirtualTimeLoop

OUR_CONTENDER = "ours"
OURS_WITHOUT_SNAPSHOT = "ours, no snapshot"

ModelFactory = Callable[[str, ModelSettings | None], Model[Any]]
"""Makes the model of a role, with settings of its own."""

ContenderFactory = Callable[[ModelFactory], FailoverContender]


def virtual_builders() -> dict[str, ContenderFactory]:
    """Every contender that can run in virtual time."""
    return {
        "primary only": lambda make: PrimaryOnly(make("primary", None)),
        "fixed 2 s": lambda make: FixedTimeout(make("primary", None), make("fallback", None)),
        "pydantic-ai FallbackModel": lambda make: PydanticFallback(
            make("primary", ModelSettings(request_timeout=FIXED_S)), make("fallback", None)
        ),
        OUR_CONTENDER: lambda make: OurFailover(make("primary", None), make("fallback", None), clock=VirtualClock()),
        OURS_WITHOUT_SNAPSHOT: lambda make: OurFailover(
            make("primary", None), make("fallback", None), clock=VirtualClock(), keeps=False
        ),
    }


def replay_trace(scenario: Scenario, build: ContenderFactory) -> LatencyFigures:
    """One contender over the scenario's trace."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_replay(scenario, build_trace(scenario), build))


async def _replay(scenario: Scenario, calls: Sequence[TracedCall], build: ContenderFactory) -> LatencyFigures:
    books = RequestLog()
    by_number = {call.number: call for call in calls}

    def make(role: str, settings: ModelSettings | None) -> Model[Any]:
        return traced_model(role, by_number, books, settings)

    reasons: dict[int, str] = {}
    loop = asyncio.get_running_loop()
    started = loop.time()
    contender = build(make)

    async def one(contender: FailoverContender, call: TracedCall) -> float:
        asked = loop.time()
        try:
            await contender.ask(call)
        except ContenderGaveUp:
            return NO_ANSWER_MS
        finally:
            if isinstance(contender, OurFailover):
                reasons[call.number] = contender.decisions[call.number].reason
        return 1_000 * (loop.time() - asked)

    tasks = []
    for call in calls:
        await asyncio.sleep(started + call.at_ms / 1_000 - loop.time())
        if scenario.restart_every and call.number and call.number % scenario.restart_every == 0:
            contender = restart_contender(contender, build(make), round(1_000 * loop.time()))
        tasks.append(asyncio.create_task(one(contender, call)))
    found = await asyncio.gather(*tasks)
    return score_with_costs(found, calls, books.served, reasons)


def restart_contender(before: FailoverContender, after: FailoverContender, wall_ms: int) -> FailoverContender:
    """A new process, which reads what its predecessor wrote, if it writes anything."""
    if isinstance(before, OurFailover) and isinstance(after, OurFailover) and after.keeps:
        after.snapshots = [*before.snapshots, before.model.snapshot(wall_ms=wall_ms)]
        after.model.restore_history(after.snapshots, wall_ms=wall_ms)
    return after
