"""The keys of a command: those it signs with, and those whose signatures it trusts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from switchyard.cli.app.connections import open_aws_client
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.audit.verification.case_verifier import RowTrust
    from switchyard.protocol.signed_events import Ring, SignerRings
    from switchyard.runtime.crypto.signing import Signer, TrustedKeys
    from switchyard.runtime.database.connections import Pool


def load_operator_key(target: Target, file: Path | None = None) -> bytes:
    """The operator's private key, from a file or SWITCHYARD_OPERATOR_KEY. Raises `CommandFailed` for an invalid one."""
    where = "SWITCHYARD_OPERATOR_KEY" if file is None else str(file)
    if file is None:
        value = target.settings.operator_key
        file = Path(value) if len(value) < 256 and Path(value).is_file() else None
    try:
        return _private_key(value if file is None else file.read_text(encoding="ascii"), where)
    except (OSError, UnicodeDecodeError) as error:
        from switchyard.protocol.errors import why_unreadable

        remedy = "name a readable file that holds the key in hex"
        raise CommandFailed(f"{where} cannot be read: {why_unreadable(error)}", remedy=remedy) from error


@asynccontextmanager
async def open_receipt_signer(target: Target) -> AsyncIterator[Signer]:
    """The signer of receipts: KMS if SWITCHYARD_RECEIPT_KMS_KEY_ID is set, else the key SWITCHYARD_RECEIPT_KEY."""
    from switchyard.runtime.crypto.signing import KmsSigner, LocalSigner

    settings = target.settings
    if settings.receipt_kms_key_id is None:
        yield LocalSigner(settings.receipt_key)
        return
    async with open_aws_client(target, "kms") as kms:
        yield await KmsSigner.open(kms, settings.receipt_kms_key_id)


@contextmanager
def report_invalid_keys() -> Iterator[None]:
    """Raise `CommandFailed` for a key of 32 bytes that is no point of the curve."""
    try:
        yield
    except ValueError as error:
        raise CommandFailed(f"a key is invalid: {error}", remedy="get the public keys from their owner") from error


def load_receipt_keys(target: Target) -> TrustedKeys:
    """The keys whose receipts are trusted. Without any, verification reports each retired row."""
    from switchyard.runtime.crypto.signing import TrustedKeys

    return TrustedKeys(_public_keys(target.settings.receipt_public_keys, "SWITCHYARD_RECEIPT_PUBLIC_KEYS"))


@asynccontextmanager
async def open_row_trust(target: Target, pool: Pool) -> AsyncIterator[RowTrust]:
    """What rows are checked with: people's public keys always, and MACs if the key that wraps their keys is set."""
    from switchyard.audit.records.row_mac import MacKeys
    from switchyard.audit.verification.case_verifier import RowTrust
    from switchyard.runtime.crypto.vault import KmsKeyWrapper, LocalKeyWrapper

    settings, signers = target.settings, load_signers(target)
    if settings.row_kms_key_id is not None:
        async with open_aws_client(target, "kms") as kms:
            yield RowTrust(MacKeys(pool, KmsKeyWrapper(kms, settings.row_kms_key_id), target.clock), signers)
    elif settings.row_key is not None:
        yield RowTrust(MacKeys(pool, LocalKeyWrapper(settings.row_key), target.clock), signers)
    else:
        yield RowTrust(None, signers)


def load_signers(target: Target) -> SignerRings:
    """The public keys of approvers, operators and sources. Raises `CommandFailed` for an invalid one."""
    from switchyard.protocol.signing import OperatorKeys, source_keys

    rings: tuple[tuple[Ring, Mapping[str, bytes]], ...] = (
        ("approvers", target.settings.approvers),
        ("operators", target.settings.operators),
    )
    with report_invalid_keys():
        people: SignerRings = {
            ring: OperatorKeys(keys, title=ring[:-1], variable=f"SWITCHYARD_{ring.upper()}") for ring, keys in rings
        }
        return {**people, "sources": source_keys(target.settings.principal_keys)}


def load_checkpoint_keys(target: Target) -> list[bytes]:
    """The keys whose checkpoints are trusted."""
    return _public_keys(target.settings.checkpoint_public_keys, "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS")


def _private_key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        remedy = "an Ed25519 private key is 32 random bytes in hex: openssl rand -hex 32"
        raise CommandFailed(f"{where} is invalid: expected 32 bytes in hex", remedy=remedy)
    return key


def _public_keys(text: str, where: str) -> list[bytes]:
    from switchyard.runtime.crypto.signing import TrustedKeys, public_keys

    try:
        keys = public_keys(text)
        TrustedKeys(keys)
    except ValueError as error:
        command = "aws kms get-public-key --query PublicKey --output text"
        remedy = f"separate by commas what `{command}` prints for each key"
        raise CommandFailed(f"{where} is invalid: {error}", remedy=remedy) from error
    return keys
