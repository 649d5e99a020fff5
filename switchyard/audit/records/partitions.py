"""Partitions of the log, created ahead of time."""

from __future__ import annotations

import structlog

from switchyard.audit.records.store import AuditStore
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
PARTITION_INTERVAL_S = 3_600.0


async def make_partitions(store: AuditStore, months_ahead: int = 3) -> None:
    """Create the missing partitions; one that is not created raises an alarm.

    Raises `Unavailable` when the database cannot be reached or a lock delays a partition: repeat it soon.
    """
    made = await store.ensure_partitions(months_ahead)
    for name, state in made:
        if state == "created":
            log.info("partition.created", partition=name)
        else:
            log.error("partition.not_created", alarm="partition", partition=name, state=state)
    if any(state == "busy" for _, state in made):
        raise Unavailable("partition_busy", "a long read delays a new partition")
