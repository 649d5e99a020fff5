"""Checkpoints are made outside the database first, under Object Lock, and no crash between the two loses one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
import structlog
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from switchyard.audit.export.bundle import Exporter
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.checkpoint import checkpoint_key
from switchyard.audit.transparency.checkpointer import CheckpointConflict, Checkpointer
from switchyard.audit.transparency.sequencer import Sequencer
from switchyard.audit.verification.findings import FindingKind
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, OBJECT_BUCKET
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.crypto.signing import KmsSigner, LocalSigner
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.storage.locked_objects import LockedObjects, ObjectLock
from tests.emulators import Emulator
from tests.integration.audit.proof import SIGNER, Proof
from tests.integration.cloud import Cloud, until
from tests.integration.events import fresh_id
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


async def test_locked_object_is_written_once_and_cannot_be_removed(cloud: Cloud, locked_objects: LockedObjects) -> None:
    key = f"test/{datetime.now(UTC).timestamp()}"
    assert await locked_objects.put_new(key, b"first", keep_until=TOMORROW, content_type="text/plain")
    assert not await locked_objects.put_new(key, b"second", keep_until=TOMORROW, content_type="text/plain")
    (version,) = (await cloud.s3.list_object_versions(Bucket=CHECKPOINT_BUCKET, Prefix=key))["Versions"]

    with pytest.raises(ClientError, match="AccessDenied"):
        await cloud.s3.delete_object(
            Bucket=CHECKPOINT_BUCKET, Key=key, VersionId=version["VersionId"], BypassGovernanceRetention=True
        )

    found = await locked_objects.get(key)
    assert found is not None
    assert (found.data, found.lock) == (b"first", ObjectLock("COMPLIANCE", TOMORROW))


async def test_locked_object_written_over_still_returns_its_first_version(
    cloud: Cloud, locked_objects: LockedObjects
) -> None:
    key = f"test/{datetime.now(UTC).timestamp()}"
    await locked_objects.put_new(key, b"first", keep_until=TOMORROW, content_type="text/plain")
    await cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=key, Body=b"second")
    await cloud.s3.delete_object(Bucket=CHECKPOINT_BUCKET, Key=key)

    found = await locked_objects.get(key)
    listed = [kept async for kept in locked_objects.kept(key)]

    assert found is not None
    assert found.data == b"first"
    assert [(kept.key, kept.versions) for kept in listed] == [(key, 3)]


async def test_key_versions_stay_together_across_pages(cloud: Cloud) -> None:
    folder = f"test/{datetime.now(UTC).timestamp()}"
    locked_objects = LockedObjects(cloud.s3, CHECKPOINT_BUCKET, page=2)
    for name in ("a", "b", "c"):
        await locked_objects.put_new(f"{folder}/{name}", name.encode(), keep_until=TOMORROW, content_type="text/plain")
        for _ in range(2 if name == "b" else 0):
            await cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=f"{folder}/{name}", Body=b"over it")

    listed = [kept async for kept in locked_objects.kept(f"{folder}/")]
    read = [await locked_objects.read(kept) for kept in listed]

    assert [(kept.key[-1], kept.versions) for kept in listed] == [("a", 1), ("b", 3), ("c", 1)]
    assert [found.data for found in read if found] == [b"a", b"b", b"c"]


async def test_bucket_without_object_lock_is_refused(cloud: Cloud, emulator: Emulator) -> None:
    put = LockedObjects(cloud.s3, OBJECT_BUCKET).put_new(
        fresh_id(), b"", keep_until=TOMORROW, content_type="text/plain"
    )
    if not emulator.refuses_locks_without_object_lock:
        assert await put
        return
    with pytest.raises(PermanentTaskError, match="Object Lock"):
        await put


async def test_checkpoint_is_due_after_its_rows_or_its_seconds(store: AuditStore, proof: Proof) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.index_rows()

    assert not await proof.checkpoints(rows=10, seconds=60).write_if_due(proof.transparency_log)
    assert await proof.checkpoints(rows=9, seconds=60).write_if_due(proof.transparency_log)
    assert not await proof.checkpoints(rows=1, seconds=0).write_if_due(proof.transparency_log)
    await store.record([cases.body(cases.first(1))])
    await proof.index_rows()
    assert await proof.checkpoints(rows=9, seconds=0).write_if_due(proof.transparency_log)

    report = await proof.verify()
    assert report.ok
    assert (report.checkpoints, report.covered_rows, report.uncovered_rows) == (2, 10, 0)


async def test_rows_after_last_checkpoint_and_unindexed_are_counted(store: AuditStore, proof: Proof) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    await store.record([cases.body(cases.first(1))])
    await proof.index_rows()
    await store.record([cases.body(cases.first(2))])

    report = await proof.verify()

    assert report.ok
    assert (report.covered_rows, report.uncovered_rows, report.unindexed) == (9, 2, 1)
    assert report.since is not None


async def test_open_case_is_covered_by_a_checkpoint(store: AuditStore, proof: Proof) -> None:
    await store.record(cases.bodies(cases.answered()[:3]))
    await proof.checkpoint()

    assert (await proof.verify()).covered_rows == 3


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_EDWARDS25519"])
async def test_kms_signature_convinces_only_verifiers_that_trust_its_key(
    store: AuditStore, proof: Proof, aws_session: AioSession, emulator: Emulator, spec: str
) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.index_rows()
    async with aws_session.create_client("kms") as kms:
        if spec not in emulator.signing_keys:
            with pytest.raises(ClientError, match=spec):
                await kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")
            return
        made = await kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")
        signer = await KmsSigner.open(kms, made["KeyMetadata"]["KeyId"])
        assert await proof.checkpoints(signer).write_if_due(proof.transparency_log, now=True)

    assert (await proof.verify(SIGNER.public, signer.public)).ok
    distrusted = await proof.verify(SIGNER.public)
    assert [found.kind for found in distrusted.findings] == [FindingKind.CHECKPOINT_FORGED]
    assert (distrusted.covered_rows, distrusted.uncovered_rows) == (0, 9)


async def test_symmetric_kms_key_is_refused(aws_session: AioSession, aws: None) -> None:
    async with aws_session.create_client("kms") as kms:
        made = await kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        with pytest.raises(PermanentTaskError, match="ECC_NIST_P256"):
            await KmsSigner.open(kms, made["KeyMetadata"]["KeyId"])


async def test_checkpoint_without_database_copy_is_adopted(store: AuditStore, proof: Proof, owner: Owner) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    await _forget_copies(owner, from_number=1)
    await store.record([cases.body(cases.first(1))])
    await proof.index_rows()

    assert (await proof.verify()).ok, "the copy may lag"
    assert await proof.checkpoints().adopt(proof.transparency_log)
    assert await proof.checkpoints().write_if_due(proof.transparency_log, now=True)

    report = await proof.verify()
    assert report.ok
    assert (report.checkpoints, report.covered_rows) == (2, 10)
    assert await owner.fetchval("select count(*) from checkpoint") == 2


async def test_checkpoint_made_again_adopts_the_stored_one(store: AuditStore, proof: Proof, owner: Owner) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    await _forget_copies(owner, from_number=1)

    assert await proof.checkpoints().write_if_due(proof.transparency_log, now=True)

    assert (await proof.verify()).ok
    assert await owner.fetchval("select count(*) from checkpoint") == 1


async def test_database_contradicting_checkpoint_stops_checkpoints(
    store: AuditStore, proof: Proof, owner: Owner
) -> None:
    """A restored backup lacks the last rows and their checkpoint, and new rows have taken their log indexes."""
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    await _forget_copies(owner, from_number=1)
    await owner.execute("alter table log_entry disable trigger all")
    await owner.execute("update log_entry set digest = repeat('0', 64) where log_index = 9")

    with pytest.raises(CheckpointConflict, match="log indexes 1 to 9"):
        await proof.checkpoints().adopt(proof.transparency_log)
    with pytest.raises(CheckpointConflict):
        await proof.checkpoints().write_if_due(proof.transparency_log, now=True)


async def test_altered_checkpoint_copy_stops_checkpoints_not_sequencer(
    store: AuditStore, proof: Proof, owner: Owner, writer: Pool, row_keys: MacKeys
) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    await owner.execute("alter table checkpoint disable trigger all")
    await owner.execute("update checkpoint set body = '{}'")
    await store.record([cases.body(cases.first(1))])

    with structlog.testing.capture_logs() as logged:
        await Sequencer(writer, row_keys, proof.checkpoints()).finish()

    assert [(line["event"], line["alarm"]) for line in logged] == [("checkpoint.conflict", "integrity")]
    assert await owner.fetchval("select max(log_index) from log_entry") == 10
    assert [found.kind for found in (await proof.verify()).findings] == [FindingKind.CHECKPOINT_DIFFERS]


async def test_log_without_a_checkpoint_is_not_proven(store: AuditStore, proof: Proof) -> None:
    assert (await proof.verify()).ok, "an empty log"
    await store.record(cases.bodies(cases.answered()))

    report = await proof.verify()

    assert (report.ok, report.findings, report.uncovered_rows) == (False, [], 9)


async def test_checkpoint_of_an_untrusted_signer_is_not_adopted(store: AuditStore, proof: Proof, owner: Owner) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.index_rows()
    await proof.checkpoints(LocalSigner(b"\1" * 32)).write_if_due(proof.transparency_log, now=True)
    await _forget_copies(owner, from_number=1)

    with pytest.raises(CheckpointConflict, match="not trusted"):
        await proof.checkpoints().adopt(proof.transparency_log)


@pytest.mark.slow
async def test_unreachable_store_delays_checkpoints_and_no_log_index(
    store: AuditStore, proof: Proof, owner: Owner, writer: Pool, row_keys: MacKeys, aws_session: AioSession
) -> None:
    gone = aws_session.create_client("s3", endpoint_url="http://127.0.0.1:9")
    async with gone as nowhere:
        objects, proof.objects = proof.objects, LockedObjects(nowhere, CHECKPOINT_BUCKET)
        checkpoints = proof.checkpoints(rows=1)
        with structlog.testing.capture_logs() as logged:
            running = asyncio.create_task(Sequencer(writer, row_keys, checkpoints, every_s=0.02, again_s=0.1).run())
            await store.record(cases.bodies(cases.answered()))

            async def deferred() -> bool:
                return any(line.get("alarm") == "checkpoint" for line in logged)

            async def placed() -> bool:
                return bool(await owner.fetchval("select count(*) = 9 from log_entry"))

            await until(deferred, "an alarm")
            await until(placed, "nine log indexes")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        proof.objects = objects

    assert await proof.checkpoints().write_if_due(proof.transparency_log, now=True)
    assert (await proof.verify()).ok


async def test_sequencer_indexes_checkpoints_and_stops_clean(
    store: AuditStore, proof: Proof, writer: Pool, row_keys: MacKeys
) -> None:
    sequencer = Sequencer(writer, row_keys, proof.checkpoints(rows=9), every_s=0.02)
    running = asyncio.create_task(sequencer.run())
    await store.record(cases.bodies(cases.answered()))

    async def covered_rows() -> bool:
        return (await proof.verify()).covered_rows == 9

    await until(covered_rows, "nine rows checkpointed")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.record([cases.body(cases.first(1))])
    await sequencer.finish()

    report = await proof.verify()
    assert report.ok
    assert (report.covered_rows, report.uncovered_rows) == (10, 0)


async def test_recording_starts_without_kms_and_checkpoints_follow(
    store: AuditStore, proof: Proof, owner: Owner, writer: Pool, row_keys: MacKeys
) -> None:
    tried = 0

    async def opening() -> Checkpointer:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise Unavailable("signing_key", "KMS gave no answer (ConnectTimeoutError)")
        return proof.checkpoints(rows=9)

    sequencer = Sequencer(writer, row_keys, None, every_s=0.02, again_s=0.1, opening=opening)
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(sequencer.run())
        await store.record(cases.bodies(cases.answered()))

        async def covered_rows() -> bool:
            return (await proof.verify()).covered_rows == 9

        await until(covered_rows, "nine rows checkpointed")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert tried == 3
    assert [line["event"] for line in logged if line.get("alarm") == "checkpoint"] == ["checkpoint.deferred"] * 2
    assert await owner.fetchval("select count(*) from log_entry") == 9


async def _forget_copies(owner: Owner, *, from_number: int) -> None:
    await owner.execute("alter table checkpoint disable trigger all")
    await owner.execute("delete from checkpoint where number >= $1", from_number)
    await owner.execute("alter table checkpoint enable always trigger append_only")


async def test_row_without_body_keeps_log_index_and_is_not_exported(
    store: AuditStore, proof: Proof, owner: Owner, writer: Pool
) -> None:
    """No receipt stands for the body here: that is found, and what else is altered in the row, too."""
    events = cases.answered()
    await store.record(cases.bodies(events))
    await proof.checkpoint()
    await owner.execute("alter table transition disable trigger all")
    await owner.execute("alter table transition alter column body drop not null")
    await owner.execute("update transition set body = null where event_id = $1", events[3]["event_id"])

    report = await proof.verify()

    assert (report.covered_rows, report.body_retired) == (9, 1)
    assert [found.kind for found in report.findings] == [FindingKind.BODY_MISSING]
    with pytest.raises(PermanentTaskError, match="were retired"):
        await Exporter(writer, proof.objects, [], log=proof.log).export(events[0]["case_id"])
    await owner.execute(
        "update transition set transcript_hash = repeat('0', 64) where event_id = $1", events[3]["event_id"]
    )
    assert [found.field for found in (await proof.verify()).findings] == ["body", "transcript_hash"]


async def test_checkpoint_without_object_lock_is_reported_as_unlocked(
    store: AuditStore, proof: Proof, cloud: Cloud
) -> None:
    await store.record(cases.bodies(cases.answered()))
    await proof.checkpoint()
    key = checkpoint_key(proof.log, 1)
    found = await proof.objects.get(key)
    assert found is not None
    other = Proof(proof.transparency_log, proof.objects, proof._reading, f"{proof.log}-2")
    moved = found.data.replace(proof.log.encode(), other.log.encode())
    await cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(other.log, 1), Body=moved)

    report = await other.verify()

    assert {each.kind for each in report.findings} == {FindingKind.CHECKPOINT_UNLOCKED, FindingKind.CHECKPOINT_FORGED}
    assert ((await proof.verify()).unlocked, report.unlocked) == (0, 1)
