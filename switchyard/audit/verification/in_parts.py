"""A full verification in parts that may run in parallel, with the findings of one in sequence and in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from switchyard.audit.verification.audit_reader import AuditReader, CaseRange
from switchyard.audit.verification.checkpoint_verifier import CheckpointPart, CheckpointRange, CheckpointVerifier
from switchyard.audit.verification.findings import CheckpointReport, VerifyReport

VerifyCaseRange = Callable[[CaseRange], Awaitable[VerifyReport]]
VerifyCheckpointRange = Callable[[CheckpointRange], Awaitable[CheckpointPart]]


async def verify_chain_in_parts(
    log: AuditReader, verify_range: VerifyCaseRange, *, parts: int, now: datetime
) -> VerifyReport:
    """`AuditReader.verify` of the whole log by ranges of case ids. Raises `Unavailable`."""
    report = VerifyReport("all")
    async with log.split(parts, now) as ranges:
        for done in await asyncio.gather(*map(verify_range, ranges)):
            report.merge(done)
    return await log.verify_rest(report)


async def verify_checkpoints_in_parts(
    verifier: CheckpointVerifier, verify_range: VerifyCheckpointRange, *, parts: int, now: datetime
) -> CheckpointReport:
    """`CheckpointVerifier.verify` of the whole log by ranges of checkpoints, whose boundaries are then linked.

    A range begins where the checkpoint before it says that it ends. If the rows that were compared until there do not
    end there, which takes a signed checkpoint that does not continue the one before, all is verified in sequence.
    Raises `Unavailable`.
    """
    report, reached = CheckpointReport(), 0
    async with verifier.split(parts, now) as ranges:
        for part in await asyncio.gather(*map(verify_range, ranges)):
            if part.start != reached:
                break
            report.merge(part.report)
            reached = part.reached
        else:
            return await verifier.verify_rest(ranges[-1], reached, report)
    return await verifier.verify(now=now)
