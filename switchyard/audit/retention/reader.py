"""Reading receipts, holds and policies. Needs no more than the role `audit_reader`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from switchyard.audit.receipts.receipts import Receipt, RetentionReceipt
from switchyard.audit.transparency.log_index import AuditConnection
from switchyard.audit.verification.findings import CaseVerdict
from switchyard.audit.verification.retired import RetiredCase
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.database.connections import Pool, translate_errors
from switchyard.runtime.database.queries import load_queries

RETENTION_SQL = load_queries(__file__, "retention.sql")
AUDIT_DATABASE = "the audit database"
LONG_S = 3_600.0
"""How long one statement may take that looks at every case, in seconds."""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """A row of `retention_policy` that is in force; see the comments there."""

    playbook: str
    effective_from: datetime
    keep_for: timedelta
    duty_for: timedelta | None
    duty_counts_from: tuple[str, ...]
    citation: str
    set_by: str


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A legal hold that stands."""

    hold_id: str
    case_id: str
    reason: str
    placed_by: str
    placed_at: datetime


class RetentionReceipts:
    """The receipts of the log. `dropped` are the partitions that were dropped when it was opened."""

    def __init__(self, pool: Pool, trusted: TrustedKeys, dropped: frozenset[str]) -> None:
        self._pool = pool
        self._trusted = trusted
        self._dropped = dropped

    async def of_case(self, case_id: str) -> RetiredCase:
        """One case's."""
        with translate_errors(AUDIT_DATABASE):
            rows = await self._pool.fetch(RETENTION_SQL["receipts"], uuid.UUID(case_id))
        return self._retired(rows, self._dropped)

    async def without_rows(self, case: uuid.UUID | None, day: date | None) -> AsyncGenerator[CaseVerdict, None]:
        """The verdict of each case of which only receipts are left, by a snapshot of its own."""
        with translate_errors(AUDIT_DATABASE):
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                dropped = await dropped_partitions(connection)
                same: list[Any] = []
                async for row in connection.cursor(RETENTION_SQL["receipts_without_rows"], case, day, timeout=LONG_S):
                    if same and same[0]["case_id"] != row["case_id"]:
                        yield self._retired(same, dropped).verdict()
                        same = []
                    same.append(row)
                if same:
                    yield self._retired(same, dropped).verdict()

    def _retired(self, rows: list[Any], dropped: frozenset[str]) -> RetiredCase:
        return RetiredCase([read_receipt_row(row) for row in rows], self._trusted, dropped=dropped)


def read_receipt_row(row: Any) -> RetentionReceipt:
    """A row of `retention_receipt`."""
    receipt = Receipt(row["statement"], row["key"], row["signature"])
    return RetentionReceipt(row["opened_on"], row["case_id"], row["part"], receipt)


async def dropped_partitions(connection: AuditConnection) -> frozenset[str]:
    """The names of the partitions that were dropped. Call it first in a transaction that is a repeatable read.

    None is dropped after it until the transaction ends: a partition is gone for every snapshot, also for one that
    does not know yet that it was dropped.
    """
    await connection.execute(RETENTION_SQL["keep_partitions"])
    return frozenset(row["partition_name"] for row in await connection.fetch(RETENTION_SQL["dropped"]))


class RetentionReader:
    """What is kept how long, what is held, and what was retired. Every method raises `Unavailable` when the database
    cannot be reached."""

    def __init__(self, pool: Pool, trusted: TrustedKeys) -> None:
        self._pool = pool
        self._trusted = trusted

    async def receipts(self) -> RetentionReceipts:
        """The receipts, for a verification."""
        with translate_errors(AUDIT_DATABASE):
            dropped = await self._pool.fetch(RETENTION_SQL["dropped"])
        return RetentionReceipts(self._pool, self._trusted, frozenset(row["partition_name"] for row in dropped))

    async def policies(self) -> list[RetentionPolicy]:
        """The policies in force, by playbook."""
        with translate_errors(AUDIT_DATABASE):
            rows = await self._pool.fetch(RETENTION_SQL["policies"])
        return [RetentionPolicy(**{**row, "duty_counts_from": tuple(row["duty_counts_from"])}) for row in rows]

    async def holds(self, case_id: str | None = None) -> list[LegalHold]:
        """The holds that stand, of one case or of all."""
        case = None if case_id is None else uuid.UUID(case_id)
        with translate_errors(AUDIT_DATABASE):
            return [LegalHold(**row) for row in await self._pool.fetch(RETENTION_SQL["holds"], case)]
