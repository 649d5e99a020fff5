"""Verification of the whole log by the command line: what is new, or everything, in several processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from switchyard.cli.app.audit_log import open_audit_reader, open_checkpoint_verifier
from switchyard.cli.app.connections import open_aws_client
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.keys import load_checkpoint_keys
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import CaseRange
    from switchyard.audit.verification.checkpoint_verifier import CheckpointPart, CheckpointRange, CheckpointVerifier
    from switchyard.audit.verification.findings import CheckpointReport, VerifyReport
    from switchyard.audit.verification.verified_prefix import VerificationRecords

Part = TypeVar("Part")
Done = TypeVar("Done")
ROWS_FOR_PROCESSES = 50_000
"""A smaller log is verified sooner than further processes start."""

_PARTS_PER_PROCESS = 4
"""Ranges are not quite equal: a process that is done early takes another."""


def choose_processes(asked: int | None, rows: int) -> int:
    """How many processes verify a log of this size."""
    return asked or (min(os.cpu_count() or 1, 8) if rows >= ROWS_FOR_PROCESSES else 1)


async def verify_chain(target: Target, now: datetime, processes: int | None) -> VerifyReport:
    """Verify every chain. Raises `CommandFailed` and `Unavailable`."""
    from switchyard.audit.verification.in_parts import verify_chain_in_parts

    async with open_audit_reader(target) as log:
        count = choose_processes(processes, await log.size())
        if count == 1:
            return await log.verify(now=now)
        async with _runner(target, _verify_cases, count) as run:
            return await verify_chain_in_parts(log, run, parts=count * _PARTS_PER_PROCESS, now=now)


async def verify_everything(
    target: Target, now: datetime, processes: int | None
) -> tuple[VerifyReport, CheckpointReport]:
    """Verify every chain, and every row against its checkpoint. Raises `CommandFailed` and `Unavailable`."""
    from switchyard.audit.verification.in_parts import verify_checkpoints_in_parts

    chain = await verify_chain(target, now, processes)
    async with open_checkpoint_verifier(target) as verifier:
        count = choose_processes(processes, chain.rows)
        if count == 1:
            return chain, await verifier.verify(now=now)
        async with _runner(target, _verify_checkpoints, count) as run:
            return chain, await verify_checkpoints_in_parts(verifier, run, parts=count * _PARTS_PER_PROCESS, now=now)


@asynccontextmanager
async def open_verification_records(target: Target, verifier: CheckpointVerifier) -> AsyncIterator[VerificationRecords]:
    """The records of what was verified, in the bucket of the checkpoints."""
    from switchyard.audit.verification.verified_prefix import VerificationRecords
    from switchyard.runtime.crypto.signing import TrustedKeys
    from switchyard.runtime.storage.locked_objects import LockedObjects

    settings = target.settings
    async with open_aws_client(target, "s3") as s3:
        objects = LockedObjects(s3, settings.checkpoint_bucket, mode=settings.checkpoint_lock_mode)
        keys = TrustedKeys(load_checkpoint_keys(target))
        yield VerificationRecords(objects, keys, settings.checkpoint_log, verifier.checks)


@asynccontextmanager
async def _runner(
    target: Target, work: Callable[[dict[str, str], Part], Done | tuple[str, str]], processes: int
) -> AsyncIterator[Callable[[Part], Awaitable[Done]]]:
    """Runs `work` on a part in one of so many processes, each with connections of its own."""
    from asyncio import get_running_loop
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    loop = get_running_loop()

    async def run(part: Part) -> Done:
        done = await loop.run_in_executor(pool, partial(work, dict(target.environment), part))
        if isinstance(done, tuple):
            raise CommandFailed(done[0], remedy=done[1])
        return done

    try:
        yield run
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _verify_cases(environment: Mapping[str, str], part: CaseRange) -> VerifyReport | tuple[str, str]:
    async def verify() -> VerifyReport:
        async with open_audit_reader(Target(environment)) as log:
            return await log.verify_range(part)

    return _run(verify)


def _verify_checkpoints(environment: Mapping[str, str], part: CheckpointRange) -> CheckpointPart | tuple[str, str]:
    async def verify() -> CheckpointPart:
        async with open_checkpoint_verifier(Target(environment)) as verifier:
            return await verifier.verify_range(part)

    return _run(verify)


def _run(verify: Callable[[], Awaitable[Done]]) -> Done | tuple[str, str]:
    """What a part found; or its error and remedy, because errors with arguments of their own cannot be pickled."""
    import asyncio

    from switchyard.runtime.core.errors import TaskError

    async def run() -> Done:
        return await verify()

    try:
        return asyncio.run(run())
    except TaskError as error:
        return error.message, error.remedy or "repeat the command"
