"""Signed receipts of retirements and erasures. Pure.

A receipt has no content. It has each event's digest and parents, so that the chain still verifies, and the SHA-256 of
the body and of the other columns, so that an archived body and a remaining row can be verified.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from switchyard.audit.records.projection import Transition
from switchyard.protocol.canonical import canonical_json, parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Day, Sha256, Timestamp, Uuid
from switchyard.runtime.core.clock import timestamp
from switchyard.runtime.crypto.signing import Signer, TrustedKeys, key_name

ReceiptText = Annotated[str, Field(min_length=1, max_length=2_000)]


class RetiredEvent(Contract):
    """One event of a retired case: what the chain needs, and hashes of the rest."""

    event_id: Uuid
    digest: Sha256
    parents: tuple[Sha256, ...]
    body_sha256: Sha256
    columns_sha256: Sha256


class Archive(Contract):
    """Where the bodies were archived."""

    uri: Annotated[str, Field(max_length=1_000)]
    sha256: Sha256


class Retirement(Contract):
    """The statement of a retention receipt. `part` counts from 1; without `archive` the bodies were deleted."""

    format: Annotated[str, Field(pattern=r"^switchyard-retirement/1$")] = "switchyard-retirement/1"
    case_id: Uuid
    opened_on: Day
    part: Annotated[int, Field(ge=1, le=1_000)]
    playbook: str
    policy_from: str = Field(description="effective_from of the policy's row.")
    citation: ReceiptText
    last_recorded: Timestamp
    duty_until: Timestamp | None = Field(description="The end of the legal duty to keep it; null without a duty.")
    retired_at: Timestamp
    retired_by: ReceiptText
    archive: Archive | None
    objects: int = Field(ge=0, description="Artefacts in S3, deleted after the bodies.")
    events: tuple[RetiredEvent, ...]


class UnreadableReceipt(ValueError):
    """The statement of a receipt is invalid."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed statement as it is stored. `key` is the SHA-256 of the signing key's public half."""

    statement: str
    key: str
    signature: bytes

    def invalid_reason(self, trusted: TrustedKeys) -> str | None:
        """Why the signature is invalid; None if it is valid."""
        return trusted.invalid_reason(self.key, _signed_bytes(self.statement), self.signature)


@dataclass(frozen=True, slots=True)
class RetentionReceipt(Receipt):
    """A row of `retention_receipt`."""

    opened_on: date
    case_id: str
    part: int


def read_retirement(row: RetentionReceipt) -> Retirement:
    """The statement. Raises `UnreadableReceipt` if it is invalid, or about another case than its row."""
    try:
        found = Retirement.model_validate_json(canonical_json(parse_json(row.statement)))
    except (InvalidEvent, ValidationError) as error:
        raise UnreadableReceipt("its statement cannot be read") from error
    if (found.case_id, found.opened_on, found.part) != (row.case_id, row.opened_on.isoformat(), row.part):
        raise UnreadableReceipt("its statement is about another case than its row")
    return found


async def sign_receipt(statement: Contract, signer: Signer) -> Receipt:
    """Sign a statement. Raises `Unavailable` if the key cannot be reached."""
    text = canonical_json(statement.model_dump(mode="json")).decode()
    return Receipt(text, key_name(signer.public), await signer.sign(_signed_bytes(text)))


def retired_event_of(row: Transition, recorded_at: datetime) -> RetiredEvent:
    """The receipt's entry for a row. Raises `ValueError` if the row has no body any more."""
    if not row.body:
        raise ValueError("the row has no body any more")
    return RetiredEvent(
        event_id=row.event_id,
        digest=row.transcript_hash,
        parents=row.parents,
        body_sha256=hashlib.sha256(row.body.encode()).hexdigest(),
        columns_sha256=columns_sha256(row, recorded_at),
    )


def columns_sha256(row: Transition, recorded_at: datetime) -> str:
    """SHA-256, in hex, over the RFC 8785 form of every column but the body."""
    columns = {name: _plain(value) for name, value in row._asdict().items() if name != "body"}
    return hashlib.sha256(canonical_json(columns | {"recorded_at": timestamp(recorded_at)})).hexdigest()


def _signed_bytes(statement: str) -> bytes:
    # The hash, because KMS signs at most 4,096 bytes. In an object with its own format name, because the same key signs
    # checkpoints, and a signature of a receipt must not pass as one of a checkpoint.
    return canonical_json({"format": "switchyard-receipt/1", "sha256": hashlib.sha256(statement.encode()).hexdigest()})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    return value.isoformat() if isinstance(value, date) else value
