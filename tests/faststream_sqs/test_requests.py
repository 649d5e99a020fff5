"""Request and reply, `get_one` and iteration."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream.exceptions import SetupError, SubscriberNotFound

from faststream_sqs import PublishFailed, QueueMissing, SQSBroker, SQSMessage, TestSQSBroker
from faststream_sqs.replies import REPLY_QUEUE_PREFIX

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
MakeQueue = Callable[..., Awaitable["Queue"]]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(params=["temporary queue", "own queue"])
async def asking(request: pytest.FixtureRequest, make_broker: MakeBroker, make_queue: MakeQueue) -> SQSBroker:
    """A broker that can ask."""
    if request.param == "own queue":
        return make_broker(reply_queue=(await make_queue()).name)
    return make_broker(declare="create")


async def test_request_returns_the_reply(asking: SQSBroker, queue: "Queue") -> None:
    @asking.subscriber(queue.name, wait_time=0)
    async def handle(body: int) -> dict[str, int]:
        return {"double": 2 * body}

    await asking.start()
    publisher = asking.publisher(queue.name)
    replies = await asyncio.gather(
        *(asking.request(n, queue.name, timeout=10) for n in range(3)), publisher.request(3, timeout=10)
    )
    assert [await reply.decode() for reply in replies] == [{"double": 2 * n} for n in range(4)]
    await replies[0].ack()  # does nothing, and fails with nothing


async def test_request_with_a_correlation_id_gets_it_back_and_an_empty_reply_is_one(
    asking: SQSBroker, queue: "Queue"
) -> None:
    @asking.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None: ...

    await asking.start()
    reply = await asking.request("hello", queue.name, correlation_id="talk", timeout=10)
    assert (reply.correlation_id, await reply.decode()) == ("talk", b"")


async def test_late_reply_is_dropped_and_does_not_answer_the_next_request(asking: SQSBroker, queue: "Queue") -> None:
    may_answer = asyncio.Event()

    @asking.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> str:
        if body == "slow":
            await may_answer.wait()
        return body

    await asking.start()
    with pytest.raises(TimeoutError):
        await asking.request("slow", queue.name, timeout=0.5)
    may_answer.set()
    reply = await asking.request("fast", queue.name, timeout=10)
    assert await reply.decode() == "fast"


async def test_temporary_reply_queue_is_deleted_at_stop(make_broker: MakeBroker, queue: "Queue", sqs: Any) -> None:
    broker = make_broker(declare="create")

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str, message: SQSMessage) -> str:
        return message.reply_to

    await broker.start()
    reply = await broker.request("x", queue.name, timeout=10)
    name = str(await reply.decode()).rpartition("/")[2]
    assert name.startswith(REPLY_QUEUE_PREFIX)
    await broker.stop()
    listed = await sqs.list_queues(QueueNamePrefix=name)
    assert not listed.get("QueueUrls")


async def test_request_without_a_queue_for_replies_names_the_remedy(broker: SQSBroker, queue: "Queue") -> None:
    await broker.connect()
    with pytest.raises(SetupError, match="reply_queue"):
        await broker.request("x", queue.name)


async def test_request_to_a_missing_queue_or_with_a_pending_id_fails(asking: SQSBroker, queue: "Queue") -> None:
    await asking.connect()
    with pytest.raises(QueueMissing):
        await asking.request("x", "no-such-queue", timeout=10)
    pending = asyncio.ensure_future(asking.request("x", queue.name, correlation_id="talk", timeout=10))
    await asyncio.sleep(0.3)
    with pytest.raises(PublishFailed, match="correlation_id"):
        await asking.request("x", queue.name, correlation_id="talk", timeout=10)
    await asking.stop()
    with pytest.raises(PublishFailed, match="stopped"):
        await pending


async def test_request_in_memory_returns_the_reply_and_raises_the_error(make_broker: MakeBroker) -> None:
    broker = make_broker(endpoint_url=NOWHERE)

    @broker.subscriber("orders")
    async def handle(body: int) -> int:
        await asyncio.sleep(0.01)
        return 10 // body

    test = TestSQSBroker(broker)
    async with test:
        reply = await broker.request(5, "orders", correlation_id="talk")
        assert (await reply.decode(), reply.correlation_id) == (2, "talk")
        with pytest.raises(ZeroDivisionError):
            await broker.request(0, "orders")
        with pytest.raises(TimeoutError):
            await broker.request(5, "orders", timeout=0.0001)
        with pytest.raises(SubscriberNotFound):
            await broker.request(5, "nobody")


async def test_get_one_and_iteration_return_messages_to_settle(broker: SQSBroker, queue: "Queue") -> None:
    await broker.start()
    subscriber = broker.subscriber(queue.name, wait_time=0, persistent=False)
    assert await subscriber.get_one(timeout=0.2) is None
    await queue.send('{"n": 1}', '{"n": 2}', '{"n": 3}')
    first = await subscriber.get_one(timeout=5)
    seen = [await first.decode()]
    await first.ack()
    async for message in subscriber:
        seen.append(await message.decode())
        await message.ack()
        if len(seen) == 3:
            break
    assert sorted(body["n"] for body in seen) == [1, 2, 3]
    await subscriber.stop()
    assert await queue.counts() == (0, 0)


async def test_get_one_does_not_keep_a_message_that_is_not_settled(broker: SQSBroker, queue: "Queue") -> None:
    await broker.start()
    subscriber = broker.subscriber(queue.name, wait_time=0, visibility_timeout=1, persistent=False)
    await queue.send("hello")
    assert await subscriber.get_one(timeout=5)
    again = await subscriber.get_one(timeout=5)
    assert again.receive_count == 2
    await subscriber.stop()


async def test_get_one_with_handler_raises_assertion_error(broker: SQSBroker, queue: "Queue") -> None:
    subscriber = broker.subscriber(queue.name, wait_time=0)
    subscriber(lambda body: None)
    with pytest.raises(AssertionError, match="has a handler"):
        await subscriber.get_one()
