"""Verification with checkpoints.

The store outside the database says what the log was. Needs the role `audit_reader`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby
from typing import Any

from switchyard.audit.retention.reader import LONG_S, dropped_partitions, read_receipt_row
from switchyard.audit.transparency.checkpoints import Leaf, LogHead, checkpoint_key, checkpoint_number, head_after
from switchyard.audit.transparency.log_index import TRANSPARENCY_SQL, AuditConnection
from switchyard.audit.verification.checkpoint_findings import (
    IndexedRow,
    LoggedRow,
    StoredCheckpoint,
    build_log_finding,
    check_database_copy,
    check_indexed_row,
    check_leaves,
    check_object_lock,
    find_index_gaps,
    find_missing_checkpoints,
    read_checkpoint,
)
from switchyard.audit.verification.findings import CheckpointReport, Finding, FindingKind
from switchyard.audit.verification.retired import NO_TRUSTED_KEYS, RetiredCase
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.storage.locked_objects import LockedObjects, LockMode, ObjectKey

_DATABASE = "the audit database"
_FETCH = 200


class CheckpointVerifier:
    """The checkpoints of one log, against its rows.

    Without `locks` a checkpoint may lack Object Lock: the laptop's emulator forgets locks when it stops. `mode` is the
    least that counts as a lock. `receipts` are the keys that may have signed a retention receipt: without them every
    retired row is a finding.
    Raises `Unavailable` when the database or the store cannot be reached.
    """

    def __init__(
        self,
        pool: Pool,
        objects: LockedObjects,
        keys: TrustedKeys,
        *,
        log: str = "main",
        locks: bool = True,
        mode: LockMode = "COMPLIANCE",
        receipts: TrustedKeys = NO_TRUSTED_KEYS,
        clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._keys = keys
        self._log = log
        self._locks = locks
        self._mode: LockMode = mode
        self._receipts = receipts
        self._dropped: frozenset[str] = frozenset()
        self._clock = clock or SystemClock()

    async def verify(self, *, limit: int = 1_000) -> CheckpointReport:
        """Compare every row with the checkpoint that covers it, in bounded memory.

        The store is looked at before the snapshot of the database is taken and a checkpoint is in the store before its
        rows can be missed in the database: what is only in the store by then is missing in the database.
        """
        report = CheckpointReport(limit)
        newest = 0
        async with aclosing(self._listed()) as listed:
            async for number, _ in listed:
                newest = number
        with translate_errors(_DATABASE):
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
                aclosing(_indexed_rows(connection)) as rows,
            ):
                self._dropped = await dropped_partitions(connection)
                await self._compare(connection, rows, newest, report)
                await self._rest(connection, newest, report)
        return report

    async def _compare(
        self, connection: AuditConnection, rows: AsyncGenerator[IndexedRow, None], newest: int, report: CheckpointReport
    ) -> None:
        head, ahead = LogHead(), await anext(rows, None)
        async with aclosing(self._listed()) as listed:
            async for number, kept in listed:
                if number > newest:
                    break
                report.add(find_missing_checkpoints(head, number))
                stored = await self._stored(connection, number, kept)
                checkpoint, found = read_checkpoint(stored, head, self._keys, log=self._log)
                report.add(found)
                report.unlocked += len(
                    unlocked := list(check_object_lock(stored, mode=self._mode, now=self._clock.now()))
                )
                report.add(unlocked if self._locks else ())
                report.checkpoints += 1
                if checkpoint is None:
                    # Nothing to compare its rows with; the next one says where it goes on.
                    head = LogHead(number, head.last, head.hash)
                    continue
                covered: list[IndexedRow] = []
                while ahead is not None and ahead.leaf.log_index <= checkpoint.statement.last:
                    covered.append(ahead)
                    ahead = await anext(rows, None)
                covered = await self._with_receipts(connection, covered)
                report.add(check_database_copy(stored.copy, checkpoint, now=self._clock.now()))
                report.add(each for placed in covered for each in check_indexed_row(placed))
                report.add(check_leaves(checkpoint, covered))
                for placed in covered:
                    self._count(placed, placed.leaf.log_index >= checkpoint.statement.first, report)
                report.last_made_at = checkpoint.statement.made_at
                head = head_after(checkpoint.statement)
        before = head.last
        while ahead is not None:
            (ahead,) = await self._with_receipts(connection, [ahead])
            report.add([*find_index_gaps(before, [ahead]), *check_indexed_row(ahead)])
            self._count(ahead, False, report)
            before, ahead = ahead.leaf.log_index, await anext(rows, None)

    async def _with_receipts(self, connection: AuditConnection, rows: list[IndexedRow]) -> list[IndexedRow]:
        """The same, with what a receipt that counts says of rows without a body, or of a dropped month."""
        gone = {placed.leaf.event_id: placed for placed in rows if placed.row is None or placed.body_retired}
        if not gone:
            return rows
        days = list({placed.leaf.opened_on for placed in gone.values()})
        found = await connection.fetch(TRANSPARENCY_SQL["receipts_naming"], days, list(gone), timeout=LONG_S)
        for case_id, receipts in groupby(map(read_receipt_row, found), key=lambda receipt: receipt.case_id):
            retired = RetiredCase(receipts, self._receipts, dropped=self._dropped)
            for event in retired.events:
                placed = gone.get(event.event_id)
                if placed is not None and retired.proves(placed.leaf, present=placed.row is not None):
                    row = placed.row or LoggedRow(case_id, placed.leaf.digest, placed.leaf.recorded_at, None)
                    gone[event.event_id] = IndexedRow(placed.leaf, row, retired=True)
        return [gone.get(placed.leaf.event_id, placed) for placed in rows]

    def _count(self, placed: IndexedRow, covered_rows: bool, report: CheckpointReport) -> None:
        report.body_retired += placed.body_retired
        if covered_rows:
            report.covered_rows += 1
        else:
            report.uncovered_rows += 1
            report.since = min(report.since or placed.leaf.recorded_at, placed.leaf.recorded_at)

    async def _rest(self, connection: AuditConnection, newest: int, report: CheckpointReport) -> None:
        """What only the database can tell: rows that wait, rows past the queue, copies without an original."""
        waiting = await connection.fetchrow(TRANSPARENCY_SQL["count_waiting"], timeout=LONG_S)
        if waiting is not None and waiting["rows"]:
            report.unindexed = waiting["rows"]
            report.uncovered_rows += waiting["rows"]
            report.since = min(report.since or waiting["oldest"], waiting["oldest"])
        async for row in connection.cursor(TRANSPARENCY_SQL["past_the_queue"], prefetch=_FETCH, timeout=LONG_S):
            why = "it was put into the log past the queue that gives each row its log_index"
            report.add([Finding(FindingKind.ROW_UNINDEXED, row["case_id"], row["event_id"], row["opened_on"], why)])
        for row in await connection.fetch(TRANSPARENCY_SQL["checkpoints_after"], self._log, newest):
            if await self._objects.get(checkpoint_key(self._log, row["number"])) is None:
                why = f"the database has checkpoint {row['number']}, and the store does not"
                report.add([build_log_finding(FindingKind.CHECKPOINT_MISSING, why)])

    async def _stored(self, connection: AuditConnection, number: int, kept: ObjectKey) -> StoredCheckpoint:
        found = await self._objects.read(kept)
        copy = await connection.fetchrow(TRANSPARENCY_SQL["checkpoint"], self._log, number)
        return StoredCheckpoint(
            number,
            found.data if found else None,
            kept.versions,
            found.lock if found else None,
            (copy["statement"], copy["signature"]) if copy else None,
        )

    async def _listed(self) -> AsyncGenerator[tuple[int, ObjectKey], None]:
        prefix = checkpoint_key(self._log, 0).rpartition("/")[0] + "/"
        async with aclosing(self._objects.kept(prefix)) as listed:
            async for kept in listed:
                number = checkpoint_number(kept.key)
                if number:
                    yield number, kept


async def _indexed_rows(connection: AuditConnection) -> AsyncGenerator[IndexedRow, None]:
    async for row in connection.cursor(TRANSPARENCY_SQL["placed"], prefetch=_FETCH, timeout=LONG_S):
        yield _read_indexed_row(row)


def _read_indexed_row(row: Any) -> IndexedRow:
    leaf = Leaf(
        row["log_index"], row["opened_on"], row["event_id"], row["digest"], row["recorded_at"], row["body_sha256"]
    )
    if not row["present"]:
        return IndexedRow(leaf, None)
    # Hashed here and not by the server: its owner is whom this is about.
    body_sha256 = None if row["body"] is None else hashlib.sha256(row["body"].encode()).digest()
    return IndexedRow(leaf, LoggedRow(row["case_id"], row["transcript_hash"], row["row_recorded_at"], body_sha256))
