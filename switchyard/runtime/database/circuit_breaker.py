"""Stop consuming while the database is away: an unreachable database is no attempt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg
import structlog

from faststream_sqs import SQSMessage
from switchyard.runtime.core.errors import InboxLeaseLost, Unavailable
from switchyard.runtime.database.connections import Pool, translate_errors

log = structlog.get_logger(__name__)
PROBE_S = 0.5
LONGEST_WAIT_S = 120.0
"""With 100 receives before the dead-letter queue, an outage of three hours uses up no message."""

LONGEST_DELAY_S = 900.0
"""Whoever knows when to look again is believed, but looks at least every quarter of an hour."""


class Pausable(Protocol):
    """A subscriber that can stop and resume polling."""

    def pause(self, reason: str) -> None:
        """Stop polling."""
        ...

    def resume(self) -> None:
        """Poll again."""
        ...


class DatabaseCircuitBreaker:
    """Pauses subscribers when the database goes away and resumes them when it answers again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._subscribers: list[Pausable] = []
        self._probe: asyncio.Task[None] | None = None

    def watch_subscriber(self, subscriber: Pausable) -> None:
        """Pause this subscriber with the others."""
        self._subscribers.append(subscriber)

    @property
    def open(self) -> bool:
        """Whether the database answered when it was last asked."""
        return self._probe is None

    def trip(self) -> None:
        """Pause everything and probe until the database answers."""
        if self._probe is not None:
            return
        log.warning("database.unreachable", alarm="database")
        for subscriber in self._subscribers:
            subscriber.pause("database")
        self._probe = asyncio.create_task(self._reopen())

    async def close(self) -> None:
        """Stop probing."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    async def _reopen(self) -> None:
        while True:
            try:
                with translate_errors("the database"):
                    await self._pool.fetchval("select 1", timeout=2)
                break
            except (Unavailable, asyncpg.PostgresError) as error:
                # Whatever it answers but an answer, it is not back yet: a probe that gave up would pause us for ever.
                log.debug("database.still_away", error=type(error).__name__)
                # Jittered, so that a fleet does not knock at the same moment.
                await asyncio.sleep(PROBE_S * (0.5 + random.random()))  # noqa: S311
        log.info("database.back")
        self._probe = None
        for subscriber in self._subscribers:
            subscriber.resume()


def _nack_delay_s(receives: int) -> float:
    """Seconds to leave a message alone: an outage must not use up its receives, nor a fleet march in step."""
    return min(LONGEST_WAIT_S, float(2 ** min(receives, 10))) * (0.5 + 0.5 * random.random())  # noqa: S311


@asynccontextmanager
async def nack_when_unavailable(message: SQSMessage, gate: DatabaseCircuitBreaker | None) -> AsyncIterator[None]:
    """Leave the message on its queue when something that we need is away, and shut the gate if it is the database."""
    try:
        yield
    except Unavailable as error:
        if gate is not None and error.code == "database_unreachable":
            gate.trip()
        log.warning("message.deferred", code=error.code, reason=error.message)
        patience = (
            _nack_delay_s(message.receive_count) if error.after_s is None else min(error.after_s, LONGEST_DELAY_S)
        )
        await message.nack(delay=patience)
    except InboxLeaseLost as error:
        log.warning("message.deferred", code=error.code, reason=error.message)
        await message.nack(delay=0)
