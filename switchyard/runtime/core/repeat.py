"""Something done again and again beside the consumers, at rest while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker

log = structlog.get_logger(__name__)


async def run_periodically(
    name: str, tick: Callable[[], Awaitable[object]], gate: DatabaseCircuitBreaker, *, every_s: float
) -> None:
    """Tick until cancelled. What a tick leaves undone when something is away, the next one finds."""
    while True:
        if gate.open:
            try:
                await tick()
            except Unavailable as error:
                log.warning("tick.deferred", of=name, code=error.code)
                if error.code == "database_unreachable":
                    gate.trip()
        await asyncio.sleep(every_s)
