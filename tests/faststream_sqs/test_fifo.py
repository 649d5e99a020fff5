"""FIFO queues: the order of a group, also after a failure, and no message twice."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream.exceptions import NackMessage

from faststream_sqs import BatchItemFailed, PublishFailed, RetryPolicy, SQSBatchMessage, SQSBroker, SQSMessage
from faststream_sqs import TestSQSBroker as MemoryBroker

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Wire

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
NOWHERE = "http://127.0.0.1:9"
AT_ONCE = RetryPolicy(base=0.001, cap=0.001, uniform=lambda low, high: low)


@pytest.fixture
async def fifo(make_broker: MakeBroker) -> SQSBroker:
    return make_broker(declare="create")


@pytest.fixture
def name() -> str:
    return f"queue-{uuid.uuid4().hex[:12]}.fifo"


async def _send(broker: SQSBroker, name: str, groups: dict[str, int]) -> None:
    for group, count in groups.items():
        await broker.publish_batch(*(f"{group}{n}" for n in range(count)), queue=name, group_id=group)


async def test_group_is_in_order_and_groups_are_concurrent(fifo: SQSBroker, name: str, eventually: Eventually) -> None:
    seen: dict[str, list[str]] = {}
    running: set[str] = set()
    together: list[int] = []

    @fifo.subscriber(name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> None:
        assert message.group_id
        assert message.group_id not in running, "one of a group at a time"
        running.add(message.group_id)
        together.append(len(running))
        await asyncio.sleep(0.02)
        seen.setdefault(message.group_id, []).append(body)
        running.remove(message.group_id)

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 4, "b": 4})
    await fifo.start()
    await eventually(lambda: sum(map(len, seen.values())) == 8)
    assert seen == {group: [f"{group}{n}" for n in range(4)] for group in "ab"}
    assert max(together) == 2


@pytest.mark.parametrize("how", ["raise", "nack", "NackMessage"])
async def test_group_stays_in_order_after_a_failure(
    fifo: SQSBroker, name: str, eventually: Eventually, how: str
) -> None:
    done: list[str] = []

    @fifo.subscriber(name, wait_time=0, retry=AT_ONCE)
    async def handle(body: str, message: SQSMessage) -> None:
        if body == "a1" and message.receive_count < 3:
            if how == "nack":
                await message.nack(0)
                return
            raise NackMessage(delay=0) if how == "NackMessage" else ConnectionError
        done.append(body)

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 5})
    await fifo.start()
    await eventually(lambda: len(done) >= 5, within=10)
    assert done == [f"a{n}" for n in range(5)]


async def test_rejected_message_lets_its_group_go_on(fifo: SQSBroker, name: str, eventually: Eventually) -> None:
    done: list[str] = []
    dead = f"dead-{name}"

    @fifo.subscriber(name, wait_time=0, dead_letter_queue=dead)
    async def handle(body: str, message: SQSMessage) -> None:
        if body == "a1":
            await message.reject("no use")
        else:
            done.append(body)

    copies: list[Any] = []

    @fifo.subscriber(dead, wait_time=0)
    async def take_dead(body: str, message: SQSMessage) -> None:
        copies.append((body, message.group_id))

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 3})
    await fifo.start()
    await eventually(lambda: len(done) == 2 and copies)
    assert (done, copies) == (["a0", "a2"], [("a1", "a")])


async def test_batch_that_fails_in_part_retries_also_what_follows_in_the_group(
    fifo: SQSBroker, name: str, eventually: Eventually
) -> None:
    rounds: list[list[str]] = []

    @fifo.subscriber(name, wait_time=1, batch=True, max_wait=0, retry=AT_ONCE)
    async def handle(bodies: list[str], batch: SQSBatchMessage) -> None:
        rounds.append(bodies)
        if len(rounds) == 1:
            raise BatchItemFailed(batch.messages[1].message_id)

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 4})
    await fifo.start()
    await eventually(lambda: sum(map(len, rounds)) >= 7)
    assert rounds[0] == [f"a{n}" for n in range(4)]
    assert [body for bodies in rounds[1:] for body in bodies] == ["a1", "a2", "a3"]


async def test_deduplication_id_drops_the_second_and_none_does_not(fifo: SQSBroker, name: str) -> None:
    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    seen: list[str] = []

    @fifo.subscriber(name, wait_time=0)
    async def handle(body: str) -> None:
        seen.append(body)

    for body in ("one", "two"):
        await fifo.publish(body, name, group_id="g", deduplication_id="same")
    for _ in range(2):
        await fifo.publish("twice", name, group_id="g")
    await fifo.start()
    await asyncio.sleep(0.5)
    await fifo.stop()
    assert seen == ["one", "twice", "twice"]


async def test_resent_message_keeps_its_deduplication_id(make_broker: MakeBroker, wire: "Wire", name: str) -> None:
    broker = make_broker(endpoint_url=wire.url, declare="create")
    await broker.connect()
    await broker.config.connection.require_queues([name], "create")

    def fail_once(payload: dict[str, Any]) -> dict[str, Any] | None:
        if wire.calls["SendMessageBatch"] > 1:
            return None
        return {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError", "Message": "", "SenderFault": False}]}

    wire.intercept["SendMessageBatch"] = fail_once
    await broker.publish("x", name, group_id="g")
    sent = {request["Entries"][0]["MessageDeduplicationId"] for request in wire.requests["SendMessageBatch"]}
    assert wire.calls["SendMessageBatch"] == 2
    assert len(sent) == 1


async def test_publish_without_a_group_names_the_remedy(fifo: SQSBroker, name: str) -> None:
    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    with pytest.raises(PublishFailed, match="group_id"):
        await fifo.publish("x", name)


async def test_memory_keeps_the_group_in_order_and_drops_duplicates(make_broker: MakeBroker, name: str) -> None:
    broker = make_broker(endpoint_url=NOWHERE)
    done: list[str] = []

    @broker.subscriber(name)
    async def handle(body: str, message: SQSMessage) -> None:
        if body == "a0" and message.receive_count == 1:
            raise NackMessage
        done.append(body)

    test = MemoryBroker(broker)
    async with test:
        await broker.publish_batch("a0", "a1", queue=name, group_id="a")
        await broker.publish("b0", name, group_id="b", deduplication_id="same")
        await broker.publish("b1", name, group_id="b", deduplication_id="same")
        assert done == ["b0"]
        assert await test.redeliver() == 2
    assert done == ["b0", "a0", "a1"]


async def test_stop_releases_what_waits_behind_a_running_message(
    fifo: SQSBroker, name: str, eventually: Eventually
) -> None:
    started: list[str] = []
    may_end = asyncio.Event()

    @fifo.subscriber(name, wait_time=0)
    async def handle(body: str) -> None:
        started.append(body)
        await may_end.wait()

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 3})
    await fifo.start()
    await eventually(lambda: started)
    stopping = asyncio.ensure_future(fifo.stop())
    await asyncio.sleep(0.1)
    may_end.set()
    await stopping
    assert started == ["a0"]


async def test_message_whose_lease_ended_while_it_waited_is_not_handled(
    fifo: SQSBroker, name: str, eventually: Eventually
) -> None:
    seen: list[tuple[str, int]] = []
    subscriber = fifo.subscriber(name, wait_time=0, visibility_timeout=1)

    @subscriber
    async def handle(body: str, message: SQSMessage) -> None:
        seen.append((body, message.receive_count))
        if len(seen) == 1:
            session = subscriber._session
            assert session is not None
            held = [each for each in session._lease_renewer._held if each.body != body]
            assert len(held) == 2
            held[0].abandon()

    await fifo.connect()
    await fifo.config.connection.require_queues([name], "create")
    await _send(fifo, name, {"a": 3})
    await fifo.start()
    await eventually(lambda: len(seen) >= 3)
    assert seen == [("a0", 1), ("a1", 2), ("a2", 2)]
