"""Audit's message handlers. A message is deleted when its handler returns, so each returns after the commit."""

from __future__ import annotations

import random
from dataclasses import asdict

import asyncpg
import structlog

from faststream_sqs import SQSBatchMessage, SQSMessage
from switchyard.audit.records.store import AuditStore
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.circuit_breaker import CircuitBreaker, DatabaseCircuitBreaker, nack_when_unavailable

log = structlog.get_logger(__name__)


async def record_batch(
    message: SQSBatchMessage, *, store: AuditStore, breaker: DatabaseCircuitBreaker, keys: CircuitBreaker
) -> None:
    """Write a batch to the log. While the database or the rows' key is unreachable, messages stay on the queue and
    polling pauses."""
    try:
        recorded = await store.record([each.raw_body for each in message.messages])
    except Unavailable as error:
        (breaker if error.code == "database_unreachable" else keys).trip()
        log.warning("batch.deferred", code=error.code, messages=len(message.messages))
        await message.nack(delay=1.0 + 2.0 * random.random())  # noqa: S311 - spreads a fleet's retries
        return
    except asyncpg.PostgresError as error:
        # No space, no right, no table: not caused by the messages, which return to the queue with a growing delay.
        log.error("batch.failed", alarm="audit", error=type(error).__name__, reason=str(error))  # noqa: TRY400 - the reason is the whole of it
        raise
    for index in recorded.refused:
        await message.messages[index].nack()
    log.info("batch.recorded", **(asdict(recorded) | {"refused": len(recorded.refused)}))


async def drain_dead_letter(message: SQSMessage, *, store: AuditStore, breaker: DatabaseCircuitBreaker) -> None:
    """Record a dead letter on its own; one that the database still rejects is kept as an alarm."""
    async with nack_when_unavailable(message, breaker):
        recorded = await store.record([message.raw_body])
        decision = "kept" if recorded.refused else "recorded"
        log.warning("dead_letter.decided", alarm="dead_letter", decision=decision)
