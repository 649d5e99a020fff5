"""Consuming: what a handler gets, when, and how it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream import Context, Depends
from faststream.exceptions import SetupError, StopConsume
from pydantic import BaseModel

from faststream_sqs import SQSBroker, SQSMessage
from faststream_sqs import message as message_module

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue, Wire

Eventually = Callable[..., Awaitable[None]]


async def test_handler_gets_the_body_and_the_metadata_of_sqs(
    broker: SQSBroker, queue: "Queue", eventually: Eventually
) -> None:
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: dict[str, int], message: SQSMessage) -> None:
        seen.append((body, message))

    [message_id] = await queue.send('{ "answer": 42 }', color="red")
    before = time.time() * 1000
    await broker.start()
    await eventually(lambda: seen)
    body, message = seen[0]
    assert body == {"answer": 42}
    assert message.raw_body == '{ "answer": 42 }'
    assert message.body == b'{ "answer": 42 }'
    assert message.message_id == message.correlation_id == message_id
    assert message.receive_count == 1
    assert message.queue == queue.name
    assert message.headers == {"color": "red"}
    assert message.envelope is None
    assert abs(message.sent_at - before) < 10_000


class Order(BaseModel):
    """What a typed handler takes."""

    number: int


def _doubled(number: int) -> int:
    return number * 2


async def test_bodies_are_cast_to_the_handlers_types(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], eventually: Eventually
) -> None:
    seen: list[Any] = []

    @broker.subscriber(queue.name, wait_time=0)
    async def typed(order: Order) -> None:
        seen.append(order)

    text_queue, unpacked_queue, injected_queue, lone_queue = [await make_queue() for _ in range(4)]

    @broker.subscriber(text_queue.name, wait_time=0)
    async def text(body: str) -> None:
        seen.append(body)

    @broker.subscriber(unpacked_queue.name, wait_time=0)
    async def unpacked(number: int, name: str) -> None:
        seen.append((number, name))

    @broker.subscriber(injected_queue.name, wait_time=0)
    def injected(number: int, double: int = Depends(_doubled), name: str = Context("queue_name", default="?")) -> None:
        seen.append((number, double, name))

    @broker.subscriber(lone_queue.name, wait_time=0)
    async def lone(message: SQSMessage) -> None:
        seen.append(message.raw_body)

    await broker.start()
    for target, body in (
        (queue, '{"number": "7"}'),
        (text_queue, "no JSON at all"),
        (unpacked_queue, '{"number": 1, "name": "one"}'),
        (injected_queue, "3"),
        (lone_queue, "{broken"),
    ):
        count = len(seen) + 1
        await target.send(body)
        await eventually(lambda count=count: len(seen) == count)
    assert seen == [Order(number=7), "no JSON at all", (1, "one"), (3, 6, "?"), "{broken"]


async def test_prefetch_does_not_increase_the_receive_count(
    wired_broker: SQSBroker, queue: "Queue", wire: "Wire", eventually: Eventually
) -> None:
    """A message that waits in memory for a handler has used up a receive, and after some of these is dead."""
    release = asyncio.Event()
    counts: list[int] = []

    @wired_broker.subscriber(queue.name, wait_time=0, concurrency=2)
    async def handle(body: str, message: SQSMessage) -> None:
        counts.append(message.receive_count)
        await release.wait()

    await queue.send(*"abcdef")
    await wired_broker.start()
    await eventually(lambda: len(counts) == 2)
    polls = wire.calls["ReceiveMessage"]
    await asyncio.sleep(0.2)
    assert wire.calls["ReceiveMessage"] == polls, "no polling without a free place"
    assert await queue.counts() == (4, 2)
    release.set()
    await eventually(lambda: len(counts) == 6)
    assert counts == [1] * 6
    assert max(request["MaxNumberOfMessages"] for request in wire.requests["ReceiveMessage"]) == 2


async def test_handler_may_stop_its_subscriber(broker: SQSBroker, queue: "Queue", eventually: Eventually) -> None:
    subscriber = broker.subscriber(queue.name, wait_time=0, concurrency=1)

    @subscriber
    async def handle(body: str) -> None:
        raise StopConsume

    await broker.start()
    await queue.send("hello")
    await eventually(lambda: not subscriber.running)
    assert not subscriber.healthy
    visible, in_flight = await queue.counts()
    assert visible + in_flight == 1


async def test_result_goes_to_the_reply_queue_and_to_publishers(
    broker: SQSBroker, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    replies, results = await make_queue(), await make_queue()

    @broker.subscriber(queue.name, wait_time=0)
    @broker.publisher(results.name, headers={"kind": "result"})
    async def handle(body: int) -> dict[str, int]:
        return {"double": body * 2}

    await broker.start()
    await broker.publish(21, queue.name, reply_to=replies.name, correlation_id="talk-1")
    [reply], [result] = await replies.receive(wait=5), await results.receive(wait=5)
    assert reply["Body"] == result["Body"] == '{"double":42}'
    assert reply["MessageAttributes"]["correlation_id"]["StringValue"] == "talk-1"
    assert result["MessageAttributes"]["kind"]["StringValue"] == "result"


def test_injecting_message_class_fails_with_alternatives(broker: SQSBroker) -> None:
    subscriber = broker.subscriber("any")

    @subscriber
    async def handle(body: str, message: message_module.SQSMessage) -> None: ...

    with pytest.raises(SetupError, match=r"from faststream_sqs\.annotations import SQSMessage"):
        subscriber.schema()
