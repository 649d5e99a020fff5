"""Verification from the last verified checkpoint on: what it reads, what it says of the rest, and who may move it.

The attacker owns the database. The records of what was verified are beside the checkpoints, where the owner cannot
write; what somebody could do who can write there is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    CheckpointBody,
    checkpoint_key,
    head_after,
    next_checkpoint_body,
)
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import CheckpointReport, FindingKind, VerifyReport
from switchyard.audit.verification.log_verification import LogVerification, verify_log
from switchyard.audit.verification.verified_prefix import (
    RECORD_VALIDITY,
    SETTLING,
    NoVerifiedPrefix,
    VerificationRecord,
    VerificationRecords,
)
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.crypto.signing import LocalSigner, TrustedKeys, key_name
from tests.integration.audit.conftest import Owner
from tests.integration.audit.proof import SIGNER, Proof
from tests.integration.cloud import Cloud
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
K = FindingKind
DAY = timedelta(days=1)
LONG = timedelta(hours=48)
"""The deadline of cases that stay open."""

OLD, NEW = 1, 2
"""Numbers of cases: before and after the verified checkpoint."""


@dataclass
class Growing:
    """A log whose first 12 rows, one ended case and an open one, were verified; checkpoint 1 covers them."""

    owner: Owner
    store: AuditStore
    proof: Proof
    reader: AuditReader
    cloud: Cloud
    now: datetime
    checks: frozenset[str] = frozenset({"locks"})

    def records(self, *trusted: bytes) -> VerificationRecords:
        return VerificationRecords(
            self.proof.objects, TrustedKeys(trusted or [SIGNER.public]), self.proof.log, self.checks
        )

    async def everything(self, now: datetime) -> tuple[VerifyReport, CheckpointReport]:
        return await self.reader.verify(now=now), await self.proof.verifier().verify(now=now)

    async def verify(self, *, full_every: timedelta | None = DAY, later: timedelta = timedelta()) -> LogVerification:
        """As the scheduled job does it, `later` than the log's last row has settled."""
        self.now = max(self.now, datetime.now(UTC) + 2 * SETTLING) + timedelta(seconds=1) + later
        return await verify_log(
            self.reader,
            self.proof.verifier(),
            self.records(),
            self.everything,
            now=self.now,
            full_every=full_every,
        )

    async def add(self, *events: Json) -> None:
        """The service goes on for a minute."""
        await self.store.record(cases.bodies(events))
        await self.proof.checkpoint()

    async def attack(self, statement: str, *arguments: Any) -> None:
        """A statement of the owner's, with the triggers out of the way."""
        for table in ("transition", "log_entry", "checkpoint", "unindexed", "retention_receipt"):
            await self.owner.execute(f"alter table {table} disable trigger all")
        await self.owner.execute("alter table transition enable always trigger queued")
        await self.owner.execute(statement, *arguments)

    async def put_record(self, genuine: VerificationRecord, **fields: Any) -> None:
        """A record as somebody would forge it who can write beside the checkpoints, and is no verifier."""
        forged = genuine.model_dump(mode="json") | fields
        key = f"verifications/{self.proof.log}/{cases.moment(self.now + timedelta(milliseconds=1))}.json"
        await self.cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=key, Body=json.dumps(forged).encode())


@pytest.fixture
async def log(store: AuditStore, owner: Owner, proof: Proof, cloud: Cloud, reader: AuditReader) -> Growing:
    growing = Growing(owner, store, proof, reader, cloud, datetime.now(UTC))
    await growing.add(*cases.answered(OLD, deadline=LONG), *cases.answered(7, deadline=LONG)[:3])
    first = await growing.verify()
    assert first.ok
    assert first.record is not None
    return growing


def kinds(found: LogVerification) -> set[FindingKind]:
    return {each.kind for each in (*found.chain.findings, *found.checkpoints.findings)}


async def test_first_verification_reads_every_row_and_says_why(
    store: AuditStore, owner: Owner, proof: Proof, cloud: Cloud, reader: AuditReader
) -> None:
    growing = Growing(owner, store, proof, reader, cloud, datetime.now(UTC))
    await growing.add(*cases.answered(OLD))

    found = await growing.verify()

    assert (found.prefix, found.chain.rows, found.checkpoints.covered_rows) == (None, 9, 9)
    assert found.reason is not None
    assert "no verification was recorded" in found.reason
    assert found.record is not None
    assert (found.record.number, found.record.first, found.record.last) == (1, 1, 9)


async def test_incremental_reads_only_new_rows_and_whole_cases_of_them(log: Growing) -> None:
    await log.add(*cases.answered(NEW))
    await log.add(cases.answered(7, deadline=LONG)[3])

    found = await log.verify()

    assert found.ok
    assert found.prefix is not None
    assert (found.prefix.record.number, found.prefix.body.last) == (1, 12)
    assert (found.checkpoints.first_index, found.checkpoints.last_index, found.checkpoints.covered_rows) == (13, 22, 10)
    assert (found.chain.cases, found.chain.rows) == (2, 13), "the new case, and the open one from its beginning"
    assert found.record is not None
    assert (found.record.first, found.record.last, found.record.full_at) == (13, 22, found.prefix.record.full_at)


async def test_incremental_without_new_rows_reads_none_and_is_ok(log: Growing) -> None:
    found = await log.verify()

    assert found.ok
    assert (found.chain.rows, found.checkpoints.covered_rows, found.checkpoints.checkpoints) == (0, 0, 0)


async def test_full_verification_is_due_after_its_interval(log: Growing) -> None:
    assert (await log.verify(later=DAY / 2)).prefix is not None
    due = await log.verify(later=DAY)
    assert (due.prefix, due.chain.rows) == (None, 12)
    assert due.reason is not None
    assert "every row was last read at" in due.reason
    assert (await log.verify()).prefix is not None


async def test_row_altered_below_the_prefix_is_found_by_full_only(log: Growing) -> None:
    """What the record cannot show, and the answer says: these rows were not read."""
    await log.attack("update transition set body = replace(body, '8750', '9999') where rubric_score = 8750")
    await log.add(*cases.answered(NEW))

    incremental, full = await log.verify(), await log.verify(full_every=None)

    assert incremental.ok
    assert incremental.prefix is not None
    assert incremental.prefix.body.last == 12
    assert not full.ok
    assert K.ROW_DIFFERS in kinds(full)


ATTACKS: dict[str, tuple[str, FindingKind]] = {
    "body": ("update transition set body = replace(body, '8750', '9999') where case_id = $1", K.ROW_DIFFERS),
    "removed row": ("delete from transition where case_id = $1 and terminal", K.ROW_MISSING),
    "removed entries": ("delete from log_entry where log_index > 15 and $1::uuid is not null", K.INDEX_MISSING),
    "row and entry": (
        "with gone as (delete from transition where case_id = $1 returning event_id)"
        " delete from log_entry where event_id in (select event_id from gone)",
        K.INDEX_MISSING,
    ),
    "entry": (
        "update log_entry set digest = repeat('0', 64) where log_index = 14 and $1::uuid is not null",
        K.INDEX_DIFFERS,
    ),
    "column": ("update transition set outcome = 'failed' where case_id = $1 and terminal", K.COLUMN_DIFFERS),
    "other case": (
        "update transition set case_id = gen_random_uuid() where case_id = $1 and seq = 3",
        K.COLUMN_DIFFERS,
    ),
    "copy": (
        "update checkpoint set signature = ''::bytea where number = 2 and $1::uuid is not null",
        K.CHECKPOINT_DIFFERS,
    ),
}


@pytest.mark.parametrize(
    "attack", [name if name == "body" else pytest.param(name, marks=pytest.mark.slow) for name in ATTACKS]
)
async def test_change_of_a_new_row_is_found_incrementally_and_again(log: Growing, attack: str) -> None:
    await log.add(*cases.answered(NEW))
    statement, kind = ATTACKS[attack]
    await log.attack(statement, cases.first(NEW)["case_id"])

    once, again = await log.verify(), await log.verify()

    for found in (once, again):
        assert found.prefix is not None
        assert found.prefix.record.number == 1, "a finding is never left behind"
        assert kind in kinds(found)
        assert (found.record, found.unrecorded) == (None, "there are findings")


async def test_history_below_the_prefix_under_a_new_row_is_read(log: Growing) -> None:
    """A case that goes on is verified from its beginning."""
    await log.attack("update transition set tenant = 'other' where case_id = $1 and seq = 1", cases.first(7)["case_id"])
    await log.add(cases.answered(7, deadline=LONG)[3])

    assert kinds(await log.verify()) == {K.COLUMN_DIFFERS}


async def test_ending_removed_below_the_prefix_is_found_at_the_deadline(log: Growing) -> None:
    case = cases.first(OLD)["case_id"]
    await log.attack("delete from transition where case_id = $1 and terminal", case)

    before = await log.verify(full_every=timedelta(days=30))
    after = await log.verify(full_every=timedelta(days=30), later=LONG)

    assert before.ok
    assert set(after.chain.unended_cases) == {case, cases.first(7)["case_id"]}


async def test_row_inserted_past_the_queue_is_found_incrementally(log: Growing) -> None:
    late = cases.failed(cases.answered(7, deadline=LONG)[1], "triage")
    await log.attack("select 1")
    await log.store.record([cases.body(late)])
    await log.owner.execute("truncate unindexed")

    assert K.ROW_UNINDEXED in kinds(await log.verify())


async def test_new_row_with_an_entry_among_verified_ones_is_found(log: Growing) -> None:
    """The entry claims a log index that no later run reads; the row's time does not."""
    late = cases.failed(cases.answered(7, deadline=LONG)[1], "triage")
    await log.attack("alter table log_entry drop constraint log_entry_pkey")
    await log.store.record([cases.body(late)])
    await log.owner.execute("truncate unindexed")
    await log.owner.execute(
        "update transition set recorded_at = recorded_at + interval '6 minutes' where event_id = $1", late["event_id"]
    )
    await log.owner.execute(
        "insert into log_entry select 5, opened_on, event_id, transcript_hash, recorded_at,"
        " sha256(convert_to(body, 'UTF8')), mac, mac_key from transition where event_id = $1",
        late["event_id"],
    )

    found = await log.verify()

    assert K.ROW_UNINDEXED in kinds(found)
    assert found.chain.cases == 1


async def test_second_entry_of_a_verified_event_is_found(log: Growing) -> None:
    await log.attack("alter table log_entry drop constraint log_entry_opened_on_event_id_key")
    await log.owner.execute(
        "insert into log_entry select 13, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key"
        " from log_entry where log_index = 3"
    )

    assert K.INDEX_DUPLICATE in kinds(await log.verify())


async def test_database_restored_to_the_prefix_is_found(log: Growing) -> None:
    await log.add(*cases.answered(NEW))
    await log.attack("delete from transition where case_id = $1", cases.first(NEW)["case_id"])
    await log.owner.execute("delete from log_entry where log_index > 12")
    await log.owner.execute("delete from checkpoint where number > 1")

    assert kinds(await log.verify()) == {K.INDEX_MISSING}


async def test_forged_receipt_of_later_is_found_incrementally(log: Growing) -> None:
    await log.attack(
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature, recorded_at)"
        " select opened_on, case_id, 1, '{}', 'none', '', $2 from transition where case_id = $1 and seq = 0",
        cases.first(OLD)["case_id"],
        log.now,
    )

    assert kinds(await log.verify()) == {K.FORGED_RECEIPT}


async def test_missing_cause_in_flight_at_the_first_run_is_found_later(
    store: AuditStore, owner: Owner, proof: Proof, cloud: Cloud, reader: AuditReader
) -> None:
    """A run never builds on rows whose findings may have been pending."""
    growing = Growing(owner, store, proof, reader, cloud, datetime.now(UTC))
    events = cases.answered(OLD, deadline=LONG)
    await growing.add(events[0], events[2])
    now = datetime.now(UTC)

    early = await verify_log(reader, proof.verifier(), growing.records(), growing.everything, now=now, full_every=DAY)
    late = await growing.verify()

    assert early.ok
    assert early.chain.pending_count == 1
    assert early.record is None
    assert early.unrecorded is not None
    assert "too young" in early.unrecorded
    assert kinds(late) == {K.MISSING_PARENT}


FORGERIES: dict[str, Callable[[Growing], Json]] = {
    "another checkpoint under the number": lambda _: {"checkpoint": "0" * 64},
    "a checkpoint that does not exist": lambda _: {"number": 9, "last": 900},
    "more rows than the checkpoint": lambda _: {"last": 21},
    "another log": lambda _: {"log": "other"},
    "a time to come": lambda log: {"verified_at": cases.moment(log.now + 30 * DAY)},
    "fewer checks": lambda _: {"checks": []},
    "no record at all": lambda _: {"format": "switchyard-checkpoint/1"},
}


async def test_records_that_do_not_hold_make_everything_read(log: Growing) -> None:
    """Also somebody who can write beside the checkpoints hides nothing with a record that is not a run's own."""
    await log.add(*cases.answered(NEW))
    case = cases.first(OLD)["case_id"]
    await log.attack("update transition set body = replace(body, '8750', '9999') where case_id = $1", case)
    genuine = (await log.records().latest(log.now)).record
    for number, fields in enumerate(FORGERIES.values()):
        log.now += timedelta(seconds=1)
        await log.put_record(genuine, **fields(log))
        if number:
            with pytest.raises(NoVerifiedPrefix):
                await log.records().latest(log.now)
        else:
            found = await log.verify()
            assert (found.prefix, bool(found.reason)) == (None, True)
            assert K.ROW_DIFFERS in kinds(found)


async def test_record_of_a_full_verification_to_come_does_not_delay_the_next(log: Growing) -> None:
    genuine = (await log.records().latest(log.now)).record
    await log.put_record(genuine, full_at=cases.moment(log.now + 30 * DAY))

    assert (await log.verify()).prefix is None


async def test_record_bound_to_a_checkpoint_of_an_untrusted_key_does_not_count(log: Growing) -> None:
    """The owner of the database makes a checkpoint over altered rows and a record of it; the key is not ours."""
    mallory = LocalSigner(b"\1" * 32)
    body = CheckpointBody.model_validate_json(await log.owner.fetchval("select body from checkpoint where number = 1"))
    leaves = [leaf.hash() for leaf in await log.proof.transparency_log.leaves(1, 12)]
    forged = next_checkpoint_body(
        head_after(body), leaves, log=log.proof.log, made_at=log.now, key=key_name(mallory.public)
    )
    made = Checkpoint(forged, await mallory.sign(forged.signed_bytes()), tuple(leaves))
    await log.cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(log.proof.log, 2), Body=made.to_bytes())
    genuine = (await log.records().latest(log.now)).record
    await log.put_record(genuine, number=2, checkpoint=forged.hash(), last=forged.last)

    found = await log.verify()

    assert found.prefix is None
    assert K.CHECKPOINT_FORGED in kinds(found)


async def test_overwritten_record_does_not_replace_the_first(log: Growing) -> None:
    latest = await log.records().latest(log.now)
    key = f"verifications/{log.proof.log}/{latest.record.verified_at}.json"
    await log.cloud.s3.put_object(Bucket=CHECKPOINT_BUCKET, Key=key, Body=b"{}")

    assert (await log.records().latest(log.now)).record == latest.record


async def test_record_of_long_ago_does_not_count(log: Growing) -> None:
    with pytest.raises(NoVerifiedPrefix, match="35 days"):
        await log.records().latest(log.now + RECORD_VALIDITY + DAY)


async def test_record_of_a_verifier_without_macs_does_not_serve_one_with(log: Growing) -> None:
    log.checks = frozenset({"locks", "macs"})

    with pytest.raises(NoVerifiedPrefix, match="did not check macs"):
        await log.records().latest(log.now)
