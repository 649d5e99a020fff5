"""FastAPI applications with the broker, by the package faststream-fastapi, and bodies that msgspec casts."""

import asyncio
import json
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from fast_depends.msgspec import MsgSpecSerializer
from fastapi import BackgroundTasks, Depends, FastAPI
from faststream_fastapi import FastStreamAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

import faststream_sqs
from faststream_sqs import QueueMissing, RetryPolicy, SQSBroker, TestSQSBroker

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

EXAMPLE = Path(faststream_sqs.__file__).parents[1] / "examples" / "fastapi_application.py"
MakeBroker = Callable[..., SQSBroker]
MakeQueue = Callable[..., Awaitable["Queue"]]
Eventually = Callable[..., Awaitable[None]]
AT_ONCE = RetryPolicy(base=0.001, cap=0.001, uniform=lambda low, high: low)


class Order(BaseModel):
    """What a typed handler takes."""

    id: int


def carrier() -> str:
    return "by train"


async def _running(app: FastStreamAPI, stop: asyncio.Event, started: asyncio.Event) -> list[Any]:
    """Run the lifespan of an application as a server does; return what it answered."""
    answers: list[Any] = []
    asked = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

    async def receive() -> Any:
        message = next(asked)
        if message["type"] == "lifespan.shutdown":
            await stop.wait()
        return message

    async def send(message: Any) -> None:
        answers.append(message)
        started.set()

    await app({"type": "lifespan", "state": {}}, receive, send)
    return answers


def test_fastapi_example_answers_with_what_its_handler_returned(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENDPOINT_URL", endpoint), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with TestClient(runpy.run_path(str(EXAMPLE))["app"]) as client:
        assert client.post("/orders", json={"id": 7}).json() == "order 7 shipped by train"
        assert client.post("/orders", json={"id": "x"}).status_code == 422
        assert "example-api-orders" in client.get("/asyncapi.json").text


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
async def test_body_that_fastapi_refuses_is_rejected_alone_and_a_failure_is_retried(
    make_broker: MakeBroker, make_queue: MakeQueue, eventually: Eventually, batch: bool
) -> None:
    queue, dead = await make_queue(), await make_queue()
    broker, handled, calls = make_broker(), list[str](), list[int]()
    subscriber = broker.subscriber(
        queue.name, dead_letter_queue=dead.name, wait_time=0, batch=batch, max_receives=9, retry=AT_ONCE
    )

    def handle(ids: list[int], how: str) -> None:
        calls.extend(ids)
        if calls.count(8) == 1 and 8 in ids:
            raise ConnectionError("not today")
        handled.extend(f"{each} {how}" for each in ids)

    if batch:

        @subscriber
        async def ship_all(orders: list[Order], how: Annotated[str, Depends(carrier)]) -> None:
            handle([order.id for order in orders], how)
    else:

        @subscriber
        async def ship(order: Order, how: Annotated[str, Depends(carrier)]) -> None:
            handle([order.id], how)

    await queue.send('{"id": 7}', '{"id": "x"}', '{"id": 8}')
    app = FastStreamAPI(broker, application=FastAPI(), safe_connection=True)
    stop, started = asyncio.Event(), asyncio.Event()
    running = asyncio.ensure_future(_running(app, stop, started))
    await started.wait()
    await eventually(lambda: {"7 by train", "8 by train"} <= set(handled))
    stop.set()
    answers = await running
    assert [answer["type"] for answer in answers] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    [refused] = await dead.receive()
    assert json.loads(refused["Body"]) == {"id": "x"}
    assert refused["MessageAttributes"]["reject-reason"]["StringValue"] == "RequestValidationError"
    assert await queue.counts() == (0, 0)


async def test_missing_queue_fails_the_start_of_a_fastapi_application(make_broker: MakeBroker) -> None:
    broker = make_broker()

    @broker.subscriber("no-such-queue")
    async def ship(order: Order) -> None: ...

    app = FastStreamAPI(broker, application=FastAPI(), safe_connection=True)
    with pytest.raises(QueueMissing, match="no-such-queue"):
        await _running(app, asyncio.Event(), asyncio.Event())


async def test_fastapi_handler_in_memory_gets_overridden_dependencies() -> None:
    broker, api, noted = SQSBroker("us-east-1"), FastAPI(), list[str]()
    api.dependency_overrides[carrier] = lambda: "by ship"

    @broker.subscriber("orders")
    async def ship(order: Order, how: Annotated[str, Depends(carrier)], tasks: BackgroundTasks) -> str:
        tasks.add_task(noted.append, how)
        return f"{order.id} {how}"

    FastStreamAPI(broker, application=api)
    async with TestSQSBroker(broker):
        reply = await broker.request(Order(id=7), "orders")
        assert await reply.decode() == "7 by ship"
        ship.mock.assert_called_once_with({"id": 7})
    assert noted == ["by ship"]


class Parcel(msgspec.Struct):
    """What msgspec casts."""

    id: int


async def test_msgspec_struct_arrives_and_an_invalid_body_is_rejected_at_once(
    make_broker: MakeBroker, make_queue: MakeQueue, eventually: Eventually
) -> None:
    queue, dead = await make_queue(), await make_queue()
    broker, parcels = make_broker(serializer=MsgSpecSerializer()), list[Parcel]()

    @broker.subscriber(queue.name, dead_letter_queue=dead.name, wait_time=0)
    async def ship(parcel: Parcel) -> None:
        parcels.append(parcel)

    await queue.send('{"id": "x"}')
    await broker.start()
    await broker.publish(Parcel(id=7), queue.name)
    await eventually(lambda: parcels == [Parcel(id=7)])

    async def both_are_gone() -> bool:
        return await queue.counts() == (0, 0)

    await eventually(both_are_gone)
    [refused] = await dead.receive()
    assert refused["MessageAttributes"]["reject-reason"]["StringValue"] == "ValidationError"
