"""The database's owner attacks the log with every trigger on: ordinary statements, and what an owner may add or detach.

The service goes on in between: it indexes and makes checkpoints as it does every minute. Each way is found by somebody
who has the public keys and may unwrap the keys of the rows' MACs. What the thief of a named key gets away with is in
docs/audit/proof.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
import structlog

from contracts.catalogue import CATALOGUE
from switchyard.audit.export.bundle import Exporter
from switchyard.audit.export.standalone import verify_bundle
from switchyard.audit.reconciliation.reconciler import LogPresence
from switchyard.audit.records.projection import Transition
from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.row_mac import MacKey, MacKeys
from switchyard.audit.records.store import AuditStore, authentic_row
from switchyard.audit.transparency.checkpoint import Checkpoint, checkpoint_key, next_checkpoint_body
from switchyard.audit.transparency.checkpointer import CheckpointConflict
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.case_verifier import RowTrust
from switchyard.audit.verification.findings import FindingKind
from switchyard.protocol.events.case_manager import ApprovalGranted, TaskRetried
from switchyard.protocol.events.router import AskApproval
from switchyard.protocol.fields import Json
from switchyard.protocol.signed_events import SignerRings
from switchyard.protocol.signing import OperatorKeys, derive_public_key, sign_statement
from switchyard.protocol.statements import approval_statement
from switchyard.runtime.crypto.signing import LocalSigner, TrustedKeys, key_name
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit.conftest import UrlFor
from tests.integration.audit.proof import RECEIPTS, ROW_KEY, SIGNER, Proof, mac_keys
from tests.integration.manual_clock import ManualClock
from tests.reference import examine_message
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
Owner: TypeAlias = "asyncpg.Connection[Any]"
K = FindingKind
HOUR = timedelta(hours=1)
APPROVER = b"\5" * 32
SIGNERS: SignerRings = {
    "approvers": OperatorKeys({"oncall": bytes.fromhex(derive_public_key(APPROVER))}),
    "operators": OperatorKeys({}),
}
VICTIM, LATER = 1, 2
RETIRED_AT = datetime.now(UTC) - timedelta(days=10)
"""When the key was made that the thief has stolen since."""


@dataclass
class Attacked:
    """A log of four cases under two checkpoints, one of them with an approval that its approver signed."""

    owner: Owner
    store: AuditStore
    proof: Proof
    reader: AuditReader
    serving: MacKey
    stolen: MacKey

    @property
    def victim(self) -> list[Json]:
        return cases.answered(VICTIM)

    async def partition(self) -> str:
        return str(await self.owner.fetchval("select max(tableoid::regclass::text) from transition"))

    async def insert(self, event: Json, *, mac: bytes | None = None, key: str | None = None, **columns: Any) -> None:
        """An ordinary INSERT, as the format demands it."""
        row = examine_message(cases.body(event)).row
        assert row is not None
        values = row._asdict() | {"mac": mac or bytes(32), "mac_key": key or self.serving.key_id} | columns
        names, places = ", ".join(values), ", ".join(f"${number + 1}" for number in range(len(values)))
        given = [list(value) if isinstance(value, tuple) else value for value in values.values()]
        await self.owner.execute(f"insert into transition ({names}) values ({places})", *given)

    async def while_detached(self, *statements: str) -> None:
        """A partition that is detached has no trigger of the log on its rows."""
        name = await self.partition()
        bounds = await self.owner.fetchval(
            "select pg_get_expr(relpartbound, oid) from pg_class where oid = $1::regclass", name
        )
        await self.owner.execute(f"alter table transition detach partition {name}")
        for statement in statements:
            await self.owner.execute(statement.format(partition=name, victim=self.victim[6]["event_id"]))
        await self.owner.execute(f"alter table transition attach partition {name} {bounds}")

    async def on_insert(self, statement: str) -> None:
        """A trigger of the owner's own, which changes what the service writes."""
        await self.owner.execute(
            f"create function attack() returns trigger language plpgsql as $$ begin {statement} return new; end $$"
        )
        await self.owner.execute(
            "create trigger attack before insert on transition for each row execute function attack()"
        )

    async def goes_on(self) -> None:
        """The service, for another minute."""
        await self.proof.index_rows()
        try:
            await self.proof.checkpoints().write_if_due(self.proof.transparency_log, now=True)
        except CheckpointConflict as conflict:
            structlog.get_logger().error("checkpoint.conflict", reason=str(conflict))

    async def verify(self) -> set[FindingKind]:
        chain = await self.reader.verify(now=cases.NOW + HOUR)
        covered = await self.proof.verify(macs=mac_keys(self.proof._reading))
        return {finding.kind for finding in (*chain.findings, *covered.findings)}


@pytest.fixture
def row_keys(writer: Pool) -> MacKeys:
    """The service's key was made an hour ago, so that a row may be backdated within its validity."""
    return MacKeys(writer, LocalKeyWrapper(ROW_KEY), ManualClock(datetime.now(UTC) - HOUR))


@pytest.fixture
async def reading(url_for: UrlFor) -> AsyncIterator[Pool]:
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield pool
    await pool.close()


@pytest.fixture
async def log(
    store: AuditStore, owner: Owner, proof: Proof, row_keys: MacKeys, writer: Pool, reading: Pool
) -> Attacked:
    rows = RowTrust(mac_keys(reading), SIGNERS)
    trusted = TrustedKeys([RECEIPTS.public])
    retired = MacKeys(writer, LocalKeyWrapper(ROW_KEY), ManualClock(RETIRED_AT))
    reader = AuditReader(reading, CATALOGUE, trusted=trusted, rows=rows)
    attacked = Attacked(owner, store, proof, reader, await row_keys.serving(), await retired.serving())
    for events in (cases.answered(0), cases.answered(VICTIM)):
        await store.record(cases.bodies(events))
    await attacked.goes_on()
    for events in (cases.answered(LATER), approved(APPROVER)):
        await store.record(cases.bodies(events))
    await attacked.goes_on()
    assert await attacked.verify() == set()
    return attacked


def approved(key: bytes, number: int = 8, **opened: Any) -> list[Json]:
    """An email case as far as its approval, which somebody with this key signed as `oncall`."""
    first = cases.first(number, **opened)
    content = hashlib.sha256(b"email").hexdigest()
    asked = cases.follow(
        first,
        AskApproval(content=cases.ANSWER, content_sha256=content, pack="2026.05", approval="first_contact"),
        "router",
        node_to="case_manager",
        time_limit_ms=60_000,
    )
    stated: dict[str, Any] = {
        "approval_id": asked["event_id"],
        "content_sha256": content,
        "approver": "oncall",
        "reason": "agreed",
        "signed_at": cases.moment(cases.OPENED),
    }
    statement = approval_statement(case_id=first["case_id"], pack="2026.05", verdict="granted", **stated)
    granted = ApprovalGranted(**stated, signature=sign_statement(key, statement))
    return [first, asked, cases.follow(asked, granted, "case_manager")]


def retried() -> list[Json]:
    """A retry of a failed task by an operator without a key."""
    events = cases.answered(9)[:2]
    failure = cases.failed(events[-1], "triage")
    payload = TaskRetried(
        task=events[-1]["event_id"],
        task_type=events[-1]["type"],
        command=events[-1],
        closed="0" * 64,
        operator="mallory",
        reason="It works now.",
        requested_at=cases.moment(cases.NOW),
        signature="0" * 128,
    )
    return [*events, failure, cases.follow(failure, payload, "case_manager")]


async def invented_history(log: Attacked) -> None:
    opened = datetime.now(UTC) - timedelta(days=20)
    for event in approved(b"\6" * 32, 20, opened=opened):
        await log.insert(event, recorded_at=opened + timedelta(seconds=1))


async def invented_with_a_key_of_their_own(log: Attacked) -> None:
    own, now = MacKey(str(uuid.uuid4()), log.serving.not_before, log.serving.not_after, b"\6" * 32), datetime.now(UTC)
    wrapped = await LocalKeyWrapper(b"\6" * 32).wrap(own.secret, subject="switchyard-row-mac/1")
    await log.owner.execute(
        "insert into mac_key (key_id, not_before, not_after, wrapped) values ($1, $2, $3, $4)",
        own.key_id, own.not_before, own.not_after, wrapped,
    )  # fmt: skip
    for event in cases.answered(20):
        row = examine_message(cases.body(event)).row
        assert row is not None
        await log.insert(event, mac=own.mac(authentic_row(row)), key=own.key_id, recorded_at=now)


def _signed(key: MacKey, event: Json) -> bytes:
    row: Transition | None = examine_message(cases.body(event)).row
    assert row is not None
    return key.mac(authentic_row(row))


async def replayed_mac(log: Attacked) -> None:
    mac = await log.owner.fetchval("select mac from transition where event_id = $1", log.victim[3]["event_id"])
    await log.insert(cases.first(20), mac=mac)


async def stolen_retired_key_today(log: Attacked) -> None:
    event = cases.first(20)
    await log.insert(event, mac=_signed(log.stolen, event), key=log.stolen.key_id)


async def stolen_retired_key_backdated(log: Attacked) -> None:
    event = cases.first(20, opened=RETIRED_AT, deadline=timedelta(days=30))
    then = RETIRED_AT + HOUR
    await log.insert(event, mac=_signed(log.stolen, event), key=log.stolen.key_id, recorded_at=then)


async def duplicate_with_another_digest(log: Attacked) -> None:
    forged = cases.rewritten(log.victim[6], rubric_score=1)
    await log.insert(forged, opened_on=cases.OPENED.date() + timedelta(days=1))


async def exact_copy_in_another_day(log: Attacked) -> None:
    event = log.victim[6]
    mac = await log.owner.fetchval("select mac from transition where event_id = $1", event["event_id"])
    await log.insert(event, mac=mac, opened_on=cases.OPENED.date() + timedelta(days=1))


async def detached(log: Attacked) -> None:
    await log.owner.execute(f"alter table transition detach partition {await log.partition()}")


async def detached_with_a_drop_on_record(log: Attacked) -> None:
    name = await log.partition()
    await detached(log)
    await log.owner.execute("insert into partition_drop (partition_name, cases, events) values ($1, 4, 30)", name)


async def altered_while_detached(log: Attacked) -> None:
    await log.while_detached(
        "update {partition} set body = replace(body, '8750', '9999'), rubric_score = 9999 where event_id = '{victim}'"
    )


async def column_altered_while_detached(log: Attacked) -> None:
    await log.while_detached("update {partition} set outcome = 'denied' where terminal")


async def macs_swapped_while_detached(log: Attacked) -> None:
    await log.while_detached(
        "update {partition} t set mac = o.mac from {partition} o"
        " where t.seq = 3 and o.seq = 4 and t.case_id = o.case_id"
    )


async def tail_cut_while_detached(log: Attacked) -> None:
    await log.while_detached(
        "delete from {partition} t using log_entry e where e.event_id = t.event_id and e.log_index > 25"
    )


async def recorded_again_while_detached(log: Attacked) -> None:
    """A row is taken out and put back with its own MAC, as if it had been recorded now."""
    await log.while_detached("update {partition} set recorded_at = clock_timestamp() where event_id = '{victim}'")


async def receipt_forged_while_detached(log: Attacked) -> None:
    """The policy, the age and the receipt are the owner's: the database itself then lets the bodies go."""
    await log.owner.execute(
        "insert into retention_policy (playbook, keep_for, citation, set_by) values ('assist', '15 days', 'c', 'ada')"
    )
    await log.while_detached("update {partition} set recorded_at = '2020-01-01', event_ts = '2020-01-01'")
    row = await log.owner.fetchrow(
        "select event_id::text, transcript_hash, encode(sha256(convert_to(body, 'UTF8')), 'hex') as hash, opened_on,"
        " case_id::text from transition where event_id = $1",
        log.victim[6]["event_id"],
    )
    assert row is not None
    statement = json.dumps(
        {
            "case_id": row["case_id"],
            "opened_on": row["opened_on"].isoformat(),
            "part": 1,
            "events": [{"event_id": row[0], "digest": row[1], "parents": [], "body_sha256": row["hash"]}],
        }
    )
    await log.owner.execute(
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values ($1, $2, 1, $3, repeat('0', 64), '')",
        row["opened_on"], row["case_id"], statement,
    )  # fmt: skip
    await log.owner.execute("update transition set body = null where event_id = $1", row[0])


async def erasure_forged(log: Attacked) -> None:
    subject = uuid.UUID(int=VICTIM)
    forger = LocalSigner(b"\6" * 32)
    await log.owner.execute(
        "insert into erasure_receipt (receipt_id, subject, statement, key, signature) values ($1, $1, $2, $3, $4)",
        subject, json.dumps({"subject": str(subject)}), hashlib.sha256(forger.public).hexdigest(), b"",
    )  # fmt: skip


async def disabled_trigger(log: Attacked) -> None:
    await log.owner.execute("alter table transition disable trigger append_only_update")
    await log.owner.execute(
        "update transition set body = replace(body, '8750', '9999') where event_id = $1", log.victim[6]["event_id"]
    )


async def genuine_row_backdated(log: Attacked) -> None:
    await log.on_insert("new.recorded_at := new.recorded_at - interval '30 minutes';")
    await log.store.record([cases.body(cases.first(30))])


async def genuine_row_postdated(log: Attacked) -> None:
    await log.on_insert("new.recorded_at := new.recorded_at + interval '6 hours';")
    await log.store.record([cases.body(cases.first(30))])


async def column_altered_at_insert(log: Attacked) -> None:
    await log.on_insert("new.tenant := 'zeta';")
    await log.store.record([cases.body(cases.first(30))])


async def body_altered_at_insert(log: Attacked) -> None:
    await log.on_insert("new.body := replace(new.body, 's-1', 's-2');")
    await log.store.record([cases.body(cases.first(30))])


async def row_dropped_at_insert(log: Attacked) -> None:
    await log.on_insert("if new.seq = 3 then return null; end if;")
    await log.store.record(cases.bodies(cases.answered(30)))


async def queue_emptied(log: Attacked) -> None:
    await log.store.record([cases.body(cases.first(30))])
    await log.owner.execute("delete from unindexed")


async def entry_past_the_sequencer(log: Attacked) -> None:
    event = cases.first(20)
    await log.insert(event)
    await log.owner.execute("delete from unindexed")
    await log.owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " select (select max(log_index) + 1 from log_entry), opened_on, event_id, transcript_hash, recorded_at,"
        " sha256(convert_to(body, 'UTF8')), mac, mac_key from transition where event_id = $1",
        event["event_id"],
    )


async def index_rows_replaced(log: Attacked) -> None:
    """The function that gives log indexes is the owner's: it adds an entry of its own to what the sequencer checked."""
    await log.insert(cases.first(20))
    source = await log.owner.fetchval("select prosrc from pg_proc where proname = 'index_rows'")
    await log.owner.execute(
        "create or replace function index_rows(days date[], ids uuid[], digests text[], times timestamptz[],"
        " body_hashes bytea[], macs bytea[], keys uuid[]) returns integer language plpgsql security definer"
        " set search_path = audit, pg_temp as $attack$"
        + source.replace(
            "return taken;",
            "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
            " select (select max(log_index) + 1 from log_entry), opened_on, event_id, transcript_hash, recorded_at,"
            " sha256(convert_to(body, 'UTF8')), mac, mac_key from transition"
            " where mac = decode(repeat('00', 32), 'hex')"
            " on conflict do nothing; return taken;",
        )
        + "$attack$"
    )
    await log.store.record([cases.body(cases.first(30))])


async def gap_in_log_indexes(log: Attacked) -> None:
    event = cases.first(30)
    await log.store.record([cases.body(event)])
    await log.owner.execute("delete from unindexed")
    await log.owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " select (select max(log_index) + 5 from log_entry), opened_on, event_id, transcript_hash, recorded_at,"
        " sha256(convert_to(body, 'UTF8')), mac, mac_key from transition where event_id = $1",
        event["event_id"],
    )


async def same_event_twice_in_the_index(log: Attacked) -> None:
    await log.owner.execute("alter table log_entry drop constraint log_entry_opened_on_event_id_key")
    await log.owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " select (select max(log_index) + 1 from log_entry), opened_on, event_id, digest, recorded_at, body_sha256,"
        " mac, mac_key from log_entry where log_index = 20"
    )


async def checkpoint_added(log: Attacked) -> None:
    await log.owner.execute(
        "insert into checkpoint (log, number, first_index, last_index, body, signature)"
        " select log, 3, 31, 40, body, signature from checkpoint where number = 2"
    )


async def checkpoint_rewritten(log: Attacked) -> None:
    await log.owner.execute("create table copied as select * from checkpoint")
    await log.owner.execute("update copied set signature = '' where number = 2")
    await log.owner.execute("drop table checkpoint")
    await log.owner.execute("alter table copied rename to checkpoint")
    await log.owner.execute("grant select, insert on checkpoint to audit, audit_reader")


async def forged_approval_through_the_bus(log: Attacked) -> None:
    await log.store.record(cases.bodies(approved(b"\6" * 32, 30)))


async def forged_retry_through_the_bus(log: Attacked) -> None:
    await log.store.record(cases.bodies(retried()))


Attack = Callable[[Attacked], Awaitable[None]]
ATTACKS: dict[Attack, set[FindingKind]] = {
    invented_history: {K.ROW_UNINDEXED, K.FORGED_ROW, K.FORGED_SIGNATURE},
    invented_with_a_key_of_their_own: {K.ROW_UNINDEXED, K.FORGED_ROW},
    replayed_mac: {K.ROW_UNINDEXED, K.FORGED_ROW},
    stolen_retired_key_today: {K.ROW_UNINDEXED, K.FORGED_ROW},
    stolen_retired_key_backdated: {K.BACKDATED},
    duplicate_with_another_digest: {K.ROW_UNINDEXED, K.FORGED_ROW, K.DUPLICATE},
    exact_copy_in_another_day: {K.ROW_UNINDEXED, K.FORGED_ROW, K.DUPLICATE},
    detached: {K.ROW_MISSING},
    detached_with_a_drop_on_record: {K.ROW_MISSING},
    altered_while_detached: {K.ROW_DIFFERS, K.FORGED_ROW, K.DIGEST_MISMATCH},
    column_altered_while_detached: {K.COLUMN_DIFFERS},
    macs_swapped_while_detached: {K.ROW_DIFFERS, K.FORGED_ROW},
    tail_cut_while_detached: {K.ROW_MISSING},
    recorded_again_while_detached: {K.ROW_DIFFERS},
    receipt_forged_while_detached: {K.FORGED_RECEIPT, K.BODY_MISSING, K.ROW_DIFFERS},
    erasure_forged: {K.FORGED_RECEIPT},
    disabled_trigger: {K.ROW_DIFFERS, K.FORGED_ROW},
    genuine_row_backdated: {K.BACKDATED},
    genuine_row_postdated: {K.BACKDATED},
    column_altered_at_insert: {K.COLUMN_DIFFERS},
    body_altered_at_insert: {K.ROW_UNINDEXED, K.FORGED_ROW},
    row_dropped_at_insert: {K.MISSING_PARENT},
    queue_emptied: {K.ROW_UNINDEXED},
    entry_past_the_sequencer: {K.FORGED_ROW},
    index_rows_replaced: {K.FORGED_ROW},
    gap_in_log_indexes: {K.INDEX_MISSING},
    same_event_twice_in_the_index: {K.INDEX_DUPLICATE},
    checkpoint_added: {K.CHECKPOINT_MISSING},
    checkpoint_rewritten: {K.CHECKPOINT_DIFFERS},
    forged_approval_through_the_bus: {K.FORGED_SIGNATURE},
    forged_retry_through_the_bus: {K.FORGED_SIGNATURE},
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_owner_attack_with_triggers_on_is_found(log: Attacked, attack: Attack) -> None:
    await attack(log)
    await log.goes_on()

    found = await log.verify()

    assert ATTACKS[attack] <= found, found


async def test_thief_of_the_serving_key_adds_rows_that_only_producers_disown(log: Attacked) -> None:
    """The owner with the key that authenticates rows now. Not the past, and no person's signature."""
    for event in cases.answered(20):
        await log.insert(event, mac=_signed(log.serving, event), key=log.serving.key_id)
    await log.goes_on()

    assert await log.verify() == set()
    producers = LogPresence(log.proof._reading)
    compared = await producers.cases(None, 0, uuid.UUID(int=0), 100)
    assert uuid.UUID(cases.first(20)["case_id"]) in compared, "reconcile finds it unclaimed: no producer stored it"

    for event in approved(b"\6" * 32, 21):
        await log.insert(event, mac=_signed(log.serving, event), key=log.serving.key_id)
    await log.goes_on()
    assert await log.verify() == {K.FORGED_SIGNATURE}
    before = cases.first(22)
    await log.insert(
        before,
        mac=_signed(log.serving, before),
        key=log.serving.key_id,
        recorded_at=datetime.now(UTC) - timedelta(minutes=30),
    )
    await log.goes_on()
    assert K.BACKDATED in await log.verify()


async def test_thief_of_the_checkpoint_key_convinces_a_verifier_without_row_keys(log: Attacked) -> None:
    """The owner with the key that signs checkpoints, and without any key of the rows."""
    for event in cases.answered(20):
        await log.insert(event)
    await log.owner.execute("delete from unindexed")
    await log.owner.execute(
        "insert into log_entry (log_index, opened_on, event_id, digest, recorded_at, body_sha256, mac, mac_key)"
        " select (select max(log_index) from log_entry) + row_number() over (order by seq), opened_on, event_id,"
        " transcript_hash, recorded_at, sha256(convert_to(body, 'UTF8')), mac, mac_key from transition"
        " where case_id = $1",
        cases.first(20)["case_id"],
    )
    transparency_log, checkpointer = log.proof.transparency_log, log.proof.checkpoints()
    head = await transparency_log.head(log.proof.log)
    leaves = [leaf.hash() for leaf in await transparency_log.leaves(head.last + 1, head.last + 9)]
    now = datetime.now(UTC)
    body = next_checkpoint_body(head, leaves, log=log.proof.log, made_at=now, key=key_name(SIGNER.public))
    checkpoint = Checkpoint(body, await SIGNER.sign(body.signed_bytes()), tuple(leaves))
    await checkpointer.objects.put_new(
        checkpoint_key(log.proof.log, body.number),
        checkpoint.to_bytes(),
        keep_until=now + HOUR,
        content_type="text/plain",
    )
    await transparency_log.add(checkpoint)

    assert (await log.proof.verify()).ok, "without the keys of the MACs"
    bundle, _ = await Exporter(log.proof._reading, log.proof.objects, [], log=log.proof.log).export(
        cases.first(20)["case_id"]
    )
    keys = verify_bundle.BundleKeys()
    keys.add(base64.b64encode(SIGNER.public).decode())
    assert list(verify_bundle.verify_bundle(bundle, keys, {})) == []
    assert await log.verify() == {K.FORGED_ROW}


@pytest.mark.parametrize("attack", [entry_past_the_sequencer, index_rows_replaced, gap_in_log_indexes])
async def test_checkpoint_over_an_entry_of_another_writer_is_not_signed(log: Attacked, attack: Attack) -> None:
    await attack(log)
    await log.goes_on()

    assert await log.owner.fetchval("select max(number) from checkpoint") == 2
    assert (await log.proof.verify()).covered_rows == 30
