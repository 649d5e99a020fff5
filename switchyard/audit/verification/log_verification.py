"""Verification of the whole log, chains and checkpoints: of every row, or of what is new since the last time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.audit.verification.findings import CheckpointReport, VerifyReport
from switchyard.audit.verification.verified_prefix import (
    NoVerifiedPrefix,
    VerificationRecord,
    VerificationRecords,
    VerifiedPrefix,
)
from switchyard.runtime.core.errors import TaskError

VerifyEverything = Callable[[datetime], Awaitable[tuple[VerifyReport, CheckpointReport]]]
"""Reads every row, at this time of the verifier's clock."""


@dataclass(frozen=True, slots=True)
class LogVerification:
    """What was verified. Without `prefix` every row was read; `reason` is why, if less was asked for.

    `record` is what the next run may build on. `unrecorded` is why there is no new one.
    """

    chain: VerifyReport
    checkpoints: CheckpointReport
    prefix: VerifiedPrefix | None = None
    reason: str | None = None
    record: VerificationRecord | None = None
    unrecorded: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there are no findings in what was read."""
        return self.chain.ok and self.checkpoints.ok


async def verify_log(
    log: AuditReader,
    verifier: CheckpointVerifier,
    records: VerificationRecords,
    everything: VerifyEverything,
    *,
    now: datetime,
    full_every: timedelta | None,
) -> LogVerification:
    """Verify the log at `now`. With `full_every` only what is new since the last verified checkpoint, unless nothing
    was verified before or every row was last read longer ago than that.

    A run with findings records nothing, so that the next one finds them again. Raises `Unavailable`.
    """
    prefix, reason = None, None
    if full_every is not None:
        try:
            prefix = await records.latest(now)
        except NoVerifiedPrefix as why:
            reason = str(why)
        if prefix is not None and not timedelta() <= now - prefix.full_at < full_every:
            reason = f"every row was last read at {prefix.record.full_at}"
            prefix = None
    if prefix is None:
        chain, checkpoints = await everything(now)
    else:
        chain = await log.verify_since(prefix, now=now)
        checkpoints = await verifier.verify(after=prefix, now=now)
    found = LogVerification(chain, checkpoints, prefix, reason)
    settled = checkpoints.settled
    if not found.ok:
        return _unrecorded(found, "there are findings")
    if settled is None:
        return _unrecorded(found, "the newest checkpoints are too young: findings about their rows may be pending")
    full_at = now if prefix is None else prefix.full_at
    try:
        record = await records.keep(settled, first=checkpoints.first_index, full_at=full_at, now=now)
    except TaskError as error:
        return _unrecorded(found, str(error))
    return LogVerification(chain, checkpoints, prefix, reason, record)


def _unrecorded(found: LogVerification, why: str) -> LogVerification:
    return LogVerification(found.chain, found.checkpoints, found.prefix, found.reason, None, why)
