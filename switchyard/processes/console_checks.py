"""The comparisons of the whole log that a console can start."""

from __future__ import annotations

from switchyard.app.application import App
from switchyard.audit.reconciliation.completeness import DELIVERY_GRACE
from switchyard.audit.reconciliation.reconciler import LogPresence, Reconciler
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.console.wide_checks import (
    CheckKind,
    CheckResult,
    ConsoleProducers,
    Progress,
    RunCheck,
    WideChecks,
    checkpointed,
    reconciled,
    verified,
)
from switchyard.processes.console_settings import ConsoleSettings
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.crypto.signing import TrustedKeys, public_keys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.storage.locked_objects import LockedObjects


def wide_checks(
    app: App,
    settings: ConsoleSettings,
    log: AuditReader,
    receipts: TrustedKeys,
    *,
    audit: Pool,
    work: Pool,
    checkpoints: LockedObjects | None,
    clock: Clock,
) -> WideChecks:
    """What this deployment can compare: with the checkpoints only where their bucket is known. Raises `ValueError` for
    an invalid key."""
    database = Database(work, "the work database")
    producers = ConsoleProducers(database, (CASE_MANAGER, *app.cards))
    presence = LogPresence(audit)
    reconciler = Reconciler(producers, presence, producers.unknown_queues, clock, DELIVERY_GRACE, app.routing_table)

    async def rows(progress: Progress) -> CheckResult:
        return verified(await log.verify(progress=lambda report: progress(report.rows)))

    async def published(progress: Progress) -> CheckResult:
        return reconciled(await reconciler.run(progress=lambda report: progress(report.cases)))

    runs: dict[CheckKind, RunCheck] = {"rows": rows, "published": published}
    if checkpoints is not None:
        verifier = CheckpointVerifier(
            audit,
            checkpoints,
            TrustedKeys(public_keys(settings.checkpoint_public_keys)),
            log=settings.checkpoint_log,
            locks=settings.checkpoint_require_lock,
            mode=settings.checkpoint_lock_mode,
            receipts=receipts,
            clock=clock,
        )
        runs["checkpoints"] = _against(verifier)
    return WideChecks(database, runs)


def _against(verifier: CheckpointVerifier) -> RunCheck:
    async def checkpoints(progress: Progress) -> CheckResult:
        return checkpointed(await verifier.verify(lambda report: progress(report.covered_rows)))

    return checkpoints
