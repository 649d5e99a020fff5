"""Verification of the log against its checkpoints, which prove from outside the database what its rows were.

The role `audit_reader` is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from itertools import groupby, pairwise
from operator import attrgetter

from switchyard.audit.receipts.receipts import RetentionReceipt
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S
from switchyard.audit.transparency.checkpoint import (
    Leaf,
    LogHead,
    checkpoint_key,
    checkpoint_number,
    head_after,
)
from switchyard.audit.verification.checkpoint_checks import (
    IndexedRow,
    StoredCheckpoint,
    as_indexed,
    check_database_copy,
    check_indexed_row,
    check_leaves,
    check_mac,
    check_object_lock,
    check_times,
    read_checkpoint,
)
from switchyard.audit.verification.findings import CheckpointReport, Finding, FindingKind
from switchyard.audit.verification.retired_cases import NO_TRUSTED_KEYS, RetiredCase, lock_partitions
from switchyard.audit.verification.snapshots import NEW_SNAPSHOT, Snapshot, export_snapshot
from switchyard.audit.verification.verified_prefix import SETTLING, VerifiedPrefix
from switchyard.runtime.core.clock import Clock, SystemClock, moment
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries
from switchyard.runtime.storage.locked_objects import LockedObjects, LockMode, ObjectKey

_SQL = load_queries(__file__)
CheckpointProgress = Callable[[CheckpointReport], None]


@dataclass(frozen=True, slots=True)
class CheckpointRange:
    """Checkpoints after one number and up to another, of one database snapshot."""

    after: int
    up_to: int
    snapshot: str
    now: datetime


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """The report about a range. It began after the log index `start`, and all rows up to `reached` were compared."""

    report: CheckpointReport
    start: int
    reached: int


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

    @property
    def checks(self) -> frozenset[str]:
        """What this verifier checks beside the rows' hashes."""
        return frozenset(name for name, made in (("locks", self.locks), ("macs", self.macs is not None)) if made)

    async def _newest(self, after: int = 0) -> int:
        """The greatest number of a checkpoint in the store. Only those after `after` are listed."""
        newest = after
        async with aclosing(self._listed(after)) as listed:
            async for number, _ in listed:
                newest = number
        return newest

    async def verify(
        self,
        progress: CheckpointProgress | None = None,
        *,
        after: VerifiedPrefix | None = None,
        now: datetime | None = None,
    ) -> CheckpointReport:
        """Compare every row with the checkpoint that covers it, in bounded memory; with `after`, only rows after that
        prefix. `progress` gets the report before it is complete, after each checkpoint.

        The store is listed before the database's snapshot is taken. A checkpoint covers committed rows only, so what a
        listed checkpoint covers and the snapshot lacks is missing.
        """
        head = LogHead() if after is None else after.head
        report = CheckpointReport(first_index=head.last + 1)
        newest = await self._newest(head.number)
        now = now or self.clock.now()
        async with NEW_SNAPSHOT.open(Database(self.pool, AUDIT_DATABASE, _SQL)) as log:
            self._dropped = await lock_partitions(log)
            head, reached = await self._compare(log, head, newest, report, now=now, progress=progress)
            await self._check_uncovered(log, head.last, reached, report)
            await self._check_rest(log, newest, report, after)
        return report

    @asynccontextmanager
    async def split(self, parts: int, now: datetime) -> AsyncIterator[list[CheckpointRange]]:
        """All checkpoints in about equal ranges, in order, and one snapshot that lives with the context."""
        newest = await self._newest()
        async with export_snapshot(Database(self.pool, AUDIT_DATABASE, _SQL)) as snapshot:
            bounds = [newest * number // parts for number in range(parts + 1)]
            yield [CheckpointRange(*each, snapshot, now) for each in pairwise(bounds)]

    async def verify_range(self, part: CheckpointRange) -> CheckpointPart:
        """Compare the rows under a range of checkpoints, in the snapshot that another session exported."""
        report = CheckpointReport()
        head = await self._head_at(part.after)
        async with Snapshot(part.snapshot).open(Database(self.pool, AUDIT_DATABASE, _SQL)) as log:
            self._dropped = await lock_partitions(log)
            _, reached = await self._compare(log, head, part.up_to, report, now=part.now)
        return CheckpointPart(report, head.last, reached)

    async def verify_rest(self, last: CheckpointRange, reached: int, report: CheckpointReport) -> CheckpointReport:
        """Add to the report what is after the last range, and what only the database shows."""
        head = await self._head_at(last.up_to)
        async with Snapshot(last.snapshot).open(Database(self.pool, AUDIT_DATABASE, _SQL)) as log:
            self._dropped = await lock_partitions(log)
            await self._check_uncovered(log, head.last, reached, report)
            await self._check_rest(log, last.up_to, report, None)
        return report

    async def _head_at(self, number: int) -> LogHead:
        """The head after every checkpoint up to this number, as reading them in order would leave it."""
        listed = 0
        for each in range(number, 0, -1):
            async with aclosing(self.objects.kept(checkpoint_key(self.log, each))) as found:
                kept = await anext(found, None)
            if kept is None:
                continue
            listed = listed or each
            data = await self.objects.read(kept)
            stored = StoredCheckpoint(each, data.data if data else None, 1, None, None)
            checkpoint, _ = read_checkpoint(stored, LogHead(), self.keys, log=self.log)
            if checkpoint is not None:
                return replace(head_after(checkpoint.body), number=listed)
        return LogHead(listed)

    async def _compare(
        self,
        log: Database,
        head: LogHead,
        newest: int,
        report: CheckpointReport,
        *,
        now: datetime,
        progress: CheckpointProgress | None = None,
    ) -> tuple[LogHead, int]:
        """Compare the rows under the checkpoints after `head`; the head after them, and the last log index read."""
        reached = head.last
        async with aclosing(self._listed(head.number)) as listed:
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
                body = checkpoint.body
                covered = [each async for each in _indexed_rows(log, reached, body.last)] if body.last > reached else []
                reached = max(reached, body.last)
                covered = await self._with_receipts(log, covered)
                report.add(check_database_copy(stored.copy, checkpoint, now=self.clock.now()))
                report.add(each for indexed in covered for each in check_indexed_row(indexed))
                report.add(check_leaves(checkpoint, covered))
                report.add(check_times(checkpoint, [each for each in covered if each.leaf.log_index > head.last]))
                report.add([found for indexed in covered for found in await self._check_mac(indexed)])
                for indexed in covered:
                    self._count(indexed, indexed.leaf.log_index >= body.first, report)
                report.last_made_at = body.made_at
                if now - moment(body.made_at) > SETTLING:
                    report.settled = body
                if progress is not None:
                    progress(report)
                head = head_after(body)
        return head, reached

    async def _check_uncovered(self, log: Database, before: int, reached: int, report: CheckpointReport) -> None:
        """The entries that no checkpoint covers."""
        async with aclosing(_indexed_rows(log, reached, None)) as rows:
            async for each in rows:
                (indexed,) = await self._with_receipts(log, [each])
                log_index = indexed.leaf.log_index
                if log_index != before + 1:
                    why = f"log indexes {before + 1} to {log_index - 1} are missing"
                    report.add([Finding(FindingKind.INDEX_MISSING, why, "log_index")])
                report.add(check_indexed_row(indexed))
                report.add(await self._check_mac(indexed))
                self._count(indexed, False, report)
                before = log_index

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
                    row = indexed if indexed.case_id else as_indexed(leaf, case_id)
                    gone[event.event_id] = replace(row, retired=True)
        return [gone.get(indexed.leaf.event_id, indexed) for indexed in rows]

    def _count(self, indexed: IndexedRow, covered_rows: bool, report: CheckpointReport) -> None:
        report.body_retired += indexed.body_retired
        report.last_index = max(report.last_index, indexed.leaf.log_index)
        if covered_rows:
            report.covered_rows += 1
        else:
            report.uncovered_rows += 1
            report.since = min(report.since or indexed.leaf.recorded_at, indexed.leaf.recorded_at)

    async def _check_rest(
        self, log: Database, newest: int, report: CheckpointReport, after: VerifiedPrefix | None
    ) -> None:
        """What only the database shows: rows that wait, rows without an entry, copies without an original."""
        waiting = await log.row("count_unindexed", timeout_s=SCAN_TIMEOUT_S)
        if waiting["rows"]:
            report.unindexed = waiting["rows"]
            report.uncovered_rows += waiting["rows"]
            report.since = min(report.since or waiting["oldest"], waiting["oldest"])
        why = "the sequencer refused it, or it was inserted past the queue that gives each row its log index"
        bounds = (None, None, None) if after is None else (after.body.last, after.recorded_since, after.recorded_until)
        async for row in log.stream("rows_without_entry", *bounds, timeout_s=SCAN_TIMEOUT_S):
            report.add([Finding(FindingKind.ROW_UNINDEXED, why, **row)])
        twice = log.stream("duplicates", timeout_s=SCAN_TIMEOUT_S)
        if after is not None:
            twice = log.stream("duplicates_after", after.body.last, timeout_s=SCAN_TIMEOUT_S)
        async for row in twice:
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

    async def _listed(self, after: int) -> AsyncGenerator[tuple[int, ObjectKey], None]:
        prefix = checkpoint_key(self.log, 0).rpartition("/")[0] + "/"
        async with aclosing(self.objects.kept(prefix, after=checkpoint_key(self.log, after))) as listed:
            async for kept in listed:
                number = checkpoint_number(kept.key)
                if number:
                    yield number, kept


async def _indexed_rows(log: Database, after: int, up_to: int | None) -> AsyncGenerator[IndexedRow, None]:
    # An index that is no index, of a hostile owner, comes before the first.
    async for row in log.stream("indexed_rows", after or None, up_to, timeout_s=SCAN_TIMEOUT_S):
        *leaf, case_id, digest, recorded_at, mac, mac_key, body = row
        # Hashed here and not by the server, whose owner is the one under suspicion.
        body_sha256 = None if body is None else hashlib.sha256(body.encode()).digest()
        yield IndexedRow(Leaf(*leaf), case_id, digest, recorded_at, (mac, mac_key) if mac else None, body_sha256)
