"""A message that a handler cannot take ends in the dead-letter queue; its neighbours and its handler do not suffer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream import AckPolicy, BaseMiddleware
from faststream.exceptions import NackMessage, SetupError
from faststream.message import AckStatus
from pydantic import BaseModel, ValidationError

from faststream_sqs import QueueMissing, RetryPolicy, SQSBroker, SQSMessage, TestSQSBroker

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]
MakeBroker = Callable[..., SQSBroker]
MakeQueue = Callable[..., Awaitable["Queue"]]
NOWHERE = "http://127.0.0.1:9"
AT_ONCE = RetryPolicy(base=0.001, cap=0.001, uniform=lambda low, high: low)


class Order(BaseModel):
    """What a typed handler takes."""

    number: int


class Passive(BaseMiddleware[Any, Any]):
    """Does nothing, but makes messages take FastStream's own path."""


async def _drain(queue: "Queue") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while messages := await queue.receive():
        found += messages
    return found


@pytest.mark.parametrize("middlewares", [(), (Passive,)], ids=["fast path", "own path"])
@pytest.mark.parametrize("poison", ['{"number": "x"}', "{broken"])
async def test_batch_with_poison_costs_only_the_poison(
    make_broker: MakeBroker, make_queue: MakeQueue, eventually: Eventually, middlewares: Any, poison: str
) -> None:
    queue, dead = await make_queue(), await make_queue()
    broker = make_broker(middlewares=middlewares)
    numbers: list[int] = []

    @broker.subscriber(queue.name, batch=True, max_batch=40, wait_time=0, dead_letter_queue=dead.name)
    async def handle(orders: list[Order]) -> None:
        numbers.extend(order.number for order in orders)

    bodies = [f'{{"number": {n}}}' for n in range(39)]
    await queue.send(*bodies[:20], poison, *bodies[20:])
    await broker.start()
    await eventually(lambda: len(numbers) >= 39)

    async def empty() -> bool:
        return await queue.counts() == (0, 0)

    await eventually(empty)
    assert sorted(numbers) == list(range(39)), "each once"
    [copy] = await _drain(dead)
    assert copy["Body"] == poison


@pytest.mark.parametrize("returned", [["anything"], ("a",), {"x"}, {"a": 1}, 7])
async def test_result_of_batch_handler_does_not_repeat_its_messages(memory: SQSBroker, returned: Any) -> None:
    @memory.subscriber("orders", batch=True)
    async def handle(bodies: list[str]) -> Any:
        return returned

    test = TestSQSBroker(memory)
    async with test as broker:
        await broker.publish_batch("a", "b", queue="orders")
    assert [each.status for each in test.settled] == [AckStatus.ACKED] * 2


@pytest.mark.parametrize("middlewares", [(), (Passive,)], ids=["fast path", "own path"])
@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (AckPolicy.NACK_ON_ERROR, AckStatus.REJECTED),
        (AckPolicy.REJECT_ON_ERROR, AckStatus.REJECTED),
        (AckPolicy.ACK, AckStatus.ACKED),
        (AckPolicy.MANUAL, None),
    ],
)
async def test_invalid_message_is_not_retried(
    make_broker: MakeBroker, middlewares: Any, policy: AckPolicy, status: AckStatus | None
) -> None:
    broker = make_broker(endpoint_url=NOWHERE, middlewares=middlewares)

    @broker.subscriber("orders", ack_policy=policy)
    async def handle(order: Order) -> None: ...

    test = TestSQSBroker(broker)
    async with test:
        with pytest.raises(ValidationError):
            await broker.publish({"number": "x"}, "orders")
    assert [each.status for each in test.settled] == ([] if status is None else [status])


async def test_validation_error_inside_the_handler_is_retried(memory: SQSBroker) -> None:
    @memory.subscriber("orders")
    async def handle(body: Any) -> None:
        Order.model_validate({"number": "x"})

    test = TestSQSBroker(memory)
    async with test as broker:
        with pytest.raises(ValidationError):
            await broker.publish({"number": 1}, "orders")
    assert [each.status for each in test.settled] == [AckStatus.NACKED]


@pytest.mark.parametrize("how", ["raise", "nack", "NackMessage"])
async def test_failing_message_is_rejected_at_max_receives(broker: SQSBroker, make_queue: MakeQueue, how: str) -> None:
    queue, dead = await make_queue(), await make_queue()
    counts: list[int] = []

    @broker.subscriber(queue.name, wait_time=0, retry=AT_ONCE, max_receives=3, dead_letter_queue=dead.name)
    async def handle(body: str, message: SQSMessage) -> None:
        counts.append(message.receive_count)
        if how == "nack":
            await message.nack(0)
        elif how == "NackMessage":
            raise NackMessage(delay=0)
        else:
            raise ConnectionError

    await queue.send("hello")
    await broker.start()
    [copy] = await dead.receive(wait=5)
    assert copy["MessageAttributes"]["reject-reason"]["StringValue"] == "failed at receipt 3 of 3"
    await broker.stop()
    assert counts == [1, 2, 3]
    assert await queue.counts() == (0, 0)


async def test_message_that_ends_its_workers_is_rejected_before_it_is_handled(
    broker: SQSBroker, make_queue: MakeQueue
) -> None:
    queue, dead = await make_queue(), await make_queue()
    await queue.send("hello")
    for _ in range(2):
        assert await queue.receive(visibility=0)

    @broker.subscriber(queue.name, wait_time=0, max_receives=2, dead_letter_queue=dead.name)
    async def handle(body: str) -> None:
        raise AssertionError

    await broker.start()
    [copy] = await dead.receive(wait=5)
    assert copy["MessageAttributes"]["reject-reason"]["StringValue"] == "received 3 times, more than 2"


async def test_stop_does_not_count_as_a_failure(
    make_broker: MakeBroker, make_queue: MakeQueue, eventually: Eventually
) -> None:
    queue, dead = await make_queue(), await make_queue()
    broker = make_broker(graceful_timeout=0.5)
    started: list[str] = []

    @broker.subscriber(queue.name, wait_time=0, max_receives=1, dead_letter_queue=dead.name)
    async def handle(body: str) -> None:
        started.append(body)
        await asyncio.sleep(60)

    await queue.send("hello")
    await broker.start()
    await eventually(lambda: started)
    await broker.stop()
    assert await queue.counts() == (1, 0)
    assert await dead.counts() == (0, 0)


@pytest.mark.parametrize("options", [{"max_receives": 3}, {"max_receives": 0, "dead_letter_queue": "dead"}])
def test_max_receives_without_sense_is_a_setup_error(memory: SQSBroker, options: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="max_receives"):
        memory.subscriber("orders", **options)


async def test_created_queue_gets_the_declared_redrive_policy(
    make_broker: MakeBroker, make_queue: MakeQueue, sqs: Any
) -> None:
    name = f"{(await make_queue()).name}-new"
    broker = make_broker(declare="create")

    @broker.subscriber(name, wait_time=0, dead_letter_queue=f"{name}-dead", max_receives=4)
    async def handle(body: str) -> None: ...

    await broker.start()
    url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    attributes = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    assert f"{name}-dead" in attributes["Attributes"]["RedrivePolicy"]
    assert "4" in attributes["Attributes"]["RedrivePolicy"]


@pytest.mark.parametrize("declare", ["create", "verify"])
async def test_late_subscriber_obeys_declare(
    make_broker: MakeBroker, queue: "Queue", eventually: Eventually, declare: str
) -> None:
    broker = make_broker(declare=declare)
    await broker.start()
    seen: list[str] = []
    late = broker.subscriber(f"{queue.name}-late", wait_time=0, dead_letter_queue=f"{queue.name}-dead")

    @late
    async def handle(body: str) -> None:
        seen.append(body)

    if declare == "verify":
        with pytest.raises(QueueMissing, match=r"-dead.*-late"):
            await late.start()
        return
    await late.start()
    await broker.publish("hello", f"{queue.name}-late")
    await eventually(lambda: seen == ["hello"])


@pytest.mark.parametrize("reply_to", ["no-such-queue", "not a queue name", "https://example.invalid/1/q"])
async def test_reply_that_cannot_arrive_does_not_run_the_handler_again(
    broker: SQSBroker, queue: "Queue", eventually: Eventually, reply_to: str
) -> None:
    runs: list[str] = []

    @broker.subscriber(queue.name, wait_time=0, retry=AT_ONCE)
    async def handle(body: str) -> str:
        runs.append(body)
        return body

    await broker.start()
    await broker.publish("hello", queue.name, reply_to=reply_to)

    async def empty() -> bool:
        return bool(runs) and await queue.counts() == (0, 0)

    await eventually(empty)
    assert runs == ["hello"]


@pytest.fixture
def memory(make_broker: MakeBroker) -> SQSBroker:
    """A broker that could not reach AWS if it tried."""
    return make_broker(endpoint_url=NOWHERE)
