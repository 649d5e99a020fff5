"""Anchors: what is signed about the positions of the log, and what is kept outside the database. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import Base64Bytes, Field, ValidationError

from switchyard.audit.transparency.merkle import leaf_hash, root_of
from switchyard.protocol.canonical import canonical, parse
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Contract, Sha256, Timestamp
from switchyard.runtime.core.clock import timestamp

NOTHING = "0" * 64
"""What the first anchor of a log names as the one before it."""

MAX_ROWS = 16_384
"""Positions under one anchor: 512 KB of leaves, and an inclusion proof of 14 hashes."""

LogName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_HASH_BYTES = 32
_NUMBERED = re.compile(r"anchors/[a-z0-9-]+/([0-9]{12})\.json")


@dataclass(frozen=True, slots=True)
class Leaf:
    """What an anchor covers of one event. It needs no body, so it is still there when the body has been moved out."""

    position: int
    opened_on: date
    event_id: str
    digest: str
    recorded_at: datetime
    body_sha256: bytes

    def hash(self) -> bytes:
        """The leaf's hash in the tree, over its canonical JSON."""
        content = {
            "position": self.position,
            "opened_on": self.opened_on.isoformat(),
            "event_id": self.event_id,
            "digest": self.digest,
            "recorded_at": timestamp(self.recorded_at),
            "body_sha256": self.body_sha256.hex(),
        }
        return leaf_hash(canonical(content))


class Statement(Contract):
    """What is signed: the root over the positions from `first` to `last`, and the anchor before it."""

    format: Annotated[str, Field(pattern=r"^switchyard-anchor/1$")] = "switchyard-anchor/1"
    log: LogName
    number: Annotated[int, Field(ge=1)]
    first: Annotated[int, Field(ge=1)]
    last: Annotated[int, Field(ge=1)]
    root: Sha256
    previous: Sha256
    made_at: Timestamp
    key: Sha256

    def signed_bytes(self) -> bytes:
        """The canonical JSON that is signed, and whose hash the next anchor names."""
        return canonical(self.model_dump(mode="json"))

    def hash(self) -> str:
        """What the next anchor names as `previous`."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()


class _File(Contract):
    statement: Statement
    signature: Base64Bytes
    leaves: Base64Bytes


class UnreadableAnchor(ValueError):
    """The bytes are no anchor."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A signed statement, with the leaf hashes under its root: by them a changed row is found, not only its anchor."""

    statement: Statement
    signature: bytes
    leaves: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """As it is kept outside the database."""
        return canonical(
            {
                "statement": self.statement.model_dump(mode="json"),
                "signature": base64.b64encode(self.signature).decode(),
                "leaves": base64.b64encode(b"".join(self.leaves)).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Anchor:
        """Read `to_bytes`. Raises `UnreadableAnchor`, also if the leaves do not make the root."""
        try:
            file = _File.model_validate_json(canonical(parse(data)))
        except (InvalidEvent, ValidationError) as error:
            raise UnreadableAnchor("it is no anchor") from error
        joined = file.leaves
        leaves = tuple(joined[start : start + _HASH_BYTES] for start in range(0, len(joined), _HASH_BYTES))
        rows = file.statement.last - file.statement.first + 1
        if len(joined) != rows * _HASH_BYTES or root_of(leaves).hex() != file.statement.root:
            raise UnreadableAnchor("its leaves do not make its root")
        return cls(file.statement, file.signature, leaves)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log's anchors end."""

    number: int = 0
    last: int = 0
    hash: str = NOTHING


def head_of(statement: Statement) -> Head:
    """The head once this statement is the latest."""
    return Head(statement.number, statement.last, statement.hash())


def next_statement(head: Head, leaves: list[bytes], *, log: str, made_at: datetime, key: str) -> Statement:
    """What to sign about the positions that follow the head."""
    return Statement(
        log=log,
        number=head.number + 1,
        first=head.last + 1,
        last=head.last + len(leaves),
        root=root_of(leaves).hex(),
        previous=head.hash,
        made_at=timestamp(made_at),
        key=key,
    )


def follows(head: Head, statement: Statement) -> str | None:
    """Why a statement does not follow this head; None if it does."""
    expected = asdict(head)
    found = {"number": statement.number - 1, "last": statement.first - 1, "hash": statement.previous}
    wrong = [name for name, value in expected.items() if found[name] != value]
    if statement.last < statement.first:
        wrong.append("last")
    return f"it does not continue anchor {head.number} (in its {', '.join(wrong)})" if wrong else None


def key_of(log: str, number: int) -> str:
    """The object's name; numbers are padded, so that a listing is in their order."""
    return f"anchors/{log}/{number:012d}.json"


def number_of(key: str) -> int | None:
    """The inverse of `key_of`; None for another object's name."""
    found = _NUMBERED.fullmatch(key)
    return int(found[1]) if found else None
