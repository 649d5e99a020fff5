"""Partitions, made ahead of time."""

from __future__ import annotations

import asyncio

import structlog

from runtime.errors import Unavailable
from runtime.gate import DatabaseGate
from services.audit.store import AuditStore

log = structlog.get_logger(__name__)
EVERY_S = 3_600.0
AGAIN_S = 30.0


async def make_partitions(store: AuditStore) -> bool:
    """Make what is missing; return whether all of it is there now. A month that stays blocked is an alarm."""
    made = await store.ensure_partitions()
    for name, state in made:
        if state == "created":
            log.info("partition.created", partition=name)
        else:
            log.error("partition.not_created", alarm="partition", partition=name, state=state)
    return all(state == "created" for _, state in made)


async def keep_partitions(store: AuditStore, gate: DatabaseGate) -> None:
    """Make partitions until cancelled: every hour, and sooner while something is missing."""
    while True:
        complete = False
        try:
            complete = await make_partitions(store)
        except Unavailable as error:
            log.warning("partition.deferred", code=error.code)
            gate.shut()
        await asyncio.sleep(EVERY_S if complete else AGAIN_S)
