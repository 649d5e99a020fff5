"""`TestSQSBroker`: the same behaviour in memory and on the emulator, and what only memory can show."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from faststream import AckPolicy, BaseMiddleware, Context, Depends, FastStream, TestApp
from faststream.exceptions import AckMessage, NackMessage, RejectMessage, SetupError, SubscriberNotFound
from faststream.message import AckStatus
from pydantic import ValidationError

from faststream_sqs import (
    BatchItemFailed,
    PublishFailed,
    RetryPolicy,
    SQSBatchMessage,
    SQSBroker,
    SQSMessage,
    SQSRouter,
    TestSQSBroker,
)

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Stage:
    """A broker that runs in memory or on the emulator."""

    broker: SQSBroker
    real: bool

    def test(self, **options: Any) -> TestSQSBroker[SQSBroker]:
        return TestSQSBroker(self.broker, with_real=self.real, **options)


@pytest.fixture(params=["in memory", "on ministack"])
def stage(request: pytest.FixtureRequest, make_broker: Callable[..., SQSBroker]) -> Stage:
    real = request.param == "on ministack"
    return Stage(make_broker() if real else make_broker(endpoint_url=NOWHERE), real)


@pytest.fixture
def memory(make_broker: Callable[..., SQSBroker]) -> SQSBroker:
    """A broker that could not reach AWS if it tried."""
    return make_broker(endpoint_url=NOWHERE)


async def test_published_message_reaches_its_handler_and_the_mock(stage: Stage, queue: "Queue") -> None:
    seen: list[Any] = []

    @stage.broker.subscriber(queue.name, wait_time=1)
    async def handle(body: dict[str, int], message: SQSMessage) -> None:
        seen.append((body, message.queue, message.receive_count, message.headers, message.correlation_id))

    async with stage.test() as broker:
        assert await broker.publish({"id": 7}, queue.name, headers={"kind": "new"}, correlation_id="talk")
        await handle.wait_call(timeout=5)
        handle.mock.assert_called_once_with({"id": 7})
        await handle.assert_called_once_with({"id": 7}, headers={"kind": "new"}, correlation_id="talk")
        with pytest.raises(AssertionError, match="body: expected"):
            await handle.assert_called_once_with({"id": 8})
    headers = {"kind": "new", "correlation_id": "talk", "content-type": "application/json"}
    assert seen == [({"id": 7}, queue.name, 1, headers, "talk")]


async def test_results_go_to_publishers_and_to_the_reply_queue(
    stage: Stage, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], eventually: Eventually
) -> None:
    receipts, replies = await make_queue(), await make_queue()
    publisher = stage.broker.publisher(receipts.name)

    @stage.broker.subscriber(queue.name, wait_time=1)
    @publisher
    async def double(body: int) -> int:
        return body * 2

    @stage.broker.subscriber(replies.name, wait_time=1)
    async def reply(body: int) -> None: ...

    async with stage.test() as broker:
        await broker.publish("21", queue.name, reply_to=replies.name)
        await reply.wait_call(timeout=5)
        await eventually(lambda: publisher.mock.called)
        publisher.mock.assert_called_once_with(42)
        reply.mock.assert_called_once_with(42)


async def test_event_reaches_the_queue_with_matching_filters(stage: Stage, queue: "Queue", bus: str) -> None:
    seen: list[Any] = []
    placed = stage.broker.event_publisher(bus, source="shop", detail_type="OrderPlaced")
    paid = stage.broker.event_publisher(bus, source="shop", detail_type="OrderPaid")

    @stage.broker.subscriber(queue.name, wait_time=1, detail_type={"OrderPlaced", "OrderShipped"}, source="shop")
    async def handle(body: dict[str, int], message: SQSMessage) -> None:
        assert message.envelope
        seen.append((body, message.envelope.detail_type, message.envelope.source, message.envelope.resources))

    async with stage.test():
        assert await placed.publish({"id": 7}, resources=["arn:one"])
        await handle.wait_call(timeout=5)
        handle.mock.assert_called_once_with({"id": 7})
        placed.mock.assert_called_once_with({"id": 7})
        paid.mock.assert_not_called()
    assert seen == [({"id": 7}, "OrderPlaced", "shop", ("arn:one",))]


async def test_event_routed_to_the_wrong_queue_is_rejected(
    stage: Stage, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]], bus: str
) -> None:
    dead = await make_queue()
    events = stage.broker.event_publisher(bus)

    @stage.broker.subscriber(queue.name, wait_time=1, detail_type="OrderPlaced", dead_letter_queue=dead.name)
    async def handle(body: Any) -> None: ...

    @stage.broker.subscriber(dead.name, wait_time=1)
    async def take_dead_letter(body: Any) -> None: ...

    async with stage.test(rules={bus: [queue.name]}):
        await events.publish({"id": 7}, source="shop", detail_type="OrderLost")
        await take_dead_letter.wait_call(timeout=5)
        handle.mock.assert_not_called()
        await take_dead_letter.assert_called_once_with(
            {"id": 7}, headers={"reject-reason": "unexpected detail-type OrderLost", "reject-queue": queue.name}
        )


async def test_rejected_message_reaches_the_handler_of_the_dead_letter_queue(
    stage: Stage, queue: "Queue", make_queue: Callable[..., Awaitable["Queue"]]
) -> None:
    dead = await make_queue()

    @stage.broker.subscriber(queue.name, wait_time=1, dead_letter_queue=dead.name)
    async def handle(body: str, message: SQSMessage) -> None:
        await message.reject("beyond repair")

    @stage.broker.subscriber(dead.name, wait_time=1)
    async def take_dead_letter(body: str) -> None: ...

    async with stage.test() as broker:
        await broker.publish("hello", queue.name)
        await take_dead_letter.wait_call(timeout=5)
        await take_dead_letter.assert_called_once_with("hello", headers={"reject-reason": "beyond repair"})


async def test_batch_handler_partial_failure_retries_part(stage: Stage, queue: "Queue", eventually: Eventually) -> None:
    batches: list[list[int]] = []

    @stage.broker.subscriber(
        queue.name, wait_time=1, batch=True, max_batch=20, max_wait=0.5, retry=RetryPolicy(base=0.1, cap=0.1)
    )
    async def handle(bodies: list[int], message: SQSBatchMessage) -> None:
        batches.append(sorted(bodies))
        ids = [each.message_id for each, body in zip(message.messages, bodies, strict=True) if body == 1]
        if len(batches) == 1:
            raise BatchItemFailed(*ids)

    test = stage.test()
    async with test as broker:
        sent = await broker.publish_batch("0", "1", "2", queue=queue.name)
        assert len(set(sent)) == 3
        if not stage.real:
            assert await test.redeliver() == 1
        await eventually(lambda: len(batches) == 2)
    assert batches == [[0, 1, 2], [1]]


async def test_routers_dependencies_middlewares_and_filters_work(stage: Stage, queue: "Queue") -> None:
    seen: list[str] = []

    class Recorder(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            seen.append("middleware")
            return await call_next(msg)

    async def tenant(message: SQSMessage) -> str:
        return str(message.headers["tenant"])

    router = SQSRouter(prefix="queue-", middlewares=[Recorder])
    subscriber = router.subscriber(queue.name.removeprefix("queue-"), wait_time=1)

    @subscriber(filter=lambda message: message.headers["kind"] == "new")
    async def new(body: str, tenant: Annotated[str, Depends(tenant)], greeting: Annotated[str, Context()]) -> None:
        seen.append(f"{greeting} {body} of {tenant}")

    @subscriber
    async def old(body: str) -> None:
        seen.append(f"old {body}")

    stage.broker.include_router(router)
    stage.broker.context.set_global("greeting", "hello")
    async with stage.test() as broker:
        await broker.publish("one", queue.name, headers={"kind": "new", "tenant": "acme"})
        await new.wait_call(timeout=5)
        await broker.publish("two", queue.name, headers={"kind": "old"})
        await old.wait_call(timeout=5)
    assert seen == ["middleware", "hello one of acme", "middleware", "old two"]


async def test_message_invalid_for_aws_is_refused(stage: Stage, queue: "Queue") -> None:
    async with stage.test() as broker:
        with pytest.raises(PublishFailed, match="TooManyAttributes"):
            await broker.publish("hello", queue.name, headers={str(n): n for n in range(11)})
        with pytest.raises(PublishFailed, match="MessageTooLong"):
            await broker.publish("x" * 1_100_000, queue.name)


# What follows needs no server, and shows what a server would hide.


async def test_detail_other_than_an_object_is_refused(memory: SQSBroker) -> None:
    events = memory.event_publisher("shop", source="shop", detail_type="OrderPlaced")
    async with TestSQSBroker(memory):
        for detail in ("[1]", "not JSON"):
            with pytest.raises(PublishFailed, match="MalformedDetail"):
                await events.publish(detail)
        events.mock.assert_not_called()


async def test_handler_error_is_raised_at_the_publish(memory: SQSBroker) -> None:
    counts: list[int] = []

    @memory.subscriber("orders", retry=RetryPolicy(base=4, uniform=lambda _, ceiling: ceiling))
    async def handle(body: int, message: SQSMessage) -> None:
        counts.append(message.receive_count)
        if message.receive_count < 3:
            raise ConnectionError("no database")

    test = TestSQSBroker(memory)
    async with test as broker:
        with pytest.raises(ConnectionError):
            await broker.publish("1", "orders")
        with pytest.raises(ConnectionError):
            await test.redeliver()
        assert await test.redeliver() == 1
        assert await test.redeliver() == 0
        with pytest.raises(ValidationError):
            await broker.publish("not a number", "orders")
    assert counts == [1, 2, 3]
    assert [(each.status, each.delay, each.receive_count) for each in test.settled] == [
        (AckStatus.NACKED, 4, 1),
        (AckStatus.NACKED, 8, 2),
        (AckStatus.ACKED, None, 3),
        (AckStatus.REJECTED, None, 1),
    ]
    assert len({each.message_id for each in test.settled}) == 2


@pytest.mark.parametrize(
    ("raised", "status", "delay", "reason"),
    [
        (AckMessage(), AckStatus.ACKED, None, ""),
        (NackMessage(delay=7), AckStatus.NACKED, 7, ""),
        (RejectMessage(reason="no use"), AckStatus.REJECTED, None, "no use"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_raised_settle_action_is_recorded_and_no_error(
    memory: SQSBroker, raised: Exception, status: AckStatus, delay: int | None, reason: str
) -> None:
    @memory.subscriber("orders")
    async def handle(body: str) -> None:
        raise raised

    test = TestSQSBroker(memory)
    async with test as broker:
        await broker.publish("hello", "orders")
    [settled] = test.settled
    assert (settled.queue, settled.body) == ("orders", "hello")
    assert (settled.status, settled.delay, settled.reason) == (status, delay, reason)


async def test_batch_is_settled_message_by_message(memory: SQSBroker) -> None:
    @memory.subscriber("orders", batch=True)
    async def handle(bodies: list[int], message: SQSBatchMessage) -> None:
        if 2 in bodies:
            raise BatchItemFailed(message.messages[bodies.index(2)].message_id)

    test = TestSQSBroker(memory)
    async with test as broker:
        await broker.publish_batch("1", "2", "3", queue="orders")
        handle.mock.assert_called_once_with(["1", "2", "3"])
        assert {each.body: each.status for each in test.settled} == {
            "1": AckStatus.ACKED,
            "2": AckStatus.NACKED,
            "3": AckStatus.ACKED,
        }
        with pytest.raises(ValidationError):
            await broker.publish("not a number", "orders")


async def test_unsettled_message_is_not_recorded(memory: SQSBroker) -> None:
    @memory.subscriber("orders", ack_policy=AckPolicy.MANUAL)
    async def handle(body: str) -> None: ...

    test = TestSQSBroker(memory)
    async with test as broker:
        await broker.publish("hello", "orders")
        handle.mock.assert_called_once()
    assert list(test.settled) == []


async def test_batch_handler_may_publish_to_its_own_queue(memory: SQSBroker) -> None:
    seen: list[int] = []

    @memory.subscriber("orders", batch=True)
    async def handle(bodies: list[int]) -> None:
        seen.extend(bodies)
        if seen[-1] < 3:
            await memory.publish(str(seen[-1] + 1), "orders")

    async with TestSQSBroker(memory) as broker, asyncio.timeout(5):
        await broker.publish("1", "orders")
    assert seen == [1, 2, 3]


async def test_event_reaches_all_its_queues_despite_a_failing_handler(memory: SQSBroker) -> None:
    seen: list[str] = []

    @memory.subscriber("billing", detail_type="OrderPlaced")
    async def bill(body: Any) -> None:
        raise ConnectionError

    @memory.subscriber("shipping", source="shop")
    async def ship(body: Any) -> None:
        seen.append("shipping")

    @memory.subscriber("shipping", source="shop")
    async def ship_elsewhere(body: Any) -> None:
        seen.append("shipping")

    @memory.subscriber("archive")
    async def archive(body: Any) -> None:
        seen.append("archive")

    @memory.subscriber("plain")
    async def plain(body: Any) -> None:
        seen.append("plain")

    events = memory.event_publisher("shop", source="shop", detail_type="OrderPlaced")
    async with TestSQSBroker(memory, rules={"shop": ["archive"]}):
        with pytest.raises(ConnectionError):
            await events.publish({"id": 7})
    assert sorted(seen) == ["archive", "shipping"]


async def test_message_without_a_matching_handler_is_an_error(memory: SQSBroker) -> None:
    subscriber = memory.subscriber("orders")

    @subscriber(filter=lambda message: message.headers.get("kind") == "new")
    async def handle(body: str) -> None: ...

    test = TestSQSBroker(memory)
    async with test as broker:
        assert await broker.publish("hello", "a-queue-of-others")
        with pytest.raises(SubscriberNotFound):
            await broker.publish("hello", "orders")
    [settled] = test.settled
    assert (settled.status, settled.reason) == (AckStatus.REJECTED, "no handler accepts this message")


async def test_several_brokers_share_their_queues(memory: SQSBroker, make_broker: Callable[..., SQSBroker]) -> None:
    other = make_broker(endpoint_url=NOWHERE)

    @other.subscriber("https://sqs.us-east-1.amazonaws.com/123456789012/orders")
    async def handle(body: str) -> None: ...

    async with TestSQSBroker(memory, other) as (first, _):
        await first.publish("hello", "orders")
        handle.mock.assert_called_once_with("hello")


async def test_application_starts_in_memory(memory: SQSBroker) -> None:
    app = FastStream(memory)
    publisher = memory.publisher("orders")

    @app.after_startup
    async def greet() -> None:
        await publisher.publish({"id": 7})

    async with TestSQSBroker(memory), TestApp(app):
        publisher.mock.assert_called_once_with({"id": 7})


async def test_broker_is_restored_after_the_test(memory: SQSBroker) -> None:
    events = memory.event_publisher("shop", source="shop", detail_type="OrderPlaced")
    before = (memory.config.producer, memory.config.event_producer, list(memory.subscribers))
    memory.publisher("orders")
    async with TestSQSBroker(memory):
        assert memory.config.producer is not before[0]
        await events.publish(json.dumps({"id": 7}))
        assert events.mock.called
    assert (memory.config.producer, memory.config.event_producer, list(memory.subscribers)) == before
    with pytest.raises(SetupError, match="not under a test broker"):
        assert events.mock


async def test_settlement_with_a_real_queue_is_read_from_sqs(broker: SQSBroker) -> None:
    test = TestSQSBroker(broker, with_real=True)
    with pytest.raises(SetupError, match="read the queue"):
        assert test.settled
    with pytest.raises(SetupError, match="read the queue"):
        await test.redeliver()


async def test_custom_parser_may_replace_the_body(memory: SQSBroker) -> None:
    async def decrypt(raw: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
        message = await original(raw)
        message.body, message.content_type = b'{"id": 7}', "application/json"
        return message

    @memory.subscriber("orders", parser=decrypt)
    async def handle(body: dict[str, int]) -> None: ...

    async with TestSQSBroker(memory) as broker:
        await broker.publish("a secret", "orders")
        handle.mock.assert_called_once_with({"id": 7})
