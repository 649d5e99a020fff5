"""The outbox: what is stored is published, and the reconciler may have it published once more, and nothing else."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import asyncpg
import pytest

from faststream_sqs import SQSBroker
from switchyard.audit.reconciliation.producers import Producers
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.messaging.inbox import ClaimGranted, Inbox
from switchyard.runtime.messaging.outbox import RELAY_BATCH_SIZE, Outbox
from switchyard.runtime.messaging.publisher import BusPublisher
from tests.integration.cloud import Tap
from tests.integration.conftest import PoolFor
from tests.integration.events import NODE, NOW, command, envelope_of
from tests.integration.infrastructure import Owner
from tests.reference import build_task_failed

pytestmark = pytest.mark.integration


class Recorded:
    """A bus that remembers, and that may be unreachable."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.away = False

    async def publish(self, events: Sequence[Json]) -> None:
        """Accept."""
        if self.away:
            raise Unavailable("publish_failed", "killed")
        self.events += events


@pytest.fixture
async def pool(pool_for: PoolFor) -> Pool:
    return await pool_for(NODE)


@pytest.fixture
async def outbox(pool: Pool, aws: None) -> AsyncIterator[Outbox]:
    broker = SQSBroker(logger=None)
    publisher = BusPublisher(broker.event_publisher(bus=BUS))
    await broker.connect()
    yield Outbox(pool, publisher)
    await broker.stop()


@pytest.fixture
async def producers(pool_for: PoolFor) -> Producers:
    """What the reconciler sees and may ask, as its own role."""
    return Producers(await pool_for("reconciler"), ("case_manager", NODE))


@pytest.fixture(autouse=True)
async def empty(owner: Owner) -> None:
    await owner.execute(f"truncate {NODE}.inbox, {NODE}.outbox")


async def make_overdue(owner: Owner) -> None:
    """As if it had been stored long ago."""
    await owner.execute(f"update {NODE}.outbox set publish_after = now() - interval '1 s'")


async def outcome(pool: Pool) -> Json:
    """The event that some command came to, stored and not published yet."""
    envelope = envelope_of(command())
    event = build_task_failed(envelope, NODE, PermanentTaskError("not_found", "Nothing there."), 1)
    event |= {"occurred_at": "2026-07-01T12:00:01.000000Z", "trace": {}}
    inbox = Inbox(pool, lease_s=30)
    claim = await inbox.claim(envelope)
    assert isinstance(claim, ClaimGranted)
    await inbox.complete(claim, [event])
    await inbox.close()
    return event


async def test_stored_event_is_left_to_its_process_and_then_published_once(
    pool: Pool, outbox: Outbox, owner: Owner, tap: Tap
) -> None:
    event = await outcome(pool)
    assert await outbox.tick() == 0, "the process that stored it may be publishing it"
    await make_overdue(owner)
    assert [await outbox.tick(), await outbox.tick()] == [1, 0]
    assert await tap.next(NODE, event["case_id"]) == [event]


async def test_event_published_by_its_process_is_marked_and_not_relayed(pool: Pool, owner: Owner) -> None:
    bus, event = Recorded(), await outcome(pool)
    outbox = Outbox(pool, bus)
    await outbox.publish([event])
    await make_overdue(owner)
    assert await outbox.tick() == 0
    assert bus.events == [event]


async def test_event_unmarked_by_a_dead_process_is_published_again(pool: Pool, owner: Owner) -> None:
    bus, event = Recorded(), await outcome(pool)
    await Outbox(pool, bus).publish([event])
    await make_overdue(owner)
    assert await Outbox(pool, bus).tick() == 1
    assert bus.events == [event, event]


async def test_event_refused_by_the_bus_is_published_after_its_claim(pool: Pool, owner: Owner) -> None:
    bus, event = Recorded(), await outcome(pool)
    bus.away = True
    await make_overdue(owner)
    with pytest.raises(Unavailable):
        await Outbox(pool, bus).tick()
    bus.away = False
    assert await Outbox(pool, bus).tick() == 0, "the relay that claimed it may still be publishing it"
    await make_overdue(owner)
    assert await Outbox(pool, bus).tick() == 1
    assert bus.events == [event]


async def test_concurrent_relays_share_the_events(pool: Pool, owner: Owner) -> None:
    bus = Recorded()
    stored = [await outcome(pool) for _ in range(RELAY_BATCH_SIZE // 2)]
    await make_overdue(owner)
    await asyncio.gather(*(Outbox(pool, bus).tick() for _ in range(4)))
    assert sorted(event["event_id"] for event in bus.events) == sorted(event["event_id"] for event in stored)


async def test_event_is_stored_with_the_reconcilers_columns(pool: Pool, owner: Owner) -> None:
    event = await outcome(pool)
    row = await owner.fetchrow(f"select * from {NODE}.outbox where event_id = $1", event["event_id"])
    assert row is not None
    assert json.loads(row["event"]) == event
    for name in ("digest", "type", "node_to"):
        assert row[name] == event[name]
    assert (str(row["case_id"]), row["opened_on"].isoformat()) == (event["case_id"], event["opened_on"])


async def test_published_event_is_listed_and_republished_for_the_reconciler(
    pool: Pool, producers: Producers, owner: Owner
) -> None:
    bus, event = Recorded(), await outcome(pool)
    outbox = Outbox(pool, bus)
    await outbox.publish([event])
    await make_overdue(owner)
    await outbox.tick()
    (seen,) = await producers.published([uuid.UUID(event["case_id"])])
    assert (seen.producer, seen.digest, seen.type) == (NODE, event["digest"], "TaskFailed")
    assert seen.ask == (NODE, event["event_id"])
    for count in (2, 3):
        assert await producers.ask(*seen.ask)
        assert await producers.ask(*seen.ask), "asking twice is asking once"
        assert [await outbox.tick(), await outbox.tick()] == [1, 0]
        assert bus.events == [event] * count


async def test_event_never_stored_is_not_republished(producers: Producers) -> None:
    assert not await producers.ask(NODE, str(uuid.uuid4()))


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
        f"select event from {NODE}.outbox",
        f"select outputs from {NODE}.inbox",
        f"insert into {NODE}.inbox (event_id) values (gen_random_uuid())",
        f"insert into {NODE}.outbox (event) values ('{{}}')",
        f"update {NODE}.outbox set published_at = now()",
        f"delete from {NODE}.outbox",
        "select * from vault.subject_key",
        "select * from case_manager.retry_request",
    ],
)
async def test_reconciler_role_can_neither_read_nor_write_events(pool_for: PoolFor, sql: str) -> None:
    reconciler = await pool_for("reconciler")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reconciler.execute(sql)


async def test_parked_event_is_neither_listed_nor_published_before_release(
    pool_for: PoolFor, owner: Owner, producers: Producers
) -> None:
    ids = {"event_id": str(uuid.uuid4()), "case_id": str(uuid.uuid4())}
    opened = ids | {"digest": "d", "opened_on": "2026-07-01", "type": "CaseOpened", "node_to": "router"}
    sql = "insert into case_manager.outbox (event, publish_after) values ($1, 'infinity')"
    await owner.execute(sql, json.dumps(opened))
    case, bus = [uuid.UUID(opened["case_id"])], Recorded()
    outbox = Outbox(await pool_for("case_manager"), bus)
    assert await producers.published(case) == []
    assert not await producers.ask("case_manager", opened["event_id"])
    await outbox.tick()
    assert opened not in bus.events
    await owner.execute("update case_manager.outbox set publish_after = now() where case_id = $1", case[0])
    (seen,) = await producers.published(case)
    assert (seen.producer, seen.event_id, seen.type) == ("case_manager", opened["event_id"], "CaseOpened")
    await outbox.tick()
    assert opened in bus.events
    await owner.execute("delete from case_manager.outbox where case_id = $1", case[0])


class Choosy(Recorded):
    """A bus that takes all events but one."""

    def __init__(self, refused: str, error: Exception) -> None:
        super().__init__()
        self.refused, self.error = refused, error

    async def publish(self, events: Sequence[Json]) -> None:
        if any(event["event_id"] == self.refused for event in events):
            raise self.error
        await super().publish(events)


@pytest.mark.parametrize("error", [ValueError("too large"), KeyError("Entries"), Unavailable("publish_failed", "no")])
async def test_event_always_refused_by_the_bus_does_not_block_others(
    pool: Pool, owner: Owner, error: Exception
) -> None:
    poison, *others = [await outcome(pool) for _ in range(4)]
    bus = Choosy(poison["event_id"], error)
    outbox = Outbox(pool, bus)
    for _ in range(3):
        await make_overdue(owner)
        with suppress(Unavailable):
            await outbox.tick()
    assert sorted(event["event_id"] for event in bus.events) == sorted(event["event_id"] for event in others)
    left = await owner.fetch(f"select event_id from {NODE}.outbox where published_at is null")
    assert [str(row["event_id"]) for row in left] == [poison["event_id"]]
