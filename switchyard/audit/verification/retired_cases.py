"""Proof of rows whose bodies were retired: the receipt replaces the body."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import aclosing
from datetime import date, datetime

from switchyard.audit.receipts.receipts import (
    Receipt,
    RetentionReceipt,
    RetiredEvent,
    Retirement,
    UnreadableReceipt,
    columns_sha256,
    read_retirement,
)
from switchyard.audit.records.roles import AUDIT_DATABASE
from switchyard.audit.records.stored_row import SCAN_TIMEOUT_S, CaseStatus, StoredRow
from switchyard.audit.transparency.checkpoint import Leaf
from switchyard.audit.verification.chain import build_finding
from switchyard.audit.verification.findings import CaseVerdict, Finding, FindingKind
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Database, Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)
NO_TRUSTED_KEYS = TrustedKeys(())


class RetiredCase:
    """The receipts of one case, read and checked once. `findings` are the errors in the receipts themselves."""

    def __init__(
        self,
        receipts: Iterable[RetentionReceipt],
        trusted: TrustedKeys = NO_TRUSTED_KEYS,
        *,
        dropped: Collection[str] = (),
    ) -> None:
        """`dropped` are the names of the partitions that were dropped; see `partition_of`."""
        self.findings: list[Finding] = []
        self._dropped = dropped
        self.retirements = tuple(self._valid(receipts, trusted))
        # The earlier of two entries about one event counts.
        self._events = {event.event_id: event for each in reversed(self.retirements) for event in reversed(each.events)}

    @property
    def events(self) -> tuple[RetiredEvent, ...]:
        """Every event that a valid receipt names."""
        return tuple(self._events.values())

    def proves(self, leaf: Leaf, *, present: bool) -> bool:
        """Whether a valid receipt proves that the entry of this leaf was retired: its body, or the whole row."""
        event, opened_on = self._events.get(leaf.event_id), leaf.opened_on.isoformat()
        return (
            event is not None
            and (event.digest, event.body_sha256) == (leaf.digest, leaf.body_sha256.hex())
            and opened_on in {retirement.opened_on for retirement in self.retirements}
            and (present or partition_of(opened_on) in self._dropped)
        )

    def row_findings(self, stored: StoredRow) -> Iterator[Finding]:
        """The findings about a row without a body."""
        row, event = stored.row, self._events.get(stored.row.event_id)

        if event is None:
            yield build_finding(
                row, FindingKind.BODY_MISSING, "the body is missing, and no valid receipt names it", "body"
            )
        elif event.digest != row.transcript_hash:
            why = f"the column is {row.transcript_hash}, and the receipt has {event.digest}"
            yield build_finding(row, FindingKind.COLUMN_DIFFERS, why, "transcript_hash")
        elif event.parents != row.parents:
            why = "the column has other parents than the receipt"
            yield build_finding(row, FindingKind.COLUMN_DIFFERS, why, "parents")
        elif event.columns_sha256 != columns_sha256(row, stored.recorded_at):
            why = "a column was altered after the body was retired: the columns do not match the receipt's hash"
            yield build_finding(row, FindingKind.COLUMN_DIFFERS, why, "columns_sha256")

    def missing(self, present: Iterable[str]) -> Iterator[Finding]:
        """The events that a receipt names and the log lacks, although their partition was not dropped."""
        there = set(present)
        for retirement in self.retirements:
            if partition_of(retirement.opened_on) in self._dropped:
                continue
            for event in retirement.events:
                if event.event_id not in there:
                    why = "a receipt names it, and its row is missing"
                    yield _build_receipt_finding(retirement, event, FindingKind.RETIRED_ROW_MISSING, why)

    def verdict(self) -> CaseVerdict:
        """The verdict on a case without rows, by its receipts alone. Raises `IndexError` without receipts."""
        digests = {event.digest for event in self.events}
        findings = [*self.findings, *self.missing(())]
        for retirement in self.retirements:
            for event in retirement.events:
                if not digests.issuperset(event.parents):
                    why = "its parent is in no receipt of the case"
                    findings.append(_build_receipt_finding(retirement, event, FindingKind.MISSING_PARENT, why))
        case_id = self.retirements[0].case_id if self.retirements else self.findings[0].case_id or ""
        return CaseVerdict(case_id, CaseStatus.CLOSED, len(self.events), tuple(findings))

    def _valid(self, receipts: Iterable[RetentionReceipt], trusted: TrustedKeys) -> Iterator[Retirement]:
        for row in receipts:
            try:
                retirement, invalid_reason = read_retirement(row), row.invalid_reason(trusted)
            except UnreadableReceipt as error:
                retirement, invalid_reason = None, str(error)
            if retirement is not None and invalid_reason is None:
                yield retirement
            else:
                why = f"retention receipt {row.part} of the case is invalid: {invalid_reason}"
                finding = Finding(FindingKind.FORGED_RECEIPT, why, "receipt", row.case_id, opened_on=row.opened_on)
                self.findings.append(finding)


def partition_of(opened_on: str) -> str:
    """The partition of a day, YYYY-MM-DD."""
    return f"transition_{opened_on[:7].replace('-', '_')}"


def _build_receipt_finding(retirement: Retirement, event: RetiredEvent, kind: FindingKind, why: str) -> Finding:
    return Finding(kind, why, None, retirement.case_id, event.event_id, date.fromisoformat(retirement.opened_on))


class RetiredCases:
    """The retention receipts in the database. Every method raises `Unavailable` when it cannot be reached."""

    def __init__(self, pool: Pool, trusted: TrustedKeys) -> None:
        self._database = Database(pool, AUDIT_DATABASE, _SQL)
        self._trusted = trusted

    async def dropped_partitions(self) -> frozenset[str]:
        """The names of the dropped partitions."""
        return frozenset(row["partition_name"] for row in await self._database.rows("dropped"))

    async def of_case(self, case_id: str, dropped: frozenset[str]) -> RetiredCase:
        """The receipts of one case."""
        rows = await self._database.rows("receipts", uuid.UUID(case_id))
        return RetiredCase([RetentionReceipt(**row) for row in rows], self._trusted, dropped=dropped)

    async def forged_erasures(self, since: datetime | None = None) -> AsyncGenerator[Finding, None]:
        """The receipts of erasures, all or those since then, that no trusted key signed, or that are about another
        person than their row."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as log:
            async for row in log.stream("erasures", since, timeout_s=SCAN_TIMEOUT_S):
                receipt = Receipt(row["statement"], row["key"], row["signature"])
                why = receipt.invalid_reason(self._trusted)
                if why is None and json.loads(receipt.statement).get("subject") != row["subject"]:
                    why = "its statement is about another person than its row"
                if why is not None:
                    why = f"the erasure receipt of person {row['subject']} is invalid: {why}"
                    yield Finding(FindingKind.FORGED_RECEIPT, why, "receipt")

    async def without_rows(
        self, case: uuid.UUID | None, day: date | None, since: datetime | None = None
    ) -> AsyncGenerator[CaseVerdict, None]:
        """The verdict on each case that has only receipts left, from a snapshot of its own; with `since`, on those that
        got a receipt since then."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as log:
            dropped = await lock_partitions(log)
            same: list[RetentionReceipt] = []
            receipts = log.stream("receipts_without_rows", case, day, since, timeout_s=SCAN_TIMEOUT_S)
            async with aclosing(receipts) as rows:
                async for row in rows:
                    if same and same[0].case_id != row["case_id"]:
                        yield RetiredCase(same, self._trusted, dropped=dropped).verdict()
                        same = []
                    same.append(RetentionReceipt(**row))
            if same:
                yield RetiredCase(same, self._trusted, dropped=dropped).verdict()


async def lock_partitions(log: Database) -> frozenset[str]:
    """The names of the dropped partitions. Call it first in a transaction with repeatable reads.

    Until the transaction ends no partition is dropped: a drop removes the rows from every snapshot, also from one that
    is older than the drop's own row.
    """
    database = log.with_queries(_SQL)
    await database.execute("keep_partitions")
    return frozenset(row["partition_name"] for row in await database.rows("dropped"))
