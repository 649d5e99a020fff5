"""Partitions of the log, created ahead of time."""

from __future__ import annotations

import asyncio

import structlog

from switchyard.audit.records.store import AuditStore
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.circuit_breaker import DatabaseCircuitBreaker

log = structlog.get_logger(__name__)
PARTITION_INTERVAL_S = 3_600.0
PARTITION_RETRY_S = 30.0


async def make_partitions(store: AuditStore, months_ahead: int = 3) -> bool:
    """Create the missing partitions, and raise an alarm for each that fails; whether another attempt is due soon."""
    made = await store.ensure_partitions(months_ahead)
    for name, state in made:
        if state == "created":
            log.info("partition.created", partition=name)
        else:
            log.error("partition.not_created", alarm="partition", partition=name, state=state)
    return any(state == "busy" for _, state in made)


async def maintain_partitions(store: AuditStore, gate: DatabaseCircuitBreaker) -> None:
    """Create partitions until cancelled: every hour, and sooner after a failure."""
    while True:
        again = True
        try:
            again = await make_partitions(store)
        except Unavailable as error:
            log.warning("partition.deferred", code=error.code)
            gate.trip()
        await asyncio.sleep(PARTITION_RETRY_S if again else PARTITION_INTERVAL_S)
