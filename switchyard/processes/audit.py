"""Composition root of audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

from faststream_sqs import RetryPolicy, SQSBatchMessage, SQSMessage
from switchyard.audit.records.figures import FIGURES_INTERVAL_S, refresh_figures
from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import PARTITION_INTERVAL_S, AuditStore, make_partitions
from switchyard.audit.service.handlers import drain_dead_letter, record_batch
from switchyard.audit.service.missing_events import LogWatch
from switchyard.audit.transparency.checkpointer import Checkpointer, CheckpointSchedule
from switchyard.audit.transparency.sequencer import Sequencer
from switchyard.processes.audit_settings import AuditSettings
from switchyard.protocol.catalogue import AUDIT, Catalogue
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import KmsSigner, LocalSigner, Signer, TrustedKeys, public_keys
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper
from switchyard.runtime.database.circuit_breaker import CircuitBreaker, DatabaseCircuitBreaker
from switchyard.runtime.process.process import ServiceProcess, skip_decoding
from switchyard.runtime.storage.locked_objects import LockedObjects


async def run_audit(catalogue: Catalogue) -> None:
    """Run the audit process."""
    settings = AuditSettings()
    async with ServiceProcess(catalogue, AUDIT, settings) as process:
        pool = await process.connect(settings.audit_db_url, schema=SCHEMA)
        breaker = DatabaseCircuitBreaker(pool)
        await process.on_exit(breaker.close)
        # Compared with the database's clock, which a drill does not shift.
        clock = SystemClock()
        keys = MacKeys(pool, await open_key_wrapper(process, settings), clock)
        key_breaker = CircuitBreaker(keys.serving, alarm="mac_key")
        await process.on_exit(key_breaker.close)
        store = AuditStore(pool, catalogue, keys)
        process.check("database", lambda: breaker.available)
        process.check("mac_key", lambda: key_breaker.available)
        subscribe_audit(process, settings, store, breaker, key_breaker)
        process.run_periodically("partitions", partial(make_partitions, store), breaker, every_s=PARTITION_INTERVAL_S)
        process.run_periodically("figures", partial(refresh_figures, pool), breaker, every_s=FIGURES_INTERVAL_S)
        sequencer = Sequencer(
            pool,
            keys,
            None,
            LogWatch(process.clock).raise_due_alarms,
            every_s=settings.sequence_every_s,
            opening=await checkpointer_opening(process, settings, clock),
        )
        await process.on_exit(sequencer.finish)
        process.run_in_background("sequencer", sequencer.run)
        await process.run()


async def open_key_wrapper(process: ServiceProcess, settings: AuditSettings) -> KeyWrapper:
    """What wraps the keys of the rows' MACs. Raises `ValueError` if none is set: no row is recorded unauthenticated."""
    if settings.row_kms_key_id is not None:
        return KmsKeyWrapper(await process.client("kms"), settings.row_kms_key_id)
    if settings.row_key is not None:
        return LocalKeyWrapper(settings.row_key)
    raise ValueError("set SWITCHYARD_ROW_KMS_KEY_ID, or SWITCHYARD_ROW_KEY in the local stack")


async def checkpointer_opening(
    process: ServiceProcess, settings: AuditSettings, clock: Clock
) -> Callable[[], Awaitable[Checkpointer]] | None:
    """What makes the checkpointer, when KMS says its key; None without a bucket. Raises `ValueError` for a bucket
    without a key."""
    if settings.checkpoint_bucket is None:
        return None
    if settings.checkpoint_kms_key_id is None and settings.checkpoint_key is None:
        raise ValueError(
            "SWITCHYARD_CHECKPOINT_BUCKET is set without a signing key: set SWITCHYARD_CHECKPOINT_KMS_KEY_ID, "
            "or SWITCHYARD_CHECKPOINT_KEY in the local stack"
        )
    # Opened before `Sequencer.finish` is due at the exit, so that they close after the last checkpoint.
    kms = await process.client("kms") if settings.checkpoint_kms_key_id is not None else None
    objects = LockedObjects(await process.client("s3"), settings.checkpoint_bucket, mode=settings.checkpoint_lock_mode)
    return partial(build_checkpointer, kms, objects, settings, clock)


async def build_checkpointer(kms: Any, objects: LockedObjects, settings: AuditSettings, clock: Clock) -> Checkpointer:
    """The checkpointer. Raises `Unavailable` if KMS cannot be reached."""
    if settings.checkpoint_kms_key_id is not None:
        signer: Signer = await KmsSigner.open(kms, settings.checkpoint_kms_key_id)
    else:
        signer = LocalSigner(settings.checkpoint_key or b"")
    schedule = CheckpointSchedule(
        settings.checkpoint_rows, settings.checkpoint_every_s, timedelta(days=settings.checkpoint_keep_days)
    )
    keys = TrustedKeys([signer.public, *public_keys(settings.checkpoint_public_keys)])
    return Checkpointer(objects, signer, keys, clock, schedule, name=settings.checkpoint_log)


def subscribe_audit(
    process: ServiceProcess,
    settings: AuditSettings,
    store: AuditStore,
    breaker: DatabaseCircuitBreaker,
    keys: CircuitBreaker,
) -> None:
    """Consume audit's queue in batches, and its dead-letter queue one by one."""

    async def batch(message: SQSBatchMessage) -> None:
        await record_batch(message, store=store, breaker=breaker, keys=keys)

    async def dead_letter(message: SQSMessage) -> None:
        await drain_dead_letter(message, store=store, breaker=breaker)

    shared: dict[str, Any] = {
        "wait_time": settings.poll_wait_s,
        "visibility_timeout": settings.visibility_s,
        "retry": RetryPolicy(base=settings.retry_base_s, cap=60.0),
        "decoder": skip_decoding,
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
        breaker.watch_subscriber(subscriber)
        keys.watch_subscriber(subscriber)
