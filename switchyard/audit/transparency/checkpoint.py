"""Checkpoints: signed Merkle roots over ranges of log entries, stored outside the database. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import Base64Bytes, Field, ValidationError

from switchyard.audit.records.row_mac import CLOCK_SKEW, AuthenticRow
from switchyard.audit.transparency.merkle import leaf_hash, merkle_root
from switchyard.protocol.canonical import canonical_json, parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Sha256, Timestamp
from switchyard.runtime.core.clock import moment, timestamp

NO_PREVIOUS_HASH = "0" * 64
"""`previous` of the first checkpoint of a log."""

MAX_CHECKPOINT_ROWS = 16_384
"""Entries under one checkpoint: 512 KB of leaf hashes, and an inclusion proof of 14 hashes."""

LogName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_HASH_BYTES = 32
_NUMBERED = re.compile(r"checkpoints/[a-z0-9-]+/([0-9]{12})\.json")


@dataclass(frozen=True, slots=True)
class Leaf:
    """The Merkle leaf of one entry. It can be computed after the body was retired."""

    log_index: int
    opened_on: date
    event_id: str
    digest: str
    recorded_at: datetime
    body_sha256: bytes
    mac: bytes
    mac_key: str

    @property
    def row(self) -> AuthenticRow:
        """What the MAC covers."""
        return AuthenticRow(self.opened_on, self.event_id, self.digest, self.body_sha256)

    def hash(self) -> bytes:
        """The leaf's hash in the tree, over its canonical JSON."""
        content = {
            "log_index": self.log_index,
            "opened_on": self.opened_on.isoformat(),
            "event_id": self.event_id,
            "digest": self.digest,
            "recorded_at": timestamp(self.recorded_at),
            "body_sha256": self.body_sha256.hex(),
            "mac": self.mac.hex(),
            "mac_key": self.mac_key,
        }
        return leaf_hash(canonical_json(content))


class CheckpointBody(Contract):
    """The signed part: the root over the log indexes from `first` to `last`, and the hash of the checkpoint before."""

    format: Annotated[str, Field(pattern=r"^switchyard-checkpoint/1$")] = "switchyard-checkpoint/1"
    log: LogName
    number: Annotated[int, Field(ge=1)]
    first: Annotated[int, Field(ge=1)]
    last: Annotated[int, Field(ge=1)]
    root: Sha256
    previous: Sha256
    not_before: Timestamp | None = Field(description="No entry was recorded before it; null under the first one.")
    made_at: Timestamp
    key: Sha256

    def signed_bytes(self) -> bytes:
        """The canonical JSON that is signed."""
        return canonical_json(self.model_dump(mode="json"))

    def hash(self) -> str:
        """`previous` of the next checkpoint."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()


class _File(Contract):
    body: CheckpointBody
    signature: Base64Bytes
    leaves: Base64Bytes


class UnreadableCheckpoint(ValueError):
    """The bytes are not a checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed body, with the leaf hashes under its root: they show which row was changed."""

    body: CheckpointBody
    signature: bytes
    leaves: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The object that is stored outside the database."""
        return canonical_json(
            {
                "body": self.body.model_dump(mode="json"),
                "signature": base64.b64encode(self.signature).decode(),
                "leaves": base64.b64encode(b"".join(self.leaves)).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read `to_bytes`. Raises `UnreadableCheckpoint`, also if the leaf hashes do not lead to the root."""
        try:
            file = _File.model_validate_json(canonical_json(parse_json(data)))
        except (InvalidEvent, ValidationError) as error:
            raise UnreadableCheckpoint("it is not a checkpoint") from error
        joined = file.leaves
        leaves = tuple(joined[start : start + _HASH_BYTES] for start in range(0, len(joined), _HASH_BYTES))
        rows = file.body.last - file.body.first + 1
        if len(joined) != rows * _HASH_BYTES or merkle_root(leaves).hex() != file.body.root:
            raise UnreadableCheckpoint("its leaf hashes do not lead to its root")
        return cls(file.body, file.signature, leaves)


@dataclass(frozen=True, slots=True)
class LogHead:
    """The latest checkpoint of a log."""

    number: int = 0
    last: int = 0
    hash: str = NO_PREVIOUS_HASH
    not_before: str | None = None


def head_after(body: CheckpointBody) -> LogHead:
    """The head after this checkpoint.

    All rows that were committed when it was made have their log indexes up to `last`, unless it is full. So what the
    next one covers was recorded after it was made, less the time of a statement and between two clocks.
    """
    full = body.last - body.first + 1 >= MAX_CHECKPOINT_ROWS
    not_before = body.not_before if full else timestamp(moment(body.made_at) - CLOCK_SKEW)
    return LogHead(body.number, body.last, body.hash(), not_before)


def time_problem(body: CheckpointBody, recorded_at: datetime) -> str | None:
    """Why an entry under this checkpoint cannot have been recorded then; None if it can."""
    if body.not_before is not None and recorded_at < moment(body.not_before):
        return (
            f"it was recorded at {recorded_at.isoformat()}, and nothing under the checkpoint before {body.not_before}"
        )
    if recorded_at - moment(body.made_at) > CLOCK_SKEW:
        return f"it was recorded at {recorded_at.isoformat()}, after the checkpoint of {body.made_at}"
    return None


def next_checkpoint_body(
    head: LogHead, leaves: list[bytes], *, log: str, made_at: datetime, key: str
) -> CheckpointBody:
    """The body of the checkpoint that covers these leaves after the head."""
    return CheckpointBody(
        log=log,
        number=head.number + 1,
        first=head.last + 1,
        last=head.last + len(leaves),
        root=merkle_root(leaves).hex(),
        previous=head.hash,
        not_before=head.not_before,
        made_at=timestamp(made_at),
        key=key,
    )


def explain_unlinked(head: LogHead, body: CheckpointBody) -> str | None:
    """Why a checkpoint does not follow this head; None if it does."""
    expected = asdict(head)
    found = {
        "number": body.number - 1, "last": body.first - 1, "hash": body.previous, "not_before": body.not_before,
    }  # fmt: skip
    wrong = [name for name, value in expected.items() if found[name] != value]
    if body.last < body.first:
        wrong.append("last")
    return f"it does not continue checkpoint {head.number}: {', '.join(wrong)} differ" if wrong else None


def checkpoint_key(log: str, number: int) -> str:
    """The object's key; numbers are padded, so that a listing is in their order."""
    return f"checkpoints/{log}/{number:012d}.json"


def checkpoint_number(key: str) -> int | None:
    """The inverse of `checkpoint_key`; None for another object's key."""
    found = _NUMBERED.fullmatch(key)
    return int(found[1]) if found else None
