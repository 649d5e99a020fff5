"""What retention takes stays proven: by its position, its anchor and its receipt."""

from __future__ import annotations

import pytest

from contracts.fields import Json
from services.audit.findings import FindingKind
from services.audit.reader import AuditReader
from services.audit.retention import RetentionStore
from tests.integration.audit.conftest import Owner
from tests.integration.audit.proof import Proof
from tests.integration.audit.retention.retiring import retire_all

pytestmark = pytest.mark.integration


async def test_retired_rows_and_a_dropped_month_hold_under_their_anchors_and_a_removed_receipt_does_not(
    retention: RetentionStore, prover: AuditReader, proof: Proof, owner: Owner, events: list[Json]
) -> None:
    await proof.anchor()
    await retire_all(retention)

    report = await proof.verify()
    assert (report.finding_count, report.moved_out, report.anchored) == (0, 9, 18)

    assert [state for _, state in await retention.drop_partitions()] == ["dropped"]
    report = await proof.verify()
    assert (report.finding_count, report.moved_out, report.anchored) == (0, 9, 18)
    assert (await prover.verify()).ok

    await owner.execute("alter table retention_receipt disable trigger all")
    await owner.execute("delete from retention_receipt")
    found = {(finding.kind, finding.event_id) for finding in (await proof.verify()).findings}
    assert found == {(FindingKind.ROW_MISSING, event["event_id"]) for event in events}
