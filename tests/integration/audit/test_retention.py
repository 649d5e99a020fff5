"""Bodies leave the log when their time is over: not before, not under a hold, and never without a receipt."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from aiobotocore.session import AioSession

from contracts.canonical import canonical
from contracts.fields import Json
from local.provision import BUCKET
from runtime.clock import SystemClock
from runtime.database import Pool, connect_pool
from runtime.objects import S3Objects
from runtime.signing import LocalSigner, TrustedKeys
from services.audit.case_objects import CaseObjects
from services.audit.findings import FindingKind
from services.audit.owner import READER, RETENTION, SCHEMA, WRITER
from services.audit.reader import AuditReader
from services.audit.retention import Due, Fate, RetentionStore
from services.audit.store import AuditStore
from tests.integration.audit.aged import age, make_month
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.cloud import Cloud
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
SIGNER = LocalSigner(bytes(32))
LONG_AGO = datetime(2024, 3, 5, 9, tzinfo=UTC)
MONTH = "2024-03-01"


@pytest.fixture
async def retention(url_for: UrlFor, cloud: Cloud) -> AsyncIterator[RetentionStore]:
    """The log, as its retention role."""
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    yield RetentionStore(pool, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, BUCKET))
    await pool.close()


@pytest.fixture
async def prover(url_for: UrlFor) -> AsyncIterator[AuditReader]:
    """A reviewer who trusts the key of the receipts."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield AuditReader(pool, trusted=TrustedKeys([SIGNER.public]))
    await pool.close()


@pytest.fixture
async def events(store: AuditStore, owner: Owner) -> list[Json]:
    """A case of long ago, beside a recent one."""
    await make_month(owner, MONTH)
    old = cases.answered(1, opened=LONG_AGO)
    await store.record(cases.bodies(old))
    await age(owner)
    await store.record(cases.bodies(cases.answered(2)))
    return old


async def due_now(retention: RetentionStore) -> list[Due]:
    return [due async for due in retention.due(limit=1_000)]


async def retire_all(retention: RetentionStore) -> list[Fate]:
    return [(await retention.retire(due, operator="ada")).fate for due in await due_now(retention)]


async def tampering(owner: Owner, change: str, *arguments: object) -> None:
    for table in ("transition", "retention_receipt"):
        await owner.execute(f"alter table {table} disable trigger all")
    await owner.execute(change, *arguments)


async def test_only_what_is_over_is_retired_and_the_chain_still_verifies(
    retention: RetentionStore, prover: AuditReader, owner: Owner, events: list[Json]
) -> None:
    assert [due.case_id for due in await due_now(retention)] == [events[0]["case_id"]]

    assert await retire_all(retention) == [Fate.RETIRED]

    bodies = await owner.fetch("select case_id::text, count(body) from transition group by 1")
    assert dict(bodies) == {events[0]["case_id"]: 0, cases.first(2)["case_id"]: 9}
    report = await prover.verify()
    assert (report.ok, report.rows, report.cases) == (True, 18, 2)
    kept = await owner.fetch("select event_id::text, transcript_hash, parents from retired_event")
    assert {(row["event_id"], row["transcript_hash"], tuple(row["parents"])) for row in kept} == {
        (event["event_id"], event["digest"], tuple(event["parents"])) for event in events
    }
    assert await due_now(retention) == []


async def test_the_receipt_says_what_went_when_by_whom_and_why(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await retire_all(retention)

    said = json.loads(await owner.fetchval("select statement from retention_receipt"))

    assert (said["case_id"], said["retired_by"], said["playbook"]) == (events[0]["case_id"], "ada", "assist")
    assert said["archive"] is None
    assert "year" in said["citation"]
    texts = {hashlib.sha256(text.encode()).hexdigest() for text in cases.bodies(events)}
    assert {event["body_sha256"] for event in said["events"]} == texts
    assert "body" not in said["events"][0]


async def test_bodies_can_go_to_an_archive_first_and_artefacts_go_with_them(
    url_for: UrlFor, cloud: Cloud, owner: Owner, events: list[Json]
) -> None:
    case_id = events[0]["case_id"]
    for name in ("findings", "answer"):
        await cloud.s3.put_object(Bucket=BUCKET, Key=f"artefacts/{case_id}/{name}", Body=b"ciphertext")
    other = f"artefacts/{cases.first(2)['case_id']}/answer"
    await cloud.s3.put_object(Bucket=BUCKET, Key=other, Body=b"ciphertext")
    objects = S3Objects(cloud.s3, BUCKET)
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    store = RetentionStore(pool, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, BUCKET), archive=objects)

    await retire_all(store)
    await pool.close()

    said = json.loads(await owner.fetchval("select statement from retention_receipt"))
    archived = await objects.get(said["archive"]["uri"])
    assert hashlib.sha256(archived).hexdigest() == said["archive"]["sha256"]
    lines = [json.loads(line) for line in gzip.decompress(archived).splitlines()]
    assert {line["body"] for line in lines} == set(cases.bodies(events))
    left = await cloud.s3.list_objects_v2(Bucket=BUCKET, Prefix="artefacts/")
    keys = {item["Key"] for item in left["Contents"]}
    assert said["objects"] == 2
    assert not {key for key in keys if case_id in key}
    assert other in keys


async def test_a_hold_keeps_a_case_until_it_is_released(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    (due,) = await due_now(retention)
    await retention.hold(due.case_id, reason="a complaint", operator="ada")
    assert await due_now(retention) == []
    with pytest.raises(asyncpg.RaiseError, match="may not be retired"):
        await retention.retire(due, operator="ada")
    assert await owner.fetchval("select count(*) from transition where body is null") == 0

    assert len(await retention.release(due.case_id, reason="settled", operator="ben")) == 1
    assert await retention.release(due.case_id, reason="settled", operator="ben") == []
    assert await retire_all(retention) == [Fate.RETIRED]


async def test_a_hold_waits_for_a_retirement_under_way_and_then_finds_the_case_gone(
    retention: RetentionStore, url_for: UrlFor, events: list[Json]
) -> None:
    (due,) = await due_now(retention)
    connection = await asyncpg.connect(url_for(RETENTION), server_settings={"search_path": SCHEMA})
    async with connection.transaction():
        await connection.execute("select one_at_a_time()")
        placing = asyncio.create_task(retention.hold(due.case_id, reason="a complaint", operator="ada"))
        done, _ = await asyncio.wait([placing], timeout=0.3)
        assert not done
    await placing
    await connection.close()


async def test_a_legal_duty_counts_from_the_last_activity_about_the_same_person(
    retention: RetentionStore, store: AuditStore, owner: Owner
) -> None:
    person = {"sub": "service:upstream.test", "tenant": "acme", "subject": str(uuid.UUID(int=7))}
    earlier, later = (
        [
            cases.rewritten(event, graph_version="outbound_email/1", principal=person)
            for event in _two(number, datetime.now(UTC) - timedelta(days=days))
        ]
        for number, days in ((1, 1_150), (2, 1_000))
    )
    later[-1] = cases.rewritten(later[-1], type="EmailSent", node_from="courier", node_to="router")
    await store.record(cases.bodies([*earlier, *later]))
    await age(owner)

    assert await due_now(retention) == []
    row = await owner.fetchrow(
        "select * from case_retention($1, $2)",
        datetime.fromisoformat(earlier[0]["opened_on"]).date(),
        uuid.UUID(earlier[0]["case_id"]),
    )
    assert row is not None
    assert row["keep_until"] < datetime.now(UTC) < row["duty_until"] == row["retire_after"]


def _two(number: int, opened: datetime) -> list[Json]:
    """A first event and its ending, unchained on purpose: only what retention reads of them counts here."""
    opening, *_, ending = cases.answered(number, opened=opened)
    return [opening, ending]


async def test_a_case_that_is_open_or_has_no_policy_is_never_due(
    retention: RetentionStore, store: AuditStore, owner: Owner
) -> None:
    unended = cases.answered(1, opened=LONG_AGO)[:4]
    nameless = [cases.rewritten(event, graph_version="unheard_of/1") for event in _two(2, LONG_AGO)]
    await store.record(cases.bodies([*unended, *nameless]))
    await age(owner)

    assert await due_now(retention) == []


async def test_a_case_whose_chain_does_not_hold_is_kept_as_evidence(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await tampering(owner, "update transition set rubric_score = 1 where event_id = $1", events[6]["event_id"])
    await owner.execute("alter table transition enable trigger all")

    (due,) = await due_now(retention)
    outcome = await retention.retire(due, operator="ada")

    assert (outcome.fate, outcome.findings[0].kind) == (Fate.KEPT, FindingKind.COLUMN_DIFFERS)
    assert await owner.fetchval("select count(*) from transition where body is null") == 0


REFUSED = [
    "update transition set body = null",
    "update transition set body = 'another'",
    "delete from retention_receipt",
    "update retention_receipt set statement = '{}'",
    "delete from legal_hold",
    "delete from partition_drop",
    "update retention_policy set keep_for = '15 days'",
]


async def test_nobody_takes_a_body_without_a_receipt_the_owner_included(owner: Owner, events: list[Json]) -> None:
    await owner.execute(
        "insert into legal_hold (case_id, reason, placed_by) values ($1, 'r', 'p')", uuid.UUID(events[0]["case_id"])
    )
    for change in REFUSED[:2]:
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(change)
    for change in REFUSED[2:]:
        try:
            await owner.execute(change)
        except asyncpg.RaiseError as error:
            assert "append-only" in str(error)  # noqa: PT017 - an empty table refuses nothing, and changes nothing
    assert await owner.fetchval("select count(*) from legal_hold") == 1


async def test_only_the_retention_role_may_retire_and_it_may_nothing_else(owner: Owner, events: list[Json]) -> None:
    month = f"transition_{MONTH[:7].replace('-', '_')}"
    retiring = (
        *REFUSED,
        "insert into legal_hold (case_id, reason, placed_by) values (gen_random_uuid(), 'r', 'p')",
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values (now(), gen_random_uuid(), 1, '{}', '', '')",
        f"select drop_partition('{month}')",
    )
    beyond = (
        "insert into transition (opened_on, event_id) values (now(), gen_random_uuid())",
        "delete from transition",
        "truncate transition",
        "update transition set rubric_score = 1",
        "drop table retention_receipt",
        "alter table transition disable trigger all",
    )
    for role, statements in ((WRITER, retiring), (READER, retiring), (RETENTION, beyond)):
        await owner.execute(f"set role {role}")
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(statement)
        await owner.execute("reset role")


async def test_a_receipt_for_a_case_that_is_not_due_is_refused_by_the_database(
    url_for: UrlFor, events: list[Json], owner: Owner
) -> None:
    recent = cases.first(2)
    statement = canonical(
        {"case_id": recent["case_id"], "opened_on": recent["opened_on"], "part": 1, "events": []}
    ).decode()
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    with pytest.raises(asyncpg.RaiseError, match="may not be retired before"):
        await _insert_receipt(pool, recent, statement)
    with pytest.raises(asyncpg.RaiseError, match="another case"):
        await _insert_receipt(pool, events[0], statement)
    await pool.close()


async def _insert_receipt(pool: Pool, event: Json, statement: str) -> None:
    await pool.execute(
        "insert into retention_receipt (opened_on, case_id, part, statement, key, signature)"
        " values ($1, $2, 1, $3, '', '')",
        datetime.fromisoformat(event["opened_on"]).date(),
        uuid.UUID(event["case_id"]),
        statement,
    )


Tamper = Callable[[Owner, Json], Awaitable[None]]


async def _drop_receipt(owner: Owner, event: Json) -> None:
    await tampering(owner, "delete from retention_receipt")


async def _edit_receipt(owner: Owner, event: Json) -> None:
    await tampering(owner, "update retention_receipt set statement = replace(statement, 'ada', 'eve')")


async def _sign_with_another_key(owner: Owner, event: Json) -> None:
    other = LocalSigner(b"\x01" * 32)
    statement = await owner.fetchval("select statement from retention_receipt")
    sha256 = hashlib.sha256(statement.encode()).hexdigest()
    signature = await other.sign(canonical({"format": "switchyard-receipt/1", "sha256": sha256}))
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


async def test_what_is_changed_after_retirement_is_found(
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


async def test_without_a_trusted_key_no_receipt_counts(
    retention: RetentionStore, reader: AuditReader, events: list[Json]
) -> None:
    await retire_all(retention)
    kinds = {finding.kind for finding in (await reader.verify()).findings}
    assert kinds == {FindingKind.FORGED_RECEIPT, FindingKind.BODY_MISSING}


async def test_a_month_is_dropped_only_when_every_case_in_it_has_its_receipt(
    retention: RetentionStore, store: AuditStore, prover: AuditReader, owner: Owner, events: list[Json]
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
    one = await prover.verify(case_id=events[0]["case_id"])
    assert (one.ok, one.rows) == (True, 9)
    assert await owner.fetchval("select cases from partition_drop") == 2

    await _edit_receipt(owner, events[0])
    assert {finding.kind for finding in (await prover.verify()).findings} == {FindingKind.FORGED_RECEIPT}


async def test_a_month_with_a_held_case_is_not_dropped(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await retire_all(retention)
    await retention.hold(events[0]["case_id"], reason="a complaint", operator="ada")
    assert [state for _, state in await retention.drop_partitions()] == ["kept"]


async def test_a_policy_that_is_too_short_for_a_dead_letter_queue_is_refused(retention: RetentionStore) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await retention.set_policy(
            "assist",
            keep_for=timedelta(days=14),
            duty_for=None,
            duty_counts_from=(),
            citation="none",
            operator="ada",
        )


async def test_kms_signs_receipts_as_well(
    aws: None, aws_session: AioSession, url_for: UrlFor, cloud: Cloud, events: list[Json]
) -> None:
    from runtime.signing import KmsSigner

    async with aws_session.create_client("kms") as kms:
        made = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        signer = await KmsSigner.open(kms, made["KeyMetadata"]["KeyId"])
        pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
        store = RetentionStore(pool, signer, SystemClock(), objects=CaseObjects(cloud.s3, BUCKET))
        await retire_all(store)
        assert (await AuditReader(pool, trusted=TrustedKeys([signer.public])).verify()).ok
        await pool.close()
