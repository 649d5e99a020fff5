"""Composition root of audit."""

from __future__ import annotations

from functools import partial
from typing import Any

from contracts.catalogue import AUDIT
from contracts.topology import dead_letter_queue_name, queue_name
from faststream_sqs import RetryPolicy, SQSBatchMessage, SQSMessage
from runtime.gate import DatabaseGate
from runtime.process import Process, undecoded
from services.audit.handlers import drain_dead_letter, record_batch
from services.audit.owner import SCHEMA
from services.audit.settings import AuditSettings
from services.audit.store import AuditStore
from services.audit.upkeep import keep_partitions


async def run_audit() -> None:
    """Serve audit."""
    settings = AuditSettings()
    async with Process(AUDIT, settings) as process:
        pool = await process.connect(settings.audit_database_url, schema=SCHEMA)
        gate = DatabaseGate(pool)
        await process.on_exit(gate.close)
        store = AuditStore(pool)
        process.check("database", lambda: gate.open)
        subscribe(process, settings, store, gate)
        process.alongside(partial(keep_partitions, store, gate))
        await process.run()


def subscribe(process: Process, settings: AuditSettings, store: AuditStore, gate: DatabaseGate) -> None:
    """Consume audit's queue in batches, and its dead-letter queue one by one."""

    async def batch(message: SQSBatchMessage) -> None:
        await record_batch(message, store=store, gate=gate)

    async def dead_letter(message: SQSMessage) -> None:
        await drain_dead_letter(message, store=store, gate=gate)

    shared: dict[str, Any] = {
        "wait_time": settings.poll_wait_s,
        "visibility_timeout": settings.visibility_s,
        "retry": RetryPolicy(base=settings.retry_base_s, cap=60.0),
        "decoder": undecoded,
    }
    queue, dlq = queue_name(AUDIT), dead_letter_queue_name(AUDIT)
    batches = process.broker.subscriber(
        queue,
        dead_letter_queue=dlq,
        batch=True,
        max_batch=settings.batch_size,
        max_wait=settings.batch_wait_s,
        concurrency=settings.batches,
        **shared,
    )
    batches(batch)
    dead_letters = process.broker.subscriber(dlq, dead_letter_queue=None, concurrency=1, **shared)
    dead_letters(dead_letter)
    for name, subscriber in ((queue, batches), (dlq, dead_letters)):
        process.check(name, partial(getattr, subscriber, "healthy"))
        gate.guard(subscriber)
