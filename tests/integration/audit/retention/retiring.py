"""What the tests of retention share."""

from __future__ import annotations

from datetime import UTC, datetime

from switchyard.audit.retention.retention import DueCase, RetentionStore, RetirementStatus
from tests.integration.audit.conftest import Owner
from tests.integration.audit.proof import RECEIPTS

SIGNER = RECEIPTS


LONG_AGO = datetime(2024, 3, 5, 9, tzinfo=UTC)


MONTH = "2024-03-01"


async def due_now(retention: RetentionStore) -> list[DueCase]:
    return [due async for due in retention.due(limit=1_000)]


async def retire_all(retention: RetentionStore) -> list[RetirementStatus]:
    return [(await retention.retire(due, operator="ada")).status for due in await due_now(retention)]


async def tampering(owner: Owner, change: str, *arguments: object) -> None:
    for table in ("transition", "retention_receipt"):
        await owner.execute(f"alter table {table} disable trigger all")
    await owner.execute(change, *arguments)
