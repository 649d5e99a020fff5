"""Circuit breakers: consuming stops while a dependency is unreachable, and no attempt is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from faststream_sqs import SQSMessage
from switchyard.runtime.core.backoff import backoff_s
from switchyard.runtime.core.errors import InboxLeaseLost, Unavailable
from switchyard.runtime.database.connections import Pool, translate_errors

log = structlog.get_logger(__name__)
PROBE_S = 0.75
LONGEST_WAIT_S = 120.0
"""With 100 receives before the dead-letter queue, an outage of three hours uses up no message."""

LONGEST_DELAY_S = 900.0
"""Upper limit of a delay that an error itself names."""

DEFERRED_RECEIVES_ALARM = 6
"""After how many receives, which is about a minute, it is an alarm that something stays unavailable: the bus, S3, KMS.
In AWS that is a policy or an endpoint more often than an outage, and nothing else would say so."""


class Pausable(Protocol):
    """A subscriber that can stop and resume polling."""

    def pause(self, reason: str) -> None:
        """Stop polling."""

    def resume(self) -> None:
        """Poll again."""


class CircuitBreaker:
    """Pauses subscribers when a dependency goes away and resumes them when `probe` finds it back.

    `probe` raises `Unavailable`, or a database's error, while it is away. `alarm` names it in logs and alarms.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], *, alarm: str) -> None:
        self._name = alarm
        self._ask = probe
        self._subscribers: list[Pausable] = []
        self._probe: asyncio.Task[None] | None = None

    def watch_subscriber(self, subscriber: Pausable) -> None:
        """Pause this subscriber with the others."""
        self._subscribers.append(subscriber)

    @property
    def available(self) -> bool:
        """Whether the dependency answered when it was last asked."""
        return self._probe is None

    def trip(self) -> None:
        """Pause everything and probe until the dependency answers."""
        if self._probe is not None:
            return
        unreachable, fields = f"{self._name}.unreachable", {"alarm": self._name}
        log.warning(unreachable, **fields)
        for subscriber in self._subscribers:
            subscriber.pause(self._name)
        self._probe = asyncio.create_task(self._reopen())

    async def close(self) -> None:
        """Stop probing."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    async def _reopen(self) -> None:
        while True:
            try:
                await self._ask()
                break
            except Exception as error:  # noqa: BLE001
                # Any error means that it is not back: a probe that gave up would leave the consumer paused for ever.
                log.debug("breaker.still_open", of=self._name, error=type(error).__name__)
                await asyncio.sleep(backoff_s(1, base=PROBE_S, longest=PROBE_S))
        back = f"{self._name}.back"
        log.info(back)
        self._probe = None
        for subscriber in self._subscribers:
            subscriber.resume()


class DatabaseCircuitBreaker(CircuitBreaker):
    """The circuit breaker of a process's database."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(self._select, alarm="database")
        self._pool = pool

    async def _select(self) -> None:
        with translate_errors("the database"):
            await self._pool.fetchval("select 1", timeout=2)


@asynccontextmanager
async def nack_when_unavailable(message: SQSMessage, breaker: DatabaseCircuitBreaker | None) -> AsyncIterator[None]:
    """Return the message to its queue when a dependency is unavailable, and trip the breaker if it is the database."""
    try:
        yield
    except Unavailable as error:
        if breaker is not None and error.code == "database_unreachable":
            breaker.trip()
        # A database has an alarm of its own, and who names a delay knows what it waits for.
        planned = error.code == "database_unreachable" or error.after_s is not None
        if message.receive_count < DEFERRED_RECEIVES_ALARM or planned:
            log.warning("message.deferred", code=error.code, reason=error.message)
        else:
            log.error("message.deferred", alarm="deferred", code=error.code, reason=error.message)  # noqa: TRY400 - the message is the whole of it
        if error.after_s is not None:
            await message.nack(delay=min(error.after_s, LONGEST_DELAY_S))
            return
        # Doubled with each receive: an outage must not use up the receives that a message has.
        await message.nack(delay=backoff_s(message.receive_count, base=2.0, longest=LONGEST_WAIT_S))
    except InboxLeaseLost as error:
        log.warning("message.deferred", code=error.code, reason=error.message)
        await message.nack(delay=0)
