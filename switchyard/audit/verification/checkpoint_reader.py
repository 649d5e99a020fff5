"""Verification with anchors: the store outside the database says what the log was. Needs the role `audit_reader`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby
from typing import Any

from switchyard.audit.retention.reader import LONG_S, dropped_partitions, receipt_from
from switchyard.audit.transparency.checkpoints import Head, Leaf, head_of, key_of, number_of
from switchyard.audit.transparency.log_index import SQL, Connection
from switchyard.audit.verification.checkpoint_findings import (
    Placed,
    Row,
    StoredAnchor,
    about,
    check_copy,
    check_leaves,
    check_lock,
    check_row,
    gaps,
    missing_anchors,
    read_anchor,
)
from switchyard.audit.verification.findings import AnchorReport, Finding, FindingKind
from switchyard.audit.verification.retired import NO_KEYS, Retired
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Pool, reaching
from switchyard.runtime.storage.locked_objects import Kept, LockedObjects, Mode

_DATABASE = "the audit database"
_FETCH = 200


class AnchorReader:
    """The anchors of one log, against its rows.

    Without `locks` an anchor may lack Object Lock: the laptop's emulator forgets locks when it stops. `mode` is the
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
        mode: Mode = "COMPLIANCE",
        receipts: TrustedKeys = NO_KEYS,
        clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._keys = keys
        self._log = log
        self._locks = locks
        self._mode: Mode = mode
        self._receipts = receipts
        self._dropped: frozenset[str] = frozenset()
        self._clock = clock or SystemClock()

    async def verify(self, *, limit: int = 1_000) -> AnchorReport:
        """Compare every row with the anchor that covers it, in bounded memory.

        The store is looked at before the snapshot of the database is taken and an anchor is in the store before its
        rows can be missed in the database: what is only in the store by then is missing in the database.
        """
        report = AnchorReport(limit)
        newest = 0
        async with aclosing(self._listed()) as listed:
            async for number, _ in listed:
                newest = number
        with reaching(_DATABASE):
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
                aclosing(_placed(connection)) as rows,
            ):
                self._dropped = await dropped_partitions(connection)
                await self._compare(connection, rows, newest, report)
                await self._rest(connection, newest, report)
        return report

    async def _compare(
        self, connection: Connection, rows: AsyncGenerator[Placed, None], newest: int, report: AnchorReport
    ) -> None:
        head, ahead = Head(), await anext(rows, None)
        async with aclosing(self._listed()) as listed:
            async for number, kept in listed:
                if number > newest:
                    break
                report.add(missing_anchors(head, number))
                stored = await self._stored(connection, number, kept)
                anchor, found = read_anchor(stored, head, self._keys, log=self._log)
                report.add(found)
                report.unlocked += len(unlocked := list(check_lock(stored, mode=self._mode, now=self._clock.now())))
                report.add(unlocked if self._locks else ())
                report.anchors += 1
                if anchor is None:
                    # Nothing to compare its rows with; the next one says where it goes on.
                    head = Head(number, head.last, head.hash)
                    continue
                covered: list[Placed] = []
                while ahead is not None and ahead.leaf.position <= anchor.statement.last:
                    covered.append(ahead)
                    ahead = await anext(rows, None)
                covered = await self._with_receipts(connection, covered)
                report.add(check_copy(stored.copy, anchor, now=self._clock.now()))
                report.add(each for placed in covered for each in check_row(placed))
                report.add(check_leaves(anchor, covered))
                for placed in covered:
                    self._count(placed, placed.leaf.position >= anchor.statement.first, report)
                report.last_made_at = anchor.statement.made_at
                head = head_of(anchor.statement)
        before = head.last
        while ahead is not None:
            (ahead,) = await self._with_receipts(connection, [ahead])
            report.add([*gaps(before, [ahead]), *check_row(ahead)])
            self._count(ahead, False, report)
            before, ahead = ahead.leaf.position, await anext(rows, None)

    async def _with_receipts(self, connection: Connection, rows: list[Placed]) -> list[Placed]:
        """The same, with what a receipt that counts says of rows without a body, or of a dropped month."""
        gone = {placed.leaf.event_id: placed for placed in rows if placed.row is None or placed.moved_out}
        if not gone:
            return rows
        days = list({placed.leaf.opened_on for placed in gone.values()})
        found = await connection.fetch(SQL["receipts_naming"], days, list(gone), timeout=LONG_S)
        for case_id, receipts in groupby(map(receipt_from, found), key=lambda receipt: receipt.case_id):
            retired = Retired(receipts, self._receipts, dropped=self._dropped)
            for event in retired.events:
                placed = gone.get(event.event_id)
                if placed is not None and retired.stands_for(placed.leaf, present=placed.row is not None):
                    row = placed.row or Row(case_id, placed.leaf.digest, placed.leaf.recorded_at, None)
                    gone[event.event_id] = Placed(placed.leaf, row, retired=True)
        return [gone.get(placed.leaf.event_id, placed) for placed in rows]

    def _count(self, placed: Placed, anchored: bool, report: AnchorReport) -> None:
        report.moved_out += placed.moved_out
        if anchored:
            report.anchored += 1
        else:
            report.unanchored += 1
            report.since = min(report.since or placed.leaf.recorded_at, placed.leaf.recorded_at)

    async def _rest(self, connection: Connection, newest: int, report: AnchorReport) -> None:
        """What only the database can tell: rows that wait, rows past the queue, copies without an original."""
        waiting = await connection.fetchrow(SQL["count_waiting"], timeout=LONG_S)
        if waiting is not None and waiting["rows"]:
            report.unplaced = waiting["rows"]
            report.unanchored += waiting["rows"]
            report.since = min(report.since or waiting["oldest"], waiting["oldest"])
        async for row in connection.cursor(SQL["past_the_queue"], prefetch=_FETCH, timeout=LONG_S):
            why = "it was put into the log past the queue that gives each row its position"
            report.add([Finding(FindingKind.ROW_UNPLACED, row["case_id"], row["event_id"], row["opened_on"], why)])
        for row in await connection.fetch(SQL["anchors_after"], self._log, newest):
            if await self._objects.get(key_of(self._log, row["number"])) is None:
                why = f"the database has anchor {row['number']}, and the store does not"
                report.add([about(FindingKind.ANCHOR_MISSING, why)])

    async def _stored(self, connection: Connection, number: int, kept: Kept) -> StoredAnchor:
        found = await self._objects.read(kept)
        copy = await connection.fetchrow(SQL["anchor"], self._log, number)
        return StoredAnchor(
            number,
            found.data if found else None,
            kept.versions,
            found.lock if found else None,
            (copy["statement"], copy["signature"]) if copy else None,
        )

    async def _listed(self) -> AsyncGenerator[tuple[int, Kept], None]:
        prefix = key_of(self._log, 0).rpartition("/")[0] + "/"
        async with aclosing(self._objects.kept(prefix)) as listed:
            async for kept in listed:
                number = number_of(kept.key)
                if number:
                    yield number, kept


async def _placed(connection: Connection) -> AsyncGenerator[Placed, None]:
    async for row in connection.cursor(SQL["placed"], prefetch=_FETCH, timeout=LONG_S):
        yield _read(row)


def _read(row: Any) -> Placed:
    leaf = Leaf(
        row["position"], row["opened_on"], row["event_id"], row["digest"], row["recorded_at"], row["body_sha256"]
    )
    if not row["present"]:
        return Placed(leaf, None)
    # Hashed here and not by the server: its owner is whom this is about.
    body_sha256 = None if row["body"] is None else hashlib.sha256(row["body"].encode()).digest()
    return Placed(leaf, Row(row["case_id"], row["transcript_hash"], row["row_recorded_at"], body_sha256))
