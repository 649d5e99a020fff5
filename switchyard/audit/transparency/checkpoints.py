"""Checkpoints: what is signed about the log indexes of the log, and what is kept outside the database. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import Base64Bytes, Field, ValidationError

from switchyard.audit.transparency.merkle import leaf_hash, merkle_root
from switchyard.protocol.canonical import canonical_json, parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Sha256, Timestamp
from switchyard.runtime.core.clock import timestamp

NO_PREVIOUS_HASH = "0" * 64
"""What the first checkpoint of a log names as the one before it."""

MAX_CHECKPOINT_ROWS = 16_384
"""Log indexes under one checkpoint: 512 KB of leaves, and an inclusion proof of 14 hashes."""

LogName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_HASH_BYTES = 32
_NUMBERED = re.compile(r"checkpoints/[a-z0-9-]+/([0-9]{12})\.json")


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a checkpoint covers of one event.

    It needs no body, so it is still there when the body has been moved out.
    """

    log_index: int
    opened_on: date
    event_id: str
    digest: str
    recorded_at: datetime
    body_sha256: bytes

    def hash(self) -> bytes:
        """The leaf's hash in the tree, over its canonical JSON."""
        content = {
            "log_index": self.log_index,
            "opened_on": self.opened_on.isoformat(),
            "event_id": self.event_id,
            "digest": self.digest,
            "recorded_at": timestamp(self.recorded_at),
            "body_sha256": self.body_sha256.hex(),
        }
        return leaf_hash(canonical_json(content))


class CheckpointBody(Contract):
    """What is signed: the root over the log indexes from `first` to `last`, and the checkpoint before it."""

    format: Annotated[str, Field(pattern=r"^switchyard-checkpoint/1$")] = "switchyard-checkpoint/1"
    log: LogName
    number: Annotated[int, Field(ge=1)]
    first: Annotated[int, Field(ge=1)]
    last: Annotated[int, Field(ge=1)]
    root: Sha256
    previous: Sha256
    made_at: Timestamp
    key: Sha256

    def signed_bytes(self) -> bytes:
        """The canonical JSON that is signed, and whose hash the next checkpoint names."""
        return canonical_json(self.model_dump(mode="json"))

    def hash(self) -> str:
        """What the next checkpoint names as `previous`."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()


class _File(Contract):
    statement: CheckpointBody
    signature: Base64Bytes
    leaves: Base64Bytes


class UnreadableCheckpoint(ValueError):
    """The bytes are no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement, with the leaf hashes under its root.

    By them a changed row is found, not only its checkpoint.
    """

    statement: CheckpointBody
    signature: bytes
    leaves: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """As it is kept outside the database."""
        return canonical_json(
            {
                "statement": self.statement.model_dump(mode="json"),
                "signature": base64.b64encode(self.signature).decode(),
                "leaves": base64.b64encode(b"".join(self.leaves)).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read `to_bytes`. Raises `UnreadableCheckpoint`, also if the leaves do not make the root."""
        try:
            file = _File.model_validate_json(canonical_json(parse_json(data)))
        except (InvalidEvent, ValidationError) as error:
            raise UnreadableCheckpoint("it is no checkpoint") from error
        joined = file.leaves
        leaves = tuple(joined[start : start + _HASH_BYTES] for start in range(0, len(joined), _HASH_BYTES))
        rows = file.statement.last - file.statement.first + 1
        if len(joined) != rows * _HASH_BYTES or merkle_root(leaves).hex() != file.statement.root:
            raise UnreadableCheckpoint("its leaves do not make its root")
        return cls(file.statement, file.signature, leaves)


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where a log's checkpoints end."""

    number: int = 0
    last: int = 0
    hash: str = NO_PREVIOUS_HASH


def head_after(statement: CheckpointBody) -> LogHead:
    """The head once this statement is the latest."""
    return LogHead(statement.number, statement.last, statement.hash())


def next_checkpoint_body(
    head: LogHead, leaves: list[bytes], *, log: str, made_at: datetime, key: str
) -> CheckpointBody:
    """What to sign about the log indexes that follow the head."""
    return CheckpointBody(
        log=log,
        number=head.number + 1,
        first=head.last + 1,
        last=head.last + len(leaves),
        root=merkle_root(leaves).hex(),
        previous=head.hash,
        made_at=timestamp(made_at),
        key=key,
    )


def explain_unlinked(head: LogHead, statement: CheckpointBody) -> str | None:
    """Why a statement does not follow this head; None if it does."""
    expected = asdict(head)
    found = {"number": statement.number - 1, "last": statement.first - 1, "hash": statement.previous}
    wrong = [name for name, value in expected.items() if found[name] != value]
    if statement.last < statement.first:
        wrong.append("last")
    return f"it does not continue checkpoint {head.number} (in its {', '.join(wrong)})" if wrong else None


def checkpoint_key(log: str, number: int) -> str:
    """The object's name; numbers are padded, so that a listing is in their order."""
    return f"checkpoints/{log}/{number:012d}.json"


def checkpoint_number(key: str) -> int | None:
    """The inverse of `checkpoint_key`; None for another object's name."""
    found = _NUMBERED.fullmatch(key)
    return int(found[1]) if found else None
