"""What a receipt proves, and what is dropped against it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import pytest
from aiobotocore.session import AioSession

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import READER, RETENTION, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention.retention import CaseObjects, RetentionStore
from switchyard.audit.verification import retired_cases
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.audit.verification.retired_cases import RetiredCases, lock_partitions
from switchyard.cli.app.target import Env
from switchyard.cli.commands.audit.replay import replay_scope
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import LocalSigner, TrustedKeys
from switchyard.runtime.database.connections import Database, connect_pool
from switchyard.runtime.database.queries import load_queries
from tests.integration.audit.aged import age
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.proof import Proof
from tests.integration.audit.retention.retiring import LONG_AGO, MONTH, SIGNER, retire_all, tampering
from tests.integration.cloud import Cloud
from tests.unit.audit import cases

pytestmark = pytest.mark.integration

Tamper = Callable[[Owner, Json], Awaitable[None]]


async def _drop_receipt(owner: Owner, event: Json) -> None:
    await tampering(owner, "delete from retention_receipt")


async def _edit_receipt(owner: Owner, event: Json) -> None:
    await tampering(owner, "update retention_receipt set statement = replace(statement, 'ada', 'eve')")


async def _sign_with_another_key(owner: Owner, event: Json) -> None:
    other = LocalSigner(b"\x01" * 32)
    statement = await owner.fetchval("select statement from retention_receipt")
    sha256 = hashlib.sha256(statement.encode()).hexdigest()
    signature = await other.sign(canonical_json({"format": "switchyard-receipt/1", "sha256": sha256}))
    key = hashlib.sha256(other.public).hexdigest()
    await tampering(owner, "update retention_receipt set key = $1, signature = $2", key, signature)


async def _edit_column(owner: Owner, event: Json) -> None:
    await tampering(owner, "update transition set latency_ms = 1 where event_id = $1", event["event_id"])


async def _edit_digest(owner: Owner, event: Json) -> None:
    await tampering(
        owner, "update transition set transcript_hash = repeat('0', 64) where event_id = $1", event["event_id"]
    )


async def _remove_row(owner: Owner, event: Json) -> None:
    await tampering(owner, "delete from transition where event_id = $1", event["event_id"])


async def _put_another_body(owner: Owner, event: Json) -> None:
    forged = cases.body(cases.rewritten(event, rubric_score=1))
    await tampering(owner, "update transition set body = $2 where event_id = $1", event["event_id"], forged)


TAMPERINGS: list[tuple[Tamper, FindingKind]] = [
    (_drop_receipt, FindingKind.BODY_MISSING),
    (_edit_receipt, FindingKind.FORGED_RECEIPT),
    (_sign_with_another_key, FindingKind.FORGED_RECEIPT),
    (_edit_column, FindingKind.COLUMN_DIFFERS),
    (_edit_digest, FindingKind.COLUMN_DIFFERS),
    (_remove_row, FindingKind.RETIRED_ROW_MISSING),
    (_put_another_body, FindingKind.COLUMN_DIFFERS),
]


async def test_retired_case_changed_afterwards_is_a_finding(
    retention: RetentionStore, prover: AuditReader, owner: Owner, events: list[Json]
) -> None:
    await retire_all(retention)
    tables = ("transition", "retention_receipt")
    for table in tables:
        await owner.execute(f"create temporary table saved_{table} as table {table}")

    for tamper, kind in TAMPERINGS:
        assert (await prover.verify()).ok
        await tamper(owner, events[6])

        report = await prover.verify()

        assert not report.ok, tamper.__name__
        assert kind in {finding.kind for finding in report.findings}, tamper.__name__
        assert {finding.case_id for finding in report.findings} == {events[0]["case_id"]}
        for table in tables:
            await tampering(owner, f"delete from {table}")
            await owner.execute(f"insert into {table} select * from saved_{table}")


async def test_receipt_without_a_trusted_key_is_forged(
    retention: RetentionStore, reader: AuditReader, events: list[Json]
) -> None:
    await retire_all(retention)
    kinds = {finding.kind for finding in (await reader.verify()).findings}
    assert kinds == {FindingKind.FORGED_RECEIPT, FindingKind.BODY_MISSING}


async def test_partition_is_dropped_only_when_each_case_has_its_receipt(
    retention: RetentionStore,
    store: AuditStore,
    prover: AuditReader,
    owner: Owner,
    events: list[Json],
    url_for: UrlFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"transition_{MONTH[:7].replace('-', '_')}"
    await store.record(cases.bodies(cases.answered(3, opened=LONG_AGO)))  # recorded today: kept for a year
    await retire_all(retention)
    assert await retention.drop_partitions() == [(name, "kept")]

    await age(owner)
    await retire_all(retention)
    async with owner.transaction():
        await owner.fetchval(f"select count(*) from {name}")
        assert await retention.drop_partitions() == [(name, "busy")]
    assert await retention.drop_partitions() == [(name, "dropped")]

    assert await owner.fetchval("select to_regclass($1)", name) is None
    report = await prover.verify()
    assert (report.ok, report.rows, report.cases) == (True, 27, 3)
    case_id = events[0]["case_id"]
    for prefix in (case_id[:1], case_id[:13].upper(), case_id[:14], case_id):
        assert await prover.find_case_ids(prefix) == [case_id]
    for other in (case_id.replace("-", "")[:13], f"{case_id}0", "zz", "%", case_id[:8] + "'"):
        assert await prover.find_case_ids(other) == []
    monkeypatch.setenv("SWITCHYARD_AUDIT_DB_URL", url_for(READER))
    replayed = await replay_scope(Env.AWS, events[0]["case_id"], None, None, None, check_seals=False)
    assert (replayed.cases, replayed.retired) == (1, 1)
    one = await prover.verify(case_id=events[0]["case_id"])
    assert (one.ok, one.rows) == (True, 9)
    assert await owner.fetchval("select cases from partition_drop") == 2

    await _edit_receipt(owner, events[0])
    assert {finding.kind for finding in (await prover.verify()).findings} == {FindingKind.FORGED_RECEIPT}


async def test_partition_dropped_during_a_verification_is_no_finding(
    retention: RetentionStore, url_for: UrlFor, events: list[Json]
) -> None:
    await retire_all(retention)
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    receipts = RetiredCases(pool, TrustedKeys([SIGNER.public]))

    assert [state for _, state in await retention.drop_partitions()] == ["dropped"]

    found = [(verdict.case_id, verdict.findings) async for verdict in receipts.without_rows(None, None)]
    assert found == [(events[0]["case_id"], ())]
    await pool.close()


async def test_partition_drop_after_a_verification_read_the_list_is_busy(
    retention: RetentionStore, url_for: UrlFor, events: list[Json]
) -> None:
    await retire_all(retention)
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    database = Database(pool, "the audit database", load_queries(retired_cases.__file__))
    async with database.transaction(isolation="repeatable_read", readonly=True) as log:
        assert await lock_partitions(log) == frozenset()
        assert [state for _, state in await retention.drop_partitions()] == ["busy"]
    await pool.close()


async def test_partition_with_a_held_case_is_kept(retention: RetentionStore, owner: Owner, events: list[Json]) -> None:
    await retire_all(retention)
    await retention.hold(events[0]["case_id"], reason="a complaint", operator="ada")
    assert [state for _, state in await retention.drop_partitions()] == ["kept"]


async def test_receipt_signed_by_kms_verifies(
    aws: None, aws_session: AioSession, url_for: UrlFor, cloud: Cloud, events: list[Json]
) -> None:
    from switchyard.runtime.crypto.signing import KmsSigner

    async with aws_session.create_client("kms") as kms:
        made = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        signer = await KmsSigner.open(kms, made["KeyMetadata"]["KeyId"])
        pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
        store = RetentionStore(pool, CATALOGUE, signer, SystemClock(), objects=CaseObjects(cloud.s3, OBJECT_BUCKET))
        await retire_all(store)
        assert (await AuditReader(pool, CATALOGUE, trusted=TrustedKeys([signer.public])).verify()).ok
        await pool.close()


async def test_checkpoints_prove_retired_and_dropped_rows(
    events: list[Json], retention: RetentionStore, prover: AuditReader, proof: Proof, owner: Owner
) -> None:
    await proof.checkpoint()
    await retire_all(retention)
    retired = await proof.verify()
    assert [fate for _, fate in await retention.drop_partitions()] == ["dropped"]
    dropped = await proof.verify()

    assert (retired.ok, retired.covered_rows, retired.body_retired) == (True, 18, 9)
    assert (dropped.ok, dropped.covered_rows, dropped.body_retired) == (True, 18, 9)
    assert (await prover.verify()).ok
    await owner.execute("alter table retention_receipt disable trigger all")
    await owner.execute("delete from retention_receipt")
    assert {found.kind for found in (await proof.verify()).findings} == {FindingKind.ROW_MISSING}
