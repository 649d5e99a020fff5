"""Consuming in batches."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from faststream_sqs import BatchItemFailed, RetryPolicy, SQSBatchMessage, SQSBroker

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]
AT_ONCE = RetryPolicy(base=0.001, cap=0.001, uniform=lambda low, high: low)


async def test_batch_is_gathered_over_several_polls(broker: SQSBroker, queue: "Queue", eventually: Eventually) -> None:
    batches: list[list[dict[str, int]]] = []

    @broker.subscriber(queue.name, wait_time=0, batch=True, max_batch=25)
    async def handle(bodies: list[dict[str, int]]) -> None:
        batches.append(bodies)

    await queue.send(*(f'{{"n": {i}}}' for i in range(25)))
    await broker.start()
    await eventually(lambda: sum(map(len, batches)) == 25)
    assert len(batches) == 1
    assert sorted(body["n"] for body in batches[0]) == list(range(25))
    await broker.stop()
    assert await queue.counts() == (0, 0)


async def test_partial_batch_is_handled_without_waiting_for_more(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    batches: list[list[str]] = []

    @broker.subscriber(queue.name, wait_time=1, batch=True, max_batch=100, max_wait=0.5)
    async def handle(bodies: list[str]) -> None:
        batches.append(bodies)

    await queue.send("a", "b", "c")
    await broker.start()
    await eventually(lambda: batches, within=2)
    assert sorted(batches[0]) == ["a", "b", "c"]


async def test_messages_that_arrive_one_by_one_within_the_wait_are_one_batch(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    batches: list[list[str]] = []

    @wired_broker.subscriber(queue.name, wait_time=1, batch=True, max_batch=100, max_wait=0.9)
    async def handle(bodies: list[str]) -> None:
        batches.append(bodies)

    await wired_broker.start()
    for number in range(8):
        await queue.send(f"{number}")
        await asyncio.sleep(0.02)
    await eventually(lambda: sum(map(len, batches)) == 8)
    await wired_broker.stop()
    # The first poll brings the first message, the last one the others; a busy machine may need a second batch.
    assert len(batches) <= 2
    assert wire.calls["ReceiveMessage"] <= 2 * len(batches) + 2


async def test_batch_handler_failure_of_some_retries_only_those(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    seen: list[tuple[str, int]] = []

    @broker.subscriber(queue.name, wait_time=0, batch=True, retry=AT_ONCE)
    async def handle(bodies: list[str], batch: SQSBatchMessage) -> None:
        failed = []
        for body, message in zip(bodies, batch.messages, strict=True):
            seen.append((body, message.receive_count))
            if body == "b" and message.receive_count < 3:
                failed.append(message.message_id)
        if failed:
            raise BatchItemFailed(*failed)

    await queue.send("a", "b", "c")
    await broker.start()

    async def is_empty() -> bool:
        return await queue.counts() == (0, 0)

    await eventually(is_empty)
    assert sorted(seen) == [("a", 1), ("b", 1), ("b", 2), ("b", 3), ("c", 1)]


async def test_failed_item_outside_the_batch_retries_the_whole_batch(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    rounds: list[int] = []

    @broker.subscriber(queue.name, wait_time=0, batch=True, retry=AT_ONCE)
    async def handle(bodies: list[str]) -> None:
        rounds.append(len(bodies))
        if len(rounds) == 1:
            raise BatchItemFailed("who?")

    await queue.send("a", "b")
    await broker.start()
    await eventually(lambda: sum(rounds) >= 4)


async def test_batch_messages_can_be_settled_one_by_one(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    dead = await make_queue()

    @broker.subscriber(queue.name, wait_time=0, batch=True, dead_letter_queue=dead.name)
    async def handle(bodies: list[str], batch: SQSBatchMessage) -> None:
        for message in batch.messages:
            if message.raw_body == "poison":
                await message.reject("poison")

    await queue.send("a", "poison", "c")
    await broker.start()
    [copy] = await dead.receive(wait=5)
    await broker.stop()
    assert copy["Body"] == "poison"
    assert await queue.counts() == (0, 0)


async def test_failing_batch_handler_keeps_all_messages(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    counts: list[list[int]] = []

    @broker.subscriber(queue.name, wait_time=0, batch=True, retry=AT_ONCE)
    async def handle(bodies: list[str], batch: SQSBatchMessage) -> None:
        counts.append([message.receive_count for message in batch.messages])
        if len(counts) == 1:
            raise RuntimeError("no")

    await queue.send("a", "b", "c")
    await broker.start()
    await eventually(lambda: sum(map(len, counts)) >= 6)
    assert counts[0] == [1, 1, 1]
    assert {count for batch in counts[1:] for count in batch} == {2}


async def test_gathered_messages_are_released_on_stop(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    calls: list[Any] = []

    @wired_broker.subscriber(queue.name, wait_time=1, batch=True, max_batch=100, max_wait=4)
    async def handle(bodies: list[str]) -> None:
        calls.append(bodies)

    await queue.send("a", "b", "c")
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"] >= 2)
    await wired_broker.stop()
    assert not calls
    assert await queue.counts() == (3, 0)


async def test_cancelled_poller_releases_its_gathered_messages(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    subscriber = wired_broker.subscriber(queue.name, wait_time=1, batch=True, max_batch=100, max_wait=10)

    @subscriber
    async def handle(bodies: list[str]) -> None: ...

    await queue.send("a", "b", "c")
    await wired_broker.start()
    await eventually(lambda: wire.calls["ReceiveMessage"] >= 2)
    [poller] = subscriber.tasks
    poller.cancel()
    await asyncio.wait([poller])
    await wired_broker.stop()
    assert await queue.counts() == (3, 0)
