"""A hostile row that is already in the table stops no view, no verification and no case but its own."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.runtime.database.connections import Pool
from tests.integration.audit.proof import Proof
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
OTHER = cases.answered(1)
TIMES = (
    "'0001-01-01'",
    "'9999-12-31 23:59:59.999999+00'",
    "'20000-01-01'",
    "'4000-01-01 BC'",
    "'infinity'",
    "'-infinity'",
)
COLUMNS = ("event_ts", "case_deadline", "bus_ts", "recorded_at")
BODIES = {
    "no JSON": "{",
    "NUL": '{"detail": {"payload": {"code": "\\u0000"}, "model_call": {"calls": "\\u0000"}}}',
    "a scalar": "5",
    "lists for objects": '{"detail": [], "source": []}',
    "texts for numbers": '{"detail": {"model_call": {"calls": "many", "input_tokens": [], "output_tokens": 1.5,'
    ' "loser_tokens": 99999999999999999999999, "role": "fallback",'
    ' "decision": {"attempts": 7}}, "payload": {"rules": 5}}}',
    "no attempts": '{"detail": {"model_call": {"role": "fallback", "decision": {"attempts": [{"role": "primary",'
    ' "ended_ms": "x", "started_ms": {}}]}}}}',
}


async def copy_of(owner: Owner, **columns: str) -> None:
    """An ordinary INSERT of a row like a genuine one, with some columns of the owner's."""
    names = await owner.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = 'audit' and table_name = 'transition' order by ordinal_position"
    )
    chosen = {row[0]: row[0] for row in names} | {"event_id": "gen_random_uuid()"} | columns
    await owner.execute(
        f"insert into transition ({', '.join(chosen)}) select {', '.join(chosen.values())} from transition"
        f" where event_id = '{cases.answered()[6]['event_id']}'"
    )


@pytest.fixture
async def log(store: AuditStore, proof: Proof) -> None:
    await store.record(cases.bodies([*cases.answered(), *OTHER]))
    await proof.checkpoint()


async def everything(reader: AuditReader, proof: Proof, url_pool: Pool, owner: Owner) -> set[FindingKind]:
    """Everything that reads the log; what verification finds."""
    await proof.index_rows()
    report, covered = await reader.verify(now=cases.NOW), await proof.verify()
    assert {found.case_id for found in report.findings} <= {cases.first()["case_id"], None}
    assert len(await reader.timeline(OTHER[0]["case_id"])) == len(OTHER)
    assert len(await reader.timeline(cases.first()["case_id"])) >= len(OTHER)
    assert len(await reader.list_cases()) == 2
    await LogPresence(url_pool).delivered_until(cases.NOW)
    views = await owner.fetch("select table_name from information_schema.views where table_schema = 'audit'")
    assert len(views) >= 10
    for (view,) in views:
        await url_pool.fetch(f"select v::text from {view} v")
    # As a client reads them: each value must be one that Python can hold.
    for view in ("case_timeline", "case_summary", "transition_detail", "transition_states", "failovers"):
        await url_pool.fetch(f"select * from {view}")
    return {found.kind for found in (*report.findings, *covered.findings)}


@pytest.fixture
def pool(proof: Proof) -> Pool:
    """What a reviewer reads with."""
    return proof._reading


@pytest.mark.parametrize("column", COLUMNS)
async def test_row_with_an_unreadable_time_is_a_finding_and_the_rest_is_read(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, column: str
) -> None:
    for time in TIMES:
        await copy_of(owner, **{column: f"timestamptz {time}"})

    assert FindingKind.ROW_UNINDEXED in await everything(reader, proof, pool, owner)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_row_with_a_hostile_body_is_a_finding_and_the_rest_is_read(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner, body: str
) -> None:
    text = "'" + body.replace("'", "''") + "'"
    await copy_of(owner, body=text)
    await copy_of(owner, body=text, model_id="'m'", terminal="true", transition="'ApprovalGranted'")

    found = await everything(reader, proof, pool, owner)

    assert {FindingKind.ROW_UNINDEXED, FindingKind.UNREADABLE} <= found


async def test_hostile_receipt_and_entry_stop_no_verification(
    log: None, reader: AuditReader, proof: Proof, pool: Pool, owner: Owner
) -> None:
    await owner.execute("alter table retention_receipt disable trigger admit")
    for number, statement in enumerate(
        ('{"events": 5}', '{"events": [{"event_id": "x", "parents": 7}]}', '{"a": "\\u0000"}')
    ):
        await owner.execute(
            "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
            " values ('infinity', $1, $2, $3, '', '')",
            cases.first()["case_id"], number + 1, statement,
        )  # fmt: skip
    await owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " values (19, '-infinity', gen_random_uuid(), '', 'infinity', '', '', gen_random_uuid())"
    )

    found = await everything(reader, proof, pool, owner)

    assert {FindingKind.FORGED_RECEIPT, FindingKind.ROW_MISSING} <= found
