"""What the package takes from FastStream: its call models, its documents, its routers and its middlewares."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from faststream import BaseMiddleware, FastStream
from faststream.specification import AsyncAPI

from faststream_sqs import SQSBroker, SQSMessage, SQSRoute, SQSRoutePublisher, SQSRouter

if TYPE_CHECKING:
    from tests.faststream_sqs.conftest import Queue

Eventually = Callable[..., Awaitable[None]]


def test_handler_model_has_the_fields_of_direct_calls() -> None:
    from fast_depends import dependency_provider
    from fast_depends.core import build_call_model
    from fast_depends.pydantic import PydanticSerializer

    async def handle(body: int, message: SQSMessage) -> None: ...

    model = build_call_model(
        handle,
        dependency_provider=dependency_provider,
        serializer_cls=PydanticSerializer(use_fastdepends_errors=False),
    )
    assert [param.field_name for param in model.params] == ["body"]
    assert list(model.custom_fields) == ["message"]
    assert set(model.alias_arguments) == {"body", "message"}
    assert not model.dependencies
    assert not model.extra_dependencies
    assert model.serializer is not None
    assert model.serializer({"body": "7", "message": None}) == {"body": 7, "message": None}


@pytest.mark.parametrize("version", ["2.6.0", "3.0.0"])
def test_document_names_queues_and_buses(version: Any) -> None:
    broker = SQSBroker("us-east-1", logger=None)

    @broker.subscriber("orders", title="Orders", description="What was ordered.")
    @broker.publisher("receipts")
    @broker.event_publisher("shop", source="shop", detail_type="OrderPlaced")
    async def place(order: dict[str, int], message: SQSMessage) -> dict[str, int]:
        return order

    @broker.subscriber("many", batch=True)
    async def many(orders: list[int]) -> None: ...

    document = AsyncAPI(broker, schema_version=version).to_specification().to_jsonable()
    text = json.dumps(document)
    for expected in ("orders", "receipts", "shop:OrderPlaced:Publisher", "many", "What was ordered."):
        assert expected in text


async def test_routers_add_their_prefix_and_their_handlers(
    broker: SQSBroker, make_queue: Callable[..., Awaitable["Queue"]], eventually: Eventually
) -> None:
    first, second, results = await make_queue(), await make_queue(), await make_queue()
    seen: list[Any] = []

    async def route(body: int) -> int:
        seen.append(body)
        return body + 1

    router = SQSRouter(
        prefix="queue-",
        handlers=[
            SQSRoute(
                route,
                first.name.removeprefix("queue-"),
                wait_time=0,
                publishers=[SQSRoutePublisher(results.name.removeprefix("queue-"))],
            )
        ],
    )
    subscriber = router.subscriber(second.name.removeprefix("queue-"), wait_time=0)

    @subscriber
    async def decorated(body: int) -> None:
        seen.append(body)

    broker.include_router(router)
    await broker.start()
    assert subscriber.queue == second.name
    await first.send("1")
    await second.send("2")
    [result] = await results.receive(wait=5)
    assert result["Body"] == "2"
    await eventually(lambda: sorted(seen) == [1, 2])


async def test_middlewares_process_messages_and_publishes(
    make_broker: Callable[..., SQSBroker], queue: "Queue", bus: str, eventually: Eventually
) -> None:
    seen: list[str] = []

    class Recorder(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            seen.append(f"consume {msg.queue}")
            return await call_next(msg)

        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            seen.append(f"publish {cmd.destination}")
            return await call_next(cmd)

    broker = make_broker(middlewares=[Recorder])
    events = broker.event_publisher(bus)

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: Any) -> None: ...

    await broker.start()
    await broker.publish("hello", queue.name)
    await events.publish("{}", source="shop", detail_type="OrderPlaced")
    await eventually(lambda: len(seen) == 4)
    assert sorted(seen) == sorted(
        [f"publish {queue.name}", f"publish {bus}", f"consume {queue.name}", f"consume {queue.name}"]
    )


async def test_faststream_application_runs_the_broker(broker: SQSBroker, queue: "Queue") -> None:
    app = FastStream(broker)

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        app.exit()

    await queue.send("hello")
    await app.run()
    assert await queue.counts() == (0, 0)
