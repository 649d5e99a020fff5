"""What a checkpoint shows about itself, its copy in the database and the rows under it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from switchyard.audit.records.row_mac import MacKeys, invalid_mac_reason
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    explain_unlinked,
    time_problem,
)
from switchyard.audit.verification.findings import Finding, FindingKind
from switchyard.runtime.core.clock import moment
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.storage.locked_objects import LockMode, ObjectLock

COPY_GRACE = timedelta(minutes=5)
"""How long the database's copy of a checkpoint may lag behind: the checkpointer may have been killed in between."""


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A log entry and its row. Without `case_id` the row is missing; without `body_sha256` its body was retired.

    `retired`: a valid receipt replaces the body, or the row of a dropped partition.
    """

    leaf: Leaf
    case_id: str | None
    digest: str | None
    recorded_at: datetime | None
    mac: tuple[bytes, str] | None
    body_sha256: bytes | None
    retired: bool = False

    @property
    def body_retired(self) -> bool:
        """Whether the row has no body."""
        return self.case_id is not None and self.body_sha256 is None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """An object that should be a checkpoint. `copy` is the database's: the body and the signature."""

    number: int
    data: bytes | None
    versions: int
    lock: ObjectLock | None
    copy: tuple[str, bytes] | None


def read_checkpoint(
    stored: StoredCheckpoint, head: LogHead, keys: TrustedKeys, *, log: str
) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint, if there is one to compare rows with, and its findings."""
    name, found = f"checkpoint {stored.number}", []
    if stored.versions > 1:
        why = f"{name} was overwritten or marked as deleted {stored.versions - 1} times; its first version is read"
        found.append(Finding(FindingKind.CHECKPOINT_OVERWRITTEN, why))
    if stored.data is None:
        return None, [*found, Finding(FindingKind.CHECKPOINT_MISSING, f"{name} has no version left")]
    try:
        checkpoint = Checkpoint.from_bytes(stored.data)
    except UnreadableCheckpoint as error:
        return None, [*found, Finding(FindingKind.CHECKPOINT_UNREADABLE, f"{name}: {error}")]
    body = checkpoint.body
    if reason := keys.invalid_reason(body.key, body.signed_bytes(), checkpoint.signature):
        forged = Finding(FindingKind.CHECKPOINT_FORGED, f"{name}: {reason} (key {body.key})", "signature")
        return None, [*found, forged]
    if body.log != log or body.number != stored.number:
        why = f"{name} is checkpoint {body.number} of the log {body.log}"
        return None, [*found, Finding(FindingKind.CHECKPOINT_UNLINKED, why, "number")]
    if reason := explain_unlinked(head, body):
        found.append(Finding(FindingKind.CHECKPOINT_UNLINKED, f"{name}: {reason}", "previous"))
    return checkpoint, found


def check_object_lock(stored: StoredCheckpoint, *, mode: LockMode, now: datetime) -> Iterator[Finding]:
    """The findings about an unprotected checkpoint, which a person who may sign and write could have replaced.

    `mode` is the weakest accepted mode: the account's administrator can lift a lock in governance mode.
    """
    if stored.data is None:
        return
    name, lock, field = f"checkpoint {stored.number}", stored.lock, None
    if lock is None:
        why = f"{name} is not under Object Lock"
    elif lock.mode not in {"COMPLIANCE", mode}:
        why, field = f"{name} is locked in the mode {lock.mode} instead of {mode}", "mode"
    elif lock.until <= now:
        why, field = f"the lock of {name} ended on {lock.until.isoformat()}", "until"
    else:
        return
    yield Finding(FindingKind.CHECKPOINT_UNLOCKED, why, field)


def check_database_copy(copy: tuple[str, bytes] | None, checkpoint: Checkpoint, *, now: datetime) -> Iterator[Finding]:
    """The differences between a checkpoint and the database's copy, which may lag by `COPY_GRACE`."""
    body = checkpoint.body
    if copy is None and now - moment(body.made_at) > COPY_GRACE:
        why = f"the database has no copy of checkpoint {body.number} of {body.made_at}"
        yield Finding(FindingKind.CHECKPOINT_DIFFERS, why)
    if copy is not None and copy != (body.signed_bytes().decode(), checkpoint.signature):
        why = f"the database's copy of checkpoint {body.number} differs from the one in the store"
        yield Finding(FindingKind.CHECKPOINT_DIFFERS, why)


def check_times(checkpoint: Checkpoint, rows: Sequence[IndexedRow]) -> Iterator[Finding]:
    """The entries that cannot have been recorded when they say, by the times of the checkpoints around them."""
    for indexed in rows:
        if why := time_problem(checkpoint.body, indexed.leaf.recorded_at):
            yield _build_row_finding(indexed, FindingKind.BACKDATED, why, "recorded_at")


def check_mac(keys: MacKeys, indexed: IndexedRow) -> Iterator[Finding]:
    """The finding about an entry that the audit process did not make. `keys` has loaded the entry's key."""
    leaf = indexed.leaf
    if why := invalid_mac_reason(keys, leaf.row, leaf.mac, leaf.mac_key, leaf.recorded_at):
        yield _build_row_finding(indexed, FindingKind.FORGED_ROW, f"log index {leaf.log_index}: {why}", "mac")


def check_leaves(checkpoint: Checkpoint, rows: Sequence[IndexedRow]) -> Iterator[Finding]:
    """The differences between the entries under a checkpoint and its signed leaves. `rows` are in order."""
    body = checkpoint.body
    by_index = {indexed.leaf.log_index: indexed for indexed in rows}
    signed_on = f"checkpoint {body.number} of {body.made_at}"
    for log_index, leaf in enumerate(checkpoint.leaves, start=body.first):
        indexed = by_index.get(log_index)
        if indexed is not None and indexed.leaf.hash() != leaf:
            why = f"the entry at log index {log_index} differs from the leaf in {signed_on}"
            yield _build_row_finding(indexed, FindingKind.INDEX_DIFFERS, why)
    missing = [log_index for log_index in range(body.first, body.last + 1) if log_index not in by_index]
    if missing:
        which = f"log indexes {missing[0]} to {missing[-1]}" if len(missing) > 1 else f"log index {missing[0]}"
        why = f"{which}: {len(missing)} entries that {signed_on} covers are missing"
        yield Finding(FindingKind.INDEX_MISSING, why, "log_index")


def check_indexed_row(indexed: IndexedRow) -> Iterator[Finding]:
    """The differences between a log entry and its row."""
    leaf = indexed.leaf
    if indexed.case_id is None:
        why = f"the row of log index {leaf.log_index}, recorded at {leaf.recorded_at.isoformat()}, is missing"
        yield _build_row_finding(indexed, FindingKind.ROW_MISSING, why)
        return
    if indexed.body_retired and not indexed.retired:
        why = f"the body of log index {leaf.log_index} is missing, and no valid receipt names it"
        yield _build_row_finding(indexed, FindingKind.BODY_MISSING, why, "body")
    for name, was, is_ in (
        ("transcript_hash", leaf.digest, indexed.digest),
        ("recorded_at", leaf.recorded_at, indexed.recorded_at),
        ("mac", (leaf.mac, leaf.mac_key), indexed.mac),
        ("body", leaf.body_sha256, indexed.body_sha256 or leaf.body_sha256),
    ):
        if was != is_:
            why = f"the {name} of log index {leaf.log_index} was changed after the row was written"
            yield _build_row_finding(indexed, FindingKind.ROW_DIFFERS, why, name)


def as_indexed(leaf: Leaf, case_id: str) -> IndexedRow:
    return IndexedRow(leaf, case_id, leaf.digest, leaf.recorded_at, (leaf.mac, leaf.mac_key), None)


def _build_row_finding(indexed: IndexedRow, kind: FindingKind, why: str, field: str | None = None) -> Finding:
    return Finding(kind, why, field, indexed.case_id, indexed.leaf.event_id, indexed.leaf.opened_on)
