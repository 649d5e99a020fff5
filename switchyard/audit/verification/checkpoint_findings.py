"""What must hold between checkpoints, log indexes and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from switchyard.audit.transparency.checkpoints import Checkpoint, Leaf, LogHead, UnreadableCheckpoint, explain_unlinked
from switchyard.audit.verification.findings import Finding, FindingKind
from switchyard.runtime.core.clock import moment
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.storage.locked_objects import LockMode, ObjectLock

COPY_GRACE = timedelta(minutes=5)
"""How long the copy of a checkpoint may lag behind the checkpoint: its maker may have been killed in between."""


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """What the log has where a log_index says that it has something.

    `body_sha256` is computed by the reader; None if the body has left the log.
    """

    case_id: str
    digest: str
    recorded_at: datetime
    body_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A log_index and the row in it; `row` is None if the log does not have it.

    `retired` is whether a receipt that counts stands for the body, or for a row whose partition was dropped.
    """

    leaf: Leaf
    row: LoggedRow | None
    retired: bool = False

    @property
    def body_retired(self) -> bool:
        """Whether retention has taken the body."""
        return self.row is not None and self.row.body_sha256 is None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """An object that should be a checkpoint. `copy` is the database's: the statement and the signature."""

    number: int
    data: bytes | None
    versions: int
    lock: ObjectLock | None
    copy: tuple[str, bytes] | None


def build_log_finding(kind: FindingKind, why: str, field: str | None = None) -> Finding:
    """A finding about no single row."""
    return Finding(kind, None, None, None, why, field)


def read_checkpoint(
    stored: StoredCheckpoint, head: LogHead, keys: TrustedKeys, *, log: str
) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint, if there is one to compare rows with, and what does not hold about it."""
    name, found = f"checkpoint {stored.number}", []
    if stored.versions > 1:
        why = f"{name} was written over, or marked as deleted, {stored.versions - 1} times; its first version is read"
        found.append(build_log_finding(FindingKind.CHECKPOINT_COVERED, why))
    if stored.data is None:
        return None, [*found, build_log_finding(FindingKind.CHECKPOINT_MISSING, f"{name} has no version left")]
    try:
        checkpoint = Checkpoint.from_bytes(stored.data)
    except UnreadableCheckpoint as error:
        return None, [*found, build_log_finding(FindingKind.CHECKPOINT_UNREADABLE, f"{name}: {error}")]
    said = checkpoint.statement
    if why_not := keys.invalid_reason(said.key, said.signed_bytes(), checkpoint.signature):
        return None, [
            *found,
            build_log_finding(FindingKind.CHECKPOINT_FORGED, f"{name}: {why_not} (key {said.key})", "signature"),
        ]
    if said.log != log or said.number != stored.number:
        why = f"{name} is checkpoint {said.number} of the log {said.log}"
        return None, [*found, build_log_finding(FindingKind.CHECKPOINT_UNLINKED, why, "number")]
    if (why_not := explain_unlinked(head, said)) is not None:
        found.append(build_log_finding(FindingKind.CHECKPOINT_UNLINKED, f"{name}: {why_not}", "previous"))
    return checkpoint, found


def check_object_lock(stored: StoredCheckpoint, *, mode: LockMode, now: datetime) -> Iterator[Finding]:
    """A checkpoint that nothing protects could have been replaced, by whoever may sign and write to the bucket.

    `mode` is the least that counts: a lock in governance mode can be lifted by the account's administrator.
    """
    if stored.data is None:
        return
    name, lock = f"checkpoint {stored.number}", stored.lock
    if lock is None:
        yield build_log_finding(FindingKind.CHECKPOINT_UNLOCKED, f"{name} is not under Object Lock")
    elif lock.mode not in {"COMPLIANCE", mode}:
        yield build_log_finding(
            FindingKind.CHECKPOINT_UNLOCKED, f"{name} is locked in the mode {lock.mode}, and not {mode}", "mode"
        )
    elif lock.until <= now:
        yield build_log_finding(
            FindingKind.CHECKPOINT_UNLOCKED, f"the lock of {name} ended on {lock.until.isoformat()}", "until"
        )


def check_database_copy(copy: tuple[str, bytes] | None, checkpoint: Checkpoint, *, now: datetime) -> Iterator[Finding]:
    """What differs between a checkpoint and the database's copy of it, which may lag by `COPY_GRACE`."""
    said = checkpoint.statement
    if copy is None and now - moment(said.made_at) > COPY_GRACE:
        why = f"the database has no copy of checkpoint {said.number} of {said.made_at}"
        yield build_log_finding(FindingKind.CHECKPOINT_DIFFERS, why)
    if copy is not None and copy != (said.signed_bytes().decode(), checkpoint.signature):
        why = f"the database's copy of checkpoint {said.number} is not the one in the store"
        yield build_log_finding(FindingKind.CHECKPOINT_DIFFERS, why)


def find_missing_checkpoints(head: LogHead, number: int) -> Iterator[Finding]:
    """A finding for the numbers between the head and the checkpoint that was found next."""
    if number > head.number + 1:
        why = f"checkpoints {head.number + 1} to {number - 1} are not in the store"
        yield build_log_finding(FindingKind.CHECKPOINT_MISSING, why)


def check_leaves(checkpoint: Checkpoint, rows: Sequence[IndexedRow]) -> Iterator[Finding]:
    """What differs between the log indexes under a checkpoint and the leaves that were signed. `rows` are in order."""
    said = checkpoint.statement
    by_position = {placed.leaf.log_index: placed for placed in rows}
    signed_on = f"checkpoint {said.number} of {said.made_at}"
    for log_index, leaf in enumerate(checkpoint.leaves, start=said.first):
        placed = by_position.get(log_index)
        if placed is not None and placed.leaf.hash() != leaf:
            why = f"log_index {log_index} is not what {signed_on} covers there"
            yield _build_row_finding(placed, FindingKind.INDEX_DIFFERS, why)
    missing = [log_index for log_index in range(said.first, said.last + 1) if log_index not in by_position]
    if missing:
        which = f"log indexes {missing[0]} to {missing[-1]}" if len(missing) > 1 else f"log_index {missing[0]}"
        why = f"{which}: {len(missing)} rows that {signed_on} covers are not in the log"
        yield build_log_finding(FindingKind.INDEX_MISSING, why, "log_index")


def check_indexed_row(placed: IndexedRow) -> Iterator[Finding]:
    """What differs between a log_index and the row in it."""
    leaf, row = placed.leaf, placed.row
    if row is None:
        why = f"the row in log_index {leaf.log_index}, recorded at {leaf.recorded_at.isoformat()}, is not in the log"
        yield _build_row_finding(placed, FindingKind.ROW_MISSING, why)
        return
    if placed.body_retired and not placed.retired:
        why = f"the body in log_index {leaf.log_index} is gone, and no receipt that counts names it"
        yield _build_row_finding(placed, FindingKind.BODY_MISSING, why, "body")
    for field, was, is_ in (
        ("transcript_hash", leaf.digest, row.digest),
        ("recorded_at", leaf.recorded_at, row.recorded_at),
        ("body", leaf.body_sha256, row.body_sha256 or leaf.body_sha256),
    ):
        if was != is_:
            why = f"the {field} in log_index {leaf.log_index} is not the one with which the row was written"
            yield _build_row_finding(placed, FindingKind.ROW_DIFFERS, why, field)


def find_index_gaps(before: int, rows: Iterable[IndexedRow]) -> Iterator[Finding]:
    """Log indexes that are missing after `before`, among those that no checkpoint covers yet."""
    for placed in rows:
        if (log_index := placed.leaf.log_index) != before + 1:
            why = f"log indexes {before + 1} to {log_index - 1} are missing"
            yield build_log_finding(FindingKind.INDEX_MISSING, why, "log_index")
        before = log_index


def _build_row_finding(placed: IndexedRow, kind: FindingKind, why: str, field: str | None = None) -> Finding:
    case = placed.row.case_id if placed.row else None
    return Finding(kind, case, placed.leaf.event_id, placed.leaf.opened_on, why, field)
