"""What retention takes stays proven: by its log_index, its checkpoint and its receipt."""

from __future__ import annotations

import hashlib
import json
from datetime import date

import pytest

from switchyard.audit.retention.retention import RetentionStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.protocol.fields import Json
from tests.integration.audit.conftest import Owner
from tests.integration.audit.proof import Proof
from tests.integration.audit.retention.retiring import retire_all, tampering
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


async def test_retired_rows_verify_and_removed_receipt_is_found(
    retention: RetentionStore, prover: AuditReader, proof: Proof, owner: Owner, events: list[Json]
) -> None:
    await proof.checkpoint()
    await retire_all(retention)

    report = await proof.verify()
    assert (report.finding_count, report.body_retired, report.covered_rows) == (0, 9, 18)

    assert [state for _, state in await retention.drop_partitions()] == ["dropped"]
    report = await proof.verify()
    assert (report.finding_count, report.body_retired, report.covered_rows) == (0, 9, 18)
    assert (await prover.verify()).ok

    await owner.execute("alter table retention_receipt disable trigger all")
    await owner.execute("delete from retention_receipt")
    found = {(finding.kind, finding.event_id) for finding in (await proof.verify()).findings}
    assert found == {(FindingKind.ROW_MISSING, event["event_id"]) for event in events}


@pytest.mark.parametrize("gone", [slice(None), slice(-1, None)], ids=["the whole case", "its ending"])
async def test_forged_receipt_excludes_no_row_from_the_proof(
    prover: AuditReader, proof: Proof, owner: Owner, events: list[Json], gone: slice
) -> None:
    await proof.checkpoint()
    removed = events[gone]
    await tampering(owner, *_receipt(events, removed, cases.bodies(removed)))
    assert {found.kind for found in (await prover.verify()).findings} == {FindingKind.FORGED_RECEIPT}

    await owner.execute(
        "delete from transition where event_id = any($1::uuid[])", [event["event_id"] for event in removed]
    )

    kinds = {found.kind for found in (await prover.verify()).findings}
    covered_rows = await proof.verify()
    assert FindingKind.FORGED_RECEIPT in kinds
    assert {(found.kind, found.event_id) for found in covered_rows.findings} == {
        (FindingKind.ROW_MISSING, event["event_id"]) for event in removed
    }


async def test_retired_row_missing_is_a_finding_unless_month_dropped(
    retention: RetentionStore, proof: Proof, owner: Owner, events: list[Json]
) -> None:
    await proof.checkpoint()
    await retire_all(retention)

    await tampering(owner, "delete from transition where event_id = $1", events[6]["event_id"])

    assert [(found.kind, found.event_id) for found in (await proof.verify()).findings] == [
        (FindingKind.ROW_MISSING, events[6]["event_id"])
    ]


async def test_body_missing_without_receipt_found_under_checkpoint(
    proof: Proof, owner: Owner, events: list[Json]
) -> None:
    await proof.checkpoint()

    await tampering(owner, "update transition set body = null where event_id = $1", events[6]["event_id"])

    assert [(found.kind, found.event_id) for found in (await proof.verify()).findings] == [
        (FindingKind.BODY_MISSING, events[6]["event_id"])
    ]


def _receipt(events: list[Json], named: list[Json], texts: list[str]) -> tuple[str, date, str, str]:
    """The insertion of a complete receipt without a valid signature."""
    case_id, opened_on = events[0]["case_id"], events[0]["opened_on"]
    statement = {
        "format": "switchyard-retirement/1",
        "case_id": case_id,
        "opened_on": opened_on,
        "part": 1,
        "playbook": "assist",
        "policy_from": "-infinity",
        "citation": "none",
        "last_recorded": "2024-03-05T09:00:00.000000Z",
        "duty_until": None,
        "retired_at": "2026-03-05T09:00:00.000000Z",
        "retired_by": "eve",
        "archive": None,
        "objects": 0,
        "events": [
            {
                "event_id": event["event_id"],
                "digest": event["digest"],
                "parents": event["parents"],
                "body_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "columns_sha256": "0" * 64,
            }
            for event, text in zip(named, texts, strict=True)
        ],
    }
    return (
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values ($1, $2, 1, $3, 'x', 'x')",
        date.fromisoformat(opened_on),
        case_id,
        json.dumps(statement),
    )
