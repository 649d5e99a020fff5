"""Verification of the log against its checkpoints, which prove from outside the database what its rows were.

The role `audit_reader` is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from switchyard.audit.receipts.receipts import RetentionReceipt
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.row_mac import MacKeys, invalid_mac_reason
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    Leaf,
    LogHead,
    UnreadableCheckpoint,
    checkpoint_key,
    checkpoint_number,
    explain_unlinked,
    head_after,
    time_problem,
)
from switchyard.audit.verification.findings import CheckpointReport, Finding, FindingKind
from switchyard.audit.verification.retired_cases import NO_TRUSTED_KEYS, RetiredCase, lock_partitions
from switchyard.runtime.core.clock import Clock, SystemClock, moment
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.locked_objects import LockedObjects, LockMode, ObjectKey, ObjectLock

_SQL = load_queries(__file__)
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


def _as_indexed(leaf: Leaf, case_id: str) -> IndexedRow:
    return IndexedRow(leaf, case_id, leaf.digest, leaf.recorded_at, (leaf.mac, leaf.mac_key), None)


def _build_row_finding(indexed: IndexedRow, kind: FindingKind, why: str, field: str | None = None) -> Finding:
    return Finding(kind, why, field, indexed.case_id, indexed.leaf.event_id, indexed.leaf.opened_on)


@dataclass
class CheckpointVerifier:
    """Verifies the rows of one log against its checkpoints.

    Without `locks` a checkpoint may lack Object Lock, because AWS emulators lose locks when they stop. `mode` is the
    weakest accepted lock mode. `receipts` are the keys that may have signed a retention receipt: without them every
    retired row is a finding. With `macs` each entry's MAC is checked as well. Raises `Unavailable` when the database,
    the store or KMS cannot be reached.
    """

    pool: Pool
    objects: LockedObjects
    keys: TrustedKeys
    _: KW_ONLY
    log: str = "main"
    locks: bool = True
    mode: LockMode = "COMPLIANCE"
    receipts: TrustedKeys = NO_TRUSTED_KEYS
    macs: MacKeys | None = None
    clock: Clock = field(default_factory=SystemClock)
    _dropped: frozenset[str] = field(default=frozenset(), init=False)

    async def verify(self, progress: Callable[[CheckpointReport], None] | None = None) -> CheckpointReport:
        """Compare every row with the checkpoint that covers it, in bounded memory. `progress` gets the report before
        it is complete, after each checkpoint.

        The store is listed before the database's snapshot is taken. A checkpoint covers committed rows only, so what a
        listed checkpoint covers and the snapshot lacks is missing.
        """
        report = CheckpointReport()
        newest = 0
        async with aclosing(self._listed()) as listed:
            async for number, _ in listed:
                newest = number
        async with (
            Database(self.pool, AUDIT_DATABASE, _SQL).transaction(isolation="repeatable_read", readonly=True) as log,
            aclosing(_indexed_rows(log)) as rows,
        ):
            self._dropped = await lock_partitions(log)
            await self._compare(log, rows, newest, report, progress or (lambda _: None))
            await self._check_rest(log, newest, report)
        return report

    async def _compare(
        self,
        log: Database,
        rows: AsyncGenerator[IndexedRow, None],
        newest: int,
        report: CheckpointReport,
        progress: Callable[[CheckpointReport], None],
    ) -> None:
        head, ahead = LogHead(), await anext(rows, None)
        async with aclosing(self._listed()) as listed:
            async for number, kept in listed:
                if number > newest:
                    break
                if number > head.number + 1:
                    why = f"checkpoints {head.number + 1} to {number - 1} are not in the store"
                    report.add([Finding(FindingKind.CHECKPOINT_MISSING, why)])
                stored = await self._stored(log, number, kept)
                checkpoint, found = read_checkpoint(stored, head, self.keys, log=self.log)
                report.add(found)
                unlocked = list(check_object_lock(stored, mode=self.mode, now=self.clock.now()))
                report.unlocked += len(unlocked)
                report.add(unlocked if self.locks else ())
                report.checkpoints += 1
                if checkpoint is None:
                    # There are no leaves to compare rows with; the next checkpoint names where it continues.
                    head = replace(head, number=number)
                    continue
                covered: list[IndexedRow] = []
                while ahead is not None and ahead.leaf.log_index <= checkpoint.body.last:
                    covered.append(ahead)
                    ahead = await anext(rows, None)
                covered = await self._with_receipts(log, covered)
                report.add(check_database_copy(stored.copy, checkpoint, now=self.clock.now()))
                report.add(each for indexed in covered for each in check_indexed_row(indexed))
                report.add(check_leaves(checkpoint, covered))
                report.add(check_times(checkpoint, [each for each in covered if each.leaf.log_index > head.last]))
                report.add([found for indexed in covered for found in await self._check_mac(indexed)])
                for indexed in covered:
                    self._count(indexed, indexed.leaf.log_index >= checkpoint.body.first, report)
                report.last_made_at = checkpoint.body.made_at
                progress(report)
                head = head_after(checkpoint.body)
        before = head.last
        while ahead is not None:
            (ahead,) = await self._with_receipts(log, [ahead])
            log_index = ahead.leaf.log_index
            if log_index != before + 1:
                why = f"log indexes {before + 1} to {log_index - 1} are missing"
                report.add([Finding(FindingKind.INDEX_MISSING, why, "log_index")])
            report.add(check_indexed_row(ahead))
            report.add(await self._check_mac(ahead))
            self._count(ahead, False, report)
            before, ahead = log_index, await anext(rows, None)

    async def _check_mac(self, indexed: IndexedRow) -> list[Finding]:
        if self.macs is None:
            return []
        await self.macs.load([indexed.leaf.mac_key])
        return list(check_mac(self.macs, indexed))

    async def _with_receipts(self, log: Database, rows: list[IndexedRow]) -> list[IndexedRow]:
        """The same rows, marked as retired where a valid receipt replaces a body or a row of a dropped partition."""
        gone = {indexed.leaf.event_id: indexed for indexed in rows if indexed.body_sha256 is None}
        if not gone:
            return rows
        days = list({indexed.leaf.opened_on for indexed in gone.values()})
        found = await log.rows("receipts_naming", days, list(gone), timeout_s=SCAN_TIMEOUT_S)
        for case_id, receipts in groupby([RetentionReceipt(**row) for row in found], key=attrgetter("case_id")):
            retired = RetiredCase(receipts, self.receipts, dropped=self._dropped)
            for event in retired.events:
                indexed = gone.get(event.event_id)
                if indexed is not None and retired.proves(indexed.leaf, present=indexed.case_id is not None):
                    leaf = indexed.leaf
                    row = indexed if indexed.case_id else _as_indexed(leaf, case_id)
                    gone[event.event_id] = replace(row, retired=True)
        return [gone.get(indexed.leaf.event_id, indexed) for indexed in rows]

    def _count(self, indexed: IndexedRow, covered_rows: bool, report: CheckpointReport) -> None:
        report.body_retired += indexed.body_retired
        if covered_rows:
            report.covered_rows += 1
        else:
            report.uncovered_rows += 1
            report.since = min(report.since or indexed.leaf.recorded_at, indexed.leaf.recorded_at)

    async def _check_rest(self, log: Database, newest: int, report: CheckpointReport) -> None:
        """What only the database shows: rows that wait, rows without an entry, copies without an original."""
        waiting = await log.row("count_unindexed", timeout_s=SCAN_TIMEOUT_S)
        if waiting["rows"]:
            report.unindexed = waiting["rows"]
            report.uncovered_rows += waiting["rows"]
            report.since = min(report.since or waiting["oldest"], waiting["oldest"])
        async for row in log.stream("rows_without_entry", timeout_s=SCAN_TIMEOUT_S):
            why = "the sequencer refused it, or it was inserted past the queue that gives each row its log index"
            report.add([Finding(FindingKind.ROW_UNINDEXED, why, **row)])
        for row in await log.rows("duplicates", timeout_s=SCAN_TIMEOUT_S):
            why = f"log indexes {row['first']} and {row['last']} name the same event"
            report.add([Finding(FindingKind.INDEX_DUPLICATE, why, "event_id", None, row["event_id"], row["opened_on"])])
        for row in await log.rows("checkpoints_after", self.log, newest):
            if await self.objects.get(checkpoint_key(self.log, row["number"])) is None:
                why = f"checkpoint {row['number']} is in the database and not in the store"
                report.add([Finding(FindingKind.CHECKPOINT_MISSING, why)])

    async def _stored(self, log: Database, number: int, kept: ObjectKey) -> StoredCheckpoint:
        found = await self.objects.read(kept)
        copy = await log.row("checkpoint", self.log, number)
        data, lock = (found.data, found.lock) if found else (None, None)
        return StoredCheckpoint(number, data, kept.versions, lock, (copy["body"], copy["signature"]) if copy else None)

    async def _listed(self) -> AsyncGenerator[tuple[int, ObjectKey], None]:
        prefix = checkpoint_key(self.log, 0).rpartition("/")[0] + "/"
        async with aclosing(self.objects.kept(prefix)) as listed:
            async for kept in listed:
                number = checkpoint_number(kept.key)
                if number:
                    yield number, kept


async def _indexed_rows(log: Database) -> AsyncGenerator[IndexedRow, None]:
    async for row in log.stream("indexed_rows", timeout_s=SCAN_TIMEOUT_S):
        *leaf, case_id, digest, recorded_at, mac, mac_key, body = row
        # Hashed here and not by the server, whose owner is the one under suspicion.
        body_sha256 = None if body is None else hashlib.sha256(body.encode()).digest()
        yield IndexedRow(Leaf(*leaf), case_id, digest, recorded_at, (mac, mac_key) if mac else None, body_sha256)
