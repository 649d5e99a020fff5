"""A command has one outcome, however often and in any order it is delivered."""

from __future__ import annotations

import random

import pytest

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from switchyard.protocol.fields import StorageRef
from switchyard.runtime.core.task import Task
from tests.integration.cloud import Cloud, Tap
from tests.integration.events import NODE, bus_body, command, fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.runtime.conftest import FOUND, QUEUE, Counting, StartWorker, stop_workers
from tests.reference import read_event

pytestmark = pytest.mark.integration


async def test_command_becomes_the_event_returned_by_its_handler(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    asked = command(case_id)
    await start_worker(Counting())
    await cloud.put(asked)
    [found] = await tap.next(NODE, case_id)
    event = read_event(bus_body(found), node="router")
    assert event.payload == FOUND
    assert event.envelope.parents == (asked["digest"],)
    assert (found["state"], found["state_seal"]) == (asked["state"], asked["state_seal"])


async def test_redelivery_republishes_the_identical_event_without_the_handler(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    await cloud.deliver(NODE, command(case_id))
    first, second = await tap.next(NODE, case_id, 2)
    assert first == second
    assert len(handler.tasks) == 1


async def test_second_worker_republishes_the_stored_outcome(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    first_worker = await start_worker(Counting())
    await cloud.put(command(case_id))
    await tap.next(NODE, case_id)
    await stop_workers(cloud, first_worker)
    second = Counting()
    await start_worker(second)
    await cloud.deliver(NODE, command(case_id))
    before, after = await tap.next(NODE, case_id, 2)
    assert before == after
    assert second.tasks == []


async def test_events_delivered_twice_in_any_order_have_one_outcome_each(
    start_worker: StartWorker, cloud: Cloud, tap: Tap
) -> None:
    cases = [fresh_id() for _ in range(15)]
    deliveries = [command(case_id) for case_id in cases] * 2
    random.Random(7).shuffle(deliveries)
    handler = Counting()
    await start_worker(handler)
    await start_worker(handler)
    await cloud.put(*deliveries[:10])
    await cloud.put(*deliveries[10:20])
    await cloud.put(*deliveries[20:])
    await cloud.settled(QUEUE)
    assert sorted(task.envelope.case_id for task in handler.tasks) == sorted(cases)
    for case_id in cases:
        first, *others = await tap.seen(NODE, case_id)
        assert others == [first] * len(others) != []  # more than two where a delivery outlived its lease


async def test_outcome_is_stored_before_it_is_published(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, owner: Owner, case_id: str
) -> None:
    await start_worker(Counting())
    await cloud.put(command(case_id))
    [found] = await tap.next(NODE, case_id)
    stored = await owner.fetchval("select digest from text_to_sql.outbox where case_id = $1", case_id)
    assert stored == found["digest"]


async def test_handler_gets_the_attempt_and_a_deadline_on_its_own_clock(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    handler = Counting()
    await start_worker(handler)
    await cloud.put(command(case_id, time_limit_ms=60_000))
    await tap.next(NODE, case_id)
    [task] = handler.tasks
    assert task.attempt == 1
    assert task.deadline is not None


async def test_event_has_the_received_and_the_written_storage_refs(
    start_worker: StartWorker, cloud: Cloud, tap: Tap, case_id: str
) -> None:
    async def write(task: Task[AnswerQuestion]) -> FindingsReady:
        task.written_refs["f" * 64] = StorageRef(inline="Zg==")
        return FOUND

    asked = command(case_id)
    await start_worker(write)
    await cloud.put(asked)
    [found] = await tap.next(NODE, case_id)
    assert found["storage_refs"] == asked["storage_refs"] | {"f" * 64: {"inline": "Zg=="}}
