"""The keys of receipts: with which a command signs them, and which a verification believes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from switchyard.cli.app.aws import open_aws_client
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.runtime.core.errors import TaskError
from switchyard.runtime.crypto.signing import KmsSigner, LocalSigner, Signer, TrustedKeys, public_keys


@asynccontextmanager
async def open_receipt_signer(target: Target) -> AsyncIterator[Signer]:
    """What signs receipts: KMS if SWITCHYARD_RECEIPT_KMS_KEY_ID names a key, else SWITCHYARD_RECEIPT_KEY."""
    kms_key_id = target.get("SWITCHYARD_RECEIPT_KMS_KEY_ID")
    if kms_key_id is None:
        try:
            yield LocalSigner(bytes.fromhex(target.need("SWITCHYARD_RECEIPT_KEY")))
        except ValueError as error:
            raise CommandFailed("SWITCHYARD_RECEIPT_KEY is no key", remedy="set 32 bytes in hex") from error
        return
    async with open_aws_client(target, "kms") as kms:
        try:
            signer = await KmsSigner.open(kms, kms_key_id)
        except TaskError as error:
            raise CommandFailed(str(error), remedy=error.remedy) from error
        yield signer


def load_receipt_keys(target: Target) -> TrustedKeys:
    """The keys whose receipts count: SWITCHYARD_RECEIPT_PUBLIC_KEYS. Without any, a retired row is a finding."""
    try:
        return TrustedKeys(public_keys(target.get("SWITCHYARD_RECEIPT_PUBLIC_KEYS") or ""))
    except ValueError as error:
        remedy = "separate by commas what `aws kms get-public-key --query PublicKey --output text` prints"
        raise CommandFailed(f"SWITCHYARD_RECEIPT_PUBLIC_KEYS: {error}", remedy=remedy) from error
