"""Bodies leave the log when their time is over: not before, not under a hold, never without a receipt."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from switchyard.audit.records.roles import RETENTION, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention.retention import CaseObjects, RetentionStore, RetirementStatus
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.audit.verification.findings import FindingKind
from switchyard.cli.app.audit_log import read_proved_bodies
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.storage.objects import S3Objects
from tests.integration.audit.aged import age
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.retention.retiring import LONG_AGO, SIGNER, due_now, retire_all, tampering
from tests.integration.cloud import Cloud
from tests.unit.audit import cases
from tests.unit.audit.test_attempts import close, retry_of

pytestmark = pytest.mark.integration


async def test_ended_case_alone_is_retired_and_its_chain_verifies(
    retention: RetentionStore, prover: AuditReader, owner: Owner, events: list[Json]
) -> None:
    assert [due.case_id for due in await due_now(retention)] == [events[0]["case_id"]]

    assert await retire_all(retention) == [RetirementStatus.RETIRED]

    bodies = await owner.fetch("select case_id::text, count(body) from transition group by 1")
    assert dict(bodies) == {events[0]["case_id"]: 0, cases.first(2)["case_id"]: 9}
    report = await prover.verify()
    assert (report.ok, report.rows, report.cases) == (True, 18, 2)
    kept = await owner.fetch("select event_id::text, transcript_hash, parents from retired_event")
    assert {(row["event_id"], row["transcript_hash"], tuple(row["parents"])) for row in kept} == {
        (event["event_id"], event["digest"], tuple(event["parents"])) for event in events
    }
    assert await due_now(retention) == []


async def test_retired_case_is_refused_by_a_what_if_and_says_so(
    retention: RetentionStore, prover: AuditReader, events: list[Json]
) -> None:
    bodies, problem = await read_proved_bodies(prover, events[0]["case_id"])
    assert (len(bodies), problem) == (len(events), None)
    await retire_all(retention)
    assert await read_proved_bodies(prover, events[0]["case_id"]) == ([], "gone: retention has retired its bodies")


async def test_receipt_names_case_operator_policy_and_events(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await retire_all(retention)

    statement = json.loads(await owner.fetchval("select statement from retention_receipt"))

    assert (statement["case_id"], statement["retired_by"], statement["playbook"]) == (
        events[0]["case_id"],
        "ada",
        "assist",
    )
    assert statement["archive"] is None
    assert "year" in statement["citation"]
    texts = {hashlib.sha256(text.encode()).hexdigest() for text in cases.bodies(events)}
    assert {event["body_sha256"] for event in statement["events"]} == texts
    assert "body" not in statement["events"][0]


async def test_bodies_and_artefacts_can_be_archived_before_retirement(
    url_for: UrlFor, cloud: Cloud, owner: Owner, events: list[Json]
) -> None:
    case_id = events[0]["case_id"]
    for name in ("findings", "answer"):
        await cloud.s3.put_object(Bucket=OBJECT_BUCKET, Key=f"artefacts/{case_id}/{name}", Body=b"ciphertext")
    other = f"artefacts/{cases.first(2)['case_id']}/answer"
    await cloud.s3.put_object(Bucket=OBJECT_BUCKET, Key=other, Body=b"ciphertext")
    objects = S3Objects(cloud.s3, OBJECT_BUCKET)
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    store = RetentionStore(
        pool, CATALOGUE, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, OBJECT_BUCKET), archive=objects
    )

    await retire_all(store)
    await pool.close()

    statement = json.loads(await owner.fetchval("select statement from retention_receipt"))
    archived = await objects.get(statement["archive"]["uri"])
    assert hashlib.sha256(archived).hexdigest() == statement["archive"]["sha256"]
    lines = [json.loads(line) for line in gzip.decompress(archived).splitlines()]
    assert {line["body"] for line in lines} == set(cases.bodies(events))
    left = await cloud.s3.list_objects_v2(Bucket=OBJECT_BUCKET, Prefix="artefacts/")
    keys = {item["Key"] for item in left["Contents"]}
    assert statement["objects"] == 2
    assert not {key for key in keys if case_id in key}
    assert other in keys


async def test_hold_blocks_retirement_until_its_release(
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
    assert await retire_all(retention) == [RetirementStatus.RETIRED]


async def test_hold_waits_for_a_retirement_in_progress(
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


async def test_legal_duty_counts_from_the_last_activity_of_the_same_person(
    retention: RetentionStore, store: AuditStore, owner: Owner
) -> None:
    person = {"sub": "service:upstream.test", "tenant": "acme", "subject": str(uuid.UUID(int=7))}
    earlier, later = (
        [
            cases.rewritten(event, playbook_version="outbound_email/1", principal=person)
            for event in _two(number, datetime.now(UTC) - timedelta(days=days))
        ]
        for number, days in ((1, 1_150), (2, 1_000))
    )
    later[-1] = cases.rewritten(later[-1], type="EmailSent", node_from="email_sender", node_to="router")
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


async def test_case_that_is_open_or_without_a_policy_is_never_due(
    retention: RetentionStore, store: AuditStore, owner: Owner
) -> None:
    unended = cases.answered(1, opened=LONG_AGO)[:4]
    nameless = [cases.rewritten(event, playbook_version="unheard_of/1") for event in _two(2, LONG_AGO)]
    await store.record(cases.bodies([*unended, *nameless]))
    await age(owner)

    assert await due_now(retention) == []


async def test_retried_case_is_not_retired_before_its_new_ending(
    retention: RetentionStore, store: AuditStore, owner: Owner
) -> None:
    opened = cases.first(1, opened=LONG_AGO)
    command = cases.follow(opened, AnswerQuestion(question=cases.QUESTION), "router", node_to="text_to_sql")
    failure = cases.failed(command, "text_to_sql")
    asked, closed = close(failure)
    again = retry_of(failure, closed)
    await store.record(cases.bodies([opened, command, failure, asked, closed]))
    await age(owner)
    (due,) = await due_now(retention)

    await store.record(cases.bodies([again]))
    await age(owner)

    assert await due_now(retention) == []
    assert (await retention.retire(due, operator="ada")).status is RetirementStatus.REOPENED
    assert await owner.fetchval("select count(*) from transition where body is null") == 0
    command = cases.follow(again, AnswerQuestion(question=cases.QUESTION), "router", node_to="text_to_sql")
    failure = cases.failed(command, "text_to_sql")
    await store.record(cases.bodies([command, failure, *close(failure)]))
    await age(owner)
    assert await retire_all(retention) == [RetirementStatus.RETIRED]


async def test_case_with_an_invalid_chain_is_kept_as_evidence(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    await tampering(owner, "update transition set rubric_score = 1 where event_id = $1", events[6]["event_id"])
    await owner.execute("alter table transition enable trigger all")

    (due,) = await due_now(retention)
    outcome = await retention.retire(due, operator="ada")

    assert (outcome.status, outcome.findings[0].kind) == (RetirementStatus.KEPT, FindingKind.COLUMN_DIFFERS)
    assert await owner.fetchval("select count(*) from transition where body is null") == 0
