"""Opening the store of checkpoints for a command, beside the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from switchyard.audit.export.bundle import Exporter
from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
from switchyard.cli.app.audit_log import open_pool
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.receipt_keys import load_receipt_keys
from switchyard.cli.app.target import Target
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.crypto.signing import TrustedKeys, public_keys
from switchyard.runtime.storage.locked_objects import LockedObjects, LockMode


@asynccontextmanager
async def checkpoint_reader(target: Target) -> AsyncIterator[CheckpointVerifier]:
    """Verification with checkpoints. Raises `CommandFailed` if something is not set or out of reach."""
    keys = TrustedKeys(_keys(target))
    async with _translate_errors(), _store(target) as store, open_pool(target, _DATABASE, SCHEMA) as pool:
        locks = (target.get("SWITCHYARD_CHECKPOINT_REQUIRE_LOCK") or "true").lower() != "false"
        yield CheckpointVerifier(
            pool,
            store,
            keys,
            log=_log(target),
            locks=locks,
            mode=_mode(target),
            receipts=load_receipt_keys(target),
            clock=target.clock,
        )


@asynccontextmanager
async def open_exporter(target: Target) -> AsyncIterator[Exporter]:
    """Writes bundles. Raises `CommandFailed` like `checkpoint_reader`."""
    keys = _keys(target)
    async with _translate_errors(), _store(target) as store, open_pool(target, _DATABASE, SCHEMA) as pool:
        yield Exporter(pool, store, keys, log=_log(target))


_DATABASE = "SWITCHYARD_AUDIT_DB_URL"


def _log(target: Target) -> str:
    return target.get("SWITCHYARD_CHECKPOINT_LOG") or "main"


def _mode(target: Target) -> LockMode:
    match target.get("SWITCHYARD_CHECKPOINT_LOCK_MODE") or "COMPLIANCE":
        case "COMPLIANCE" | "GOVERNANCE" as mode:
            return mode
        case other:
            raise CommandFailed(
                f"SWITCHYARD_CHECKPOINT_LOCK_MODE: {other} is no mode", remedy="COMPLIANCE, as audit has it"
            )


def _keys(target: Target) -> list[bytes]:
    name = "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS"
    try:
        keys = public_keys(target.need(name))
        TrustedKeys(keys)
    except ValueError as error:
        raise CommandFailed(
            f"{name}: {error}", remedy="aws kms get-public-key --query PublicKey --output text"
        ) from error
    return keys


@asynccontextmanager
async def _store(target: Target) -> AsyncIterator[LockedObjects]:
    endpoint = target.get("AWS_ENDPOINT_URL")
    # An emulator behind a host name has no DNS entry for each bucket.
    config = AioConfig(s3={"addressing_style": "path"}) if endpoint else None
    bucket = target.need("SWITCHYARD_CHECKPOINT_BUCKET")
    async with get_session().create_client(
        "s3",
        region_name=target.get("AWS_REGION") or "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=target.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=target.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=target.get("AWS_SESSION_TOKEN"),
        config=config,
    ) as client:
        yield LockedObjects(client, bucket)


@asynccontextmanager
async def _translate_errors() -> AsyncIterator[None]:
    try:
        yield
    except (Unavailable, PermanentTaskError) as error:
        raise CommandFailed(error.message, remedy=error.remedy) from error
