"""A producer publishes its own outcome once more when it is asked to, and who asks can do nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import asyncpg
import pytest

from faststream_sqs import SQSBroker
from switchyard.audit.reconciliation.producers import Producers
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.messaging.inbox import ClaimGranted, Inbox
from switchyard.runtime.messaging.publisher import BusPublisher
from switchyard.runtime.messaging.republish import Republisher
from tests.integration.cloud import Tap
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, NOW, command, envelope_of
from tests.integration.infrastructure import Owner
from tests.reference import build_task_failed

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    return await pool_for(NODE)


@pytest.fixture
async def republisher(pool: Pool, aws: None) -> AsyncIterator[Republisher]:
    broker = SQSBroker(logger=None)
    publisher = BusPublisher(broker.event_publisher(bus=BUS))
    await broker.connect()
    yield Republisher(pool, publisher)
    await broker.stop()


@pytest.fixture
async def producers(pool_for: PoolFor) -> Producers:
    """What the reconciler sees and may ask, as its own role."""
    return Producers(await pool_for("reconciler"), ("case_manager", NODE))


@pytest.fixture(autouse=True)
async def nothing_asked(owner: Owner) -> None:
    await owner.execute(f"truncate {NODE}.republish")


async def outcome(pool: Pool) -> Json:
    """The event that some command came to, stored and (for all that anybody else knows) published."""
    envelope = envelope_of(command())
    event = build_task_failed(envelope, NODE, PermanentTaskError("not_found", "Nothing there."), 1)
    event |= {"occurred_at": "2026-07-01T12:00:01.000000Z", "trace": {}}
    inbox = Inbox(pool, lease_s=30)
    claim = await inbox.claim(envelope)
    assert isinstance(claim, ClaimGranted)
    await inbox.complete(claim, [event])
    await inbox.close()
    return event


async def test_the_reconciler_sees_what_was_published_and_gets_it_published_again(
    pool: Pool, producers: Producers, republisher: Republisher, tap: Tap
) -> None:
    event = await outcome(pool)
    (seen,) = await producers.published([uuid.UUID(event["case_id"])])
    assert (seen.producer, seen.digest, seen.type) == (NODE, event["digest"], "TaskFailed")
    assert seen.ask == (NODE, event["event_id"])
    await producers.ask(*seen.ask, seen.case_id)
    assert await producers.answered(*seen.ask) is None
    assert await republisher.tick() == 1
    assert await producers.answered(*seen.ask) is True
    assert await tap.next(NODE, event["case_id"]) == [event]
    assert await republisher.tick() == 0, "a request is answered once"


async def test_asked_again_it_is_published_again(
    pool: Pool, producers: Producers, republisher: Republisher, tap: Tap
) -> None:
    event = await outcome(pool)
    for _ in range(2):
        await producers.ask(NODE, event["event_id"], event["case_id"])
        await producers.ask(NODE, event["event_id"], event["case_id"])
        assert await republisher.tick() == 1
    assert await tap.next(NODE, event["case_id"], 2) == [event, event]


async def test_what_was_never_published_is_not_and_the_answer_says_so(
    pool: Pool, producers: Producers, republisher: Republisher, tap: Tap
) -> None:
    event = await outcome(pool)
    stranger = str(uuid.uuid4())
    await producers.ask(NODE, stranger, event["case_id"])
    assert await republisher.tick() == 1
    assert await producers.answered(NODE, stranger) is False
    assert await tap.seen(NODE, event["case_id"]) == []


async def test_a_producer_that_dies_before_the_bus_has_the_event_is_still_asked(
    pool: Pool, producers: Producers, republisher: Republisher
) -> None:
    class Dying:
        async def publish(self, events: Sequence[Json]) -> None:
            raise Unavailable("publish_failed", "killed")

    event = await outcome(pool)
    await producers.ask(NODE, event["event_id"], event["case_id"])
    with pytest.raises(Unavailable):
        await replace(republisher, publisher=Dying()).tick()
    assert await producers.answered(NODE, event["event_id"]) is None
    assert await republisher.tick() == 1


async def test_cases_are_listed_page_by_page_in_the_order_of_their_ids(pool: Pool, producers: Producers) -> None:
    made = sorted([uuid.UUID((await outcome(pool))["case_id"]) for _ in range(5)])
    after, listed = uuid.UUID(int=0), list[uuid.UUID]()
    while page := await producers.cases(NODE, NOW.replace(year=2020), after, 2):
        assert page == sorted(page)
        listed += page
        after = page[-1]
    assert [case for case in listed if case in made] == made
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    "sql",
    [
        f"select event from {NODE}.published",
        f"select outputs from {NODE}.inbox",
        f"insert into {NODE}.inbox (event_id) values (gen_random_uuid())",
        f"delete from {NODE}.republish",
        f"insert into {NODE}.republish (event_id, case_id, requested_by) select gen_random_uuid(), null, ''",
        "select * from vault.subject_key",
        "select * from case_manager.retry_request",
    ],
)
async def test_the_reconcilers_role_reads_no_event_and_writes_none(pool_for: PoolFor, sql: str) -> None:
    reconciler = await pool_for("reconciler")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reconciler.execute(sql)


async def test_the_case_managers_events_are_listed_too(owner: Owner, producers: Producers) -> None:
    ids = {"event_id": str(uuid.uuid4()), "case_id": str(uuid.uuid4())}
    opened = ids | {"digest": "d", "opened_on": "2026-07-01", "type": "CaseOpened", "node_to": "router"}
    sql = """insert into case_manager.submission
               (tenant, source, idempotency_key, payload_mac, case_id, playbook, opened, parked)
             values ('acme', 's', $1, '', $2::text::uuid, 'assist', $3, $4)"""
    await owner.execute(sql, opened["event_id"], opened["case_id"], json.dumps(opened), True)
    case = [uuid.UUID(opened["case_id"])]
    assert await producers.published(case) == [], "what is parked was not published"
    await owner.execute("update case_manager.submission set parked = false where case_id = $1", case[0])
    (seen,) = await producers.published(case)
    assert (seen.producer, seen.event_id, seen.type) == ("case_manager", opened["event_id"], "CaseOpened")
    await owner.execute("delete from case_manager.submission where case_id = $1", case[0])
