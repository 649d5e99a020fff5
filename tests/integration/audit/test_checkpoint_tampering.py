"""The database's owner, triggers disabled, rewrites log indexes and checkpoints along with the rows.

The store knows better.

Each way is done as thoroughly as somebody who knows the format can: verification without checkpoints finds nothing in
those that are marked so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from switchyard.audit.records.projection import Transition
from switchyard.audit.records.store import AuditStore
from switchyard.audit.transparency.checkpoint import (
    Checkpoint,
    CheckpointBody,
    LogHead,
    checkpoint_key,
    head_after,
    next_checkpoint_body,
)
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import CheckpointReport, FindingKind
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from switchyard.runtime.crypto.signing import LocalSigner, key_name
from tests.integration.audit.proof import SIGNER, Proof
from tests.integration.cloud import Cloud
from tests.reference import examine_message
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
LATER = cases.NOW + timedelta(hours=1)
VICTIM, OPEN, LAST = 1, 7, 2
"""Numbers of cases: an ended one, one that is still open, and the one that the log ends with."""

TABLES = ("transition", "log_entry", "checkpoint", "unindexed")


@dataclass
class Log:
    """Three ended cases and an open one, in two checkpoints of 18 and 12 rows, with the triggers out of the way."""

    owner: Owner
    store: AuditStore
    proof: Proof
    cloud: Cloud

    @property
    def events(self) -> list[Json]:
        """The victim's events; their log indexes are 10 to 18."""
        return cases.answered(VICTIM)

    async def rewrite(self, event: Json, forged: Json) -> None:
        """Replace a row and all that its log entry has, keeping `recorded_at`."""
        row = examine_message(cases.body(forged)).row
        assert row is not None
        names = [name for name in Transition._fields if name not in {"opened_on", "event_id"}]
        columns = ", ".join(f"{name} = ${index}" for index, name in enumerate(names, start=2))
        values = [
            list(value) if isinstance(value, tuple) else value for value in (getattr(row, name) for name in names)
        ]
        await self.owner.execute(f"update transition set {columns} where event_id = $1", event["event_id"], *values)
        await self.follow()

    async def follow(self) -> None:
        """Make the log indexes say what the rows say."""
        await self.owner.execute(
            "update log_entry p set digest = t.transcript_hash, recorded_at = t.recorded_at,"
            " body_sha256 = sha256(convert_to(t.body, 'UTF8')), mac = t.mac, mac_key = t.mac_key"
            " from transition t where t.event_id = p.event_id"
        )

    async def remove(self, condition: str, *arguments: Any) -> None:
        """Remove rows with their log indexes, and close the gap."""
        await self.owner.execute(f"delete from transition where {condition}", *arguments)
        await self.owner.execute(
            "delete from log_entry p where not exists (select from transition t where t.event_id = p.event_id)"
        )
        await self.owner.execute(
            "update log_entry p set log_index = -n.number from"
            " (select event_id, row_number() over (order by log_index) as number from log_entry) n"
            " where n.event_id = p.event_id"
        )
        await self.owner.execute("update log_entry set log_index = -log_index")

    async def number(self, event: Json) -> int:
        """An event's log index."""
        return int(await self.owner.fetchval("select log_index from log_entry where event_id = $1", event["event_id"]))


@pytest.fixture
async def log(store: AuditStore, owner: Owner, proof: Proof, cloud: Cloud, reader: AuditReader) -> Log:
    """The log before anybody touches it: everything holds."""
    for number in (0, VICTIM):
        for text in cases.bodies(cases.answered(number)):
            await store.record([text])
    await proof.checkpoint()
    for text in cases.bodies([*cases.answered(OPEN)[:3], *cases.answered(LAST)]):
        await store.record([text])
    await proof.checkpoint()
    assert (await proof.verify()).ok
    assert (await reader.verify(now=cases.NOW)).ok
    for table in TABLES[:3]:
        await owner.execute(f"alter table {table} disable trigger all")
    await owner.execute("alter table log_entry drop constraint log_entry_log_index_check")
    await owner.execute("alter table transition enable always trigger queued")
    return Log(owner, store, proof, cloud)


def kinds(report: CheckpointReport) -> set[FindingKind]:
    return {found.kind for found in report.findings}


def at(report: CheckpointReport, event: Json) -> set[tuple[FindingKind, str | None]]:
    return {(found.kind, found.field) for found in report.findings if found.event_id == event["event_id"]}


async def test_edited_field_is_named_with_its_row(log: Log) -> None:
    event = log.events[6]
    await log.owner.execute(
        "update transition set body = replace(body, '8750', '9999'), rubric_score = 9999 where event_id = $1",
        event["event_id"],
    )

    report = await log.proof.verify()

    assert at(report, event) == {(FindingKind.ROW_DIFFERS, "body")}
    assert report.findings[0].case_id == event["case_id"]
    assert report.finding_count == 1


async def test_edited_digest_is_named_with_its_row(log: Log) -> None:
    event = log.events[6]
    await log.owner.execute(
        "update transition set transcript_hash = repeat('0', 64) where event_id = $1", event["event_id"]
    )
    assert at(await log.proof.verify(), event) == {(FindingKind.ROW_DIFFERS, "transcript_hash")}

    await log.follow()
    assert at(await log.proof.verify(), event) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_field_outside_the_digest_is_covered_by_its_log_index(log: Log, reader: AuditReader) -> None:
    """The producer's clock and an artefact's place are outside the digest; the received text is evidence, too."""
    event = log.events[6]
    await log.owner.execute(
        'update transition set body = replace(body, \'"trace": {}\', \'"trace": {"a": "b"}\') where event_id = $1',
        event["event_id"],
    )

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without log indexes"
    assert at(await log.proof.verify(), event) == {(FindingKind.ROW_DIFFERS, "body")}


async def test_suffix_with_recomputed_digests_and_indexes_is_found(log: Log, reader: AuditReader) -> None:
    events = log.events
    forged = [cases.rewritten(events[6], rubric_score=9_999)]
    for event in events[7:]:
        forged.append(cases.rewritten(event, parents=[forged[-1]["digest"]]))
    for event, other in zip(events[6:], forged, strict=True):
        await log.rewrite(event, other)

    report = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert {(found.kind, found.event_id) for found in report.findings} == {
        (FindingKind.INDEX_DIFFERS, event["event_id"]) for event in events[6:]
    }


async def test_dropped_leaf_is_found(log: Log, reader: AuditReader) -> None:
    """The last event of the open case: nothing follows it, and the case may still go on."""
    leaf = cases.answered(OPEN)[2]
    gone = await log.number(leaf)
    await log.owner.execute("delete from transition where event_id = $1", leaf["event_id"])

    with_position = await log.proof.verify()
    await log.remove("false")
    without = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert [(found.kind, found.event_id) for found in with_position.findings] == [
        (FindingKind.ROW_MISSING, leaf["event_id"])
    ]
    assert kinds(without) == {FindingKind.INDEX_DIFFERS, FindingKind.INDEX_MISSING}
    assert f"the entry at log index {gone} differs from the leaf in checkpoint 2" in without.findings[0].why


async def test_dropped_open_case_is_found(log: Log, reader: AuditReader) -> None:
    await log.remove("case_id = $1", cases.first(OPEN)["case_id"])

    report = await log.proof.verify()

    assert (await reader.verify(now=LATER)).ok, "invisible without checkpoints"
    assert kinds(report) == {FindingKind.INDEX_DIFFERS, FindingKind.INDEX_MISSING}
    assert "log indexes 28 to 30: 3 entries that checkpoint 2" in report.findings[-1].why


async def test_dropped_tail_is_found(log: Log, reader: AuditReader) -> None:
    await log.remove("case_id = $1", cases.first(LAST)["case_id"])
    await log.owner.execute("delete from checkpoint where number = 2")

    report = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert [found.why.partition(" of ")[0] for found in report.findings] == [
        "log indexes 22 to 30: 9 entries that checkpoint 2"
    ]


async def test_two_swapped_rows_are_found(log: Log, reader: AuditReader) -> None:
    one, other = log.events[3], cases.answered(0)[3]
    pair = [one["event_id"], other["event_id"]]
    for change in (
        "update transition t set recorded_at = o.recorded_at from log_entry o",
        "update log_entry t set log_index = -o.log_index from log_entry o",
    ):
        await log.owner.execute(
            f"{change} where t.event_id = any($1::uuid[]) and o.event_id = any($1::uuid[])"
            " and o.event_id <> t.event_id",
            pair,
        )
    await log.owner.execute("update log_entry set log_index = abs(log_index)")
    await log.follow()

    report = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert {(found.kind, found.event_id) for found in report.findings} == {
        (FindingKind.INDEX_DIFFERS, one["event_id"]),
        (FindingKind.INDEX_DIFFERS, other["event_id"]),
    }


async def test_row_inserted_without_the_service_is_found(log: Log, reader: AuditReader) -> None:
    """A second ending of the open case's kind, where the chain alone has no objection: a late failure."""
    late = cases.failed(cases.answered(OPEN)[1], "triage")
    victim = cases.answered(OPEN)[2]
    await log.remove("event_id = $1", victim["event_id"])
    await log.owner.execute("alter table transition disable trigger queued")
    await log.store.record([cases.body(late)])

    unindexed = await log.proof.verify()
    await log.owner.execute(
        "insert into log_entry select 1 + (select max(log_index) from log_entry), opened_on, event_id, transcript_hash,"
        " recorded_at, sha256(convert_to(body, 'UTF8')), mac, mac_key from transition where event_id = $1",
        late["event_id"],
    )
    placed = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert at(unindexed, late) == {(FindingKind.ROW_UNINDEXED, None)}
    assert at(placed, late) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_backdated_row_is_found(log: Log, reader: AuditReader) -> None:
    event = log.events[8]
    await log.owner.execute(
        "update transition set recorded_at = recorded_at - interval '2 minutes' where event_id = $1", event["event_id"]
    )
    plain = await log.proof.verify()
    await log.follow()
    followed = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert at(plain, event) == {(FindingKind.ROW_DIFFERS, "recorded_at")}
    assert at(followed, event) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_dropped_partition_is_found(log: Log, reader: AuditReader) -> None:
    partition = await log.owner.fetchval("select tableoid::regclass::text from transition limit 1")
    await log.owner.execute(f"drop table {partition}")

    report = await log.proof.verify()

    assert (await reader.verify(now=LATER)).ok, "an empty log has nothing wrong in it"
    assert (report.finding_count, kinds(report)) == (30, {FindingKind.ROW_MISSING})


async def test_restored_backup_is_found(log: Log, reader: AuditReader) -> None:
    """The database as it was after the first checkpoint: consistent, and shorter than what the store knows."""
    await log.remove("event_id in (select event_id from log_entry where log_index > 18)")
    await log.owner.execute("delete from checkpoint where number > 1")

    report = await log.proof.verify()

    assert (await reader.verify(now=LATER)).ok, "invisible without checkpoints"
    assert report.checkpoints == 2
    assert [found.why.partition(" of ")[0] for found in report.findings] == [
        "log indexes 19 to 30: 12 entries that checkpoint 2"
    ]


async def test_restored_backup_is_found_after_later_writes(log: Log) -> None:
    await log.remove("event_id in (select event_id from log_entry where log_index > 18)")
    await log.owner.execute("delete from checkpoint where number > 1")
    await log.store.record(cases.bodies(cases.answered(9)))
    await log.proof.index_rows()

    report = await log.proof.verify()

    assert kinds(report) == {FindingKind.INDEX_DIFFERS, FindingKind.INDEX_MISSING}
    assert report.finding_count == 10


async def test_ending_rewritten_in_all_tables_is_found(log: Log, reader: AuditReader) -> None:
    event = log.events[8]
    await log.rewrite(event, cases.rewritten(event, payload={**event["payload"], "outcome": "cancelled"}))

    report = await log.proof.verify()

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert at(report, event) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_ending_exchanged_for_another_is_found(log: Log, reader: AuditReader) -> None:
    events = log.events
    other = cases.follow(events[7], CaseClosed(outcome="cancelled", code="cancelled"), "case_manager")
    await log.rewrite(events[8], other)

    assert (await reader.verify(now=cases.NOW)).ok, "invisible without checkpoints"
    assert at(await log.proof.verify(), other) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_database_copies_of_checkpoints_are_no_proof(log: Log) -> None:
    """The owner rewrites the last row and makes a checkpoint for it with a key of their own, in the database."""
    event = cases.answered(LAST)[8]
    await log.rewrite(event, cases.rewritten(event, payload={**event["payload"], "outcome": "cancelled"}))
    body, signature = await _resigned(log, LocalSigner(b"\1" * 32))
    await log.owner.execute("update checkpoint set body = $1, signature = $2 where number = 2", body, signature)

    assert kinds(await log.proof.verify()) == {FindingKind.CHECKPOINT_DIFFERS, FindingKind.INDEX_DIFFERS}


async def test_overwritten_checkpoint_is_found_despite_valid_signature(log: Log) -> None:
    """An attacker who may sign and write to the bucket still cannot replace what Object Lock keeps."""
    event = cases.answered(LAST)[8]
    await log.rewrite(event, cases.rewritten(event, payload={**event["payload"], "outcome": "cancelled"}))
    body, signature = await _resigned(log, SIGNER)
    leaves = tuple([leaf.hash() for leaf in await log.proof.transparency_log.leaves(19, 30)])
    forged = Checkpoint(CheckpointBody.model_validate_json(body), signature, leaves)
    await log.owner.execute("update checkpoint set body = $1, signature = $2 where number = 2", body, signature)
    await log.cloud.s3.put_object(
        Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(log.proof.log, 2), Body=forged.to_bytes()
    )

    report = await log.proof.verify()

    assert kinds(report) == {
        FindingKind.CHECKPOINT_OVERWRITTEN,
        FindingKind.CHECKPOINT_DIFFERS,
        FindingKind.INDEX_DIFFERS,
    }
    assert at(report, event) == {(FindingKind.INDEX_DIFFERS, None)}


async def test_missing_or_hidden_checkpoint_is_found(log: Log) -> None:
    await log.cloud.s3.delete_object(Bucket=CHECKPOINT_BUCKET, Key=checkpoint_key(log.proof.log, 1))

    hidden = await log.proof.verify()

    assert kinds(hidden) == {FindingKind.CHECKPOINT_OVERWRITTEN}
    assert hidden.covered_rows == 30


async def test_checkpoint_in_the_database_only_is_found(log: Log) -> None:
    await log.owner.execute(
        "insert into checkpoint (log, number, first_index, last_index, body, signature)"
        " select log, 3, 31, 40, body, signature from checkpoint where number = 2"
    )

    report = await log.proof.verify()

    assert [found.why for found in report.findings] == ["checkpoint 3 is in the database and not in the store"]


async def _head(log: Log) -> LogHead:
    body = await log.owner.fetchval("select body from checkpoint where number = 1")
    return head_after(CheckpointBody.model_validate_json(body))


async def _resigned(log: Log, signer: LocalSigner) -> tuple[str, bytes]:
    """A checkpoint 2 over what the database says now."""
    leaves = [leaf.hash() for leaf in await log.proof.transparency_log.leaves(19, 30)]
    body = next_checkpoint_body(
        await _head(log), leaves, log=log.proof.log, made_at=cases.NOW, key=key_name(signer.public)
    )
    return body.signed_bytes().decode(), await signer.sign(body.signed_bytes())
