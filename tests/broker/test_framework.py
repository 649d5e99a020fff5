"""What the package takes from FastStream: its hooks, its documents, its routers and its middlewares."""

import importlib
import inspect
import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

import pytest
from faststream import BaseMiddleware, FastStream
from faststream.specification import AsyncAPI

from faststream_sqs import SQSBroker, SQSMessage, SQSRoute, SQSRoutePublisher, SQSRouter

if TYPE_CHECKING:
    from tests.broker.conftest import Queue

Eventually = Callable[..., Awaitable[None]]

# Everything private that the package relies on, with the parameters it passes or overrides.
HOOKS = [
    ("faststream._internal.broker", "BrokerUsecase.__init__", {"config", "specification", "routers"}),
    ("faststream._internal.broker", "BrokerUsecase.start", set()),
    ("faststream._internal.broker", "BrokerUsecase.stop", {"exc_type", "exc_val", "exc_tb"}),
    ("faststream._internal.broker", "BrokerUsecase._connect", set()),
    ("faststream._internal.broker", "BrokerUsecase._basic_publish", {"cmd", "producer"}),
    ("faststream._internal.broker.registrator", "Registrator.subscriber", {"subscriber", "persistent"}),
    ("faststream._internal.broker.registrator", "Registrator.publisher", {"publisher", "persistent"}),
    ("faststream._internal.broker.router", "BrokerRouter.__init__", {"config", "handlers", "routers"}),
    ("faststream._internal.broker.router", "SubscriberRoute.__init__", {"call", "publishers"}),
    ("faststream._internal.configs", "SubscriberUsecaseConfig.auto_ack_disabled", None),
    ("faststream._internal.configs", "SubscriberUsecaseConfig.ack_policy", None),
    ("faststream._internal.context.context_type", "Context.use", {"kwargs"}),
    ("faststream._internal.di", "FastDependsConfig._serializer", None),
    ("faststream._internal.endpoint.call_wrapper", "HandlerCallWrapper.set_wrapped", {"dependencies", "config"}),
    ("faststream._internal.endpoint.publisher", "PublisherUsecase._basic_publish", {"cmd", "producer"}),
    ("faststream._internal.endpoint.publisher.fake", "FakePublisher.patch_command", {"cmd"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.consume", {"msg"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.process_message", {"msg"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase._post_start", set()),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase._make_response_publisher", {"message"}),
    ("faststream._internal.endpoint.subscriber", "SubscriberUsecase.add_call", {"parser_", "decoder_", "codec_"}),
    ("faststream._internal.endpoint.subscriber.mixins", "TasksMixin.add_task", {"func"}),
    ("faststream._internal.endpoint.usecase", "Endpoint._call_wrapper_class", None),
    ("faststream._internal.logger", "make_logger_state", {"logger", "log_level", "default_storage_cls"}),
    ("faststream._internal.logger.logging", "get_broker_logger", {"name", "fmt", "context", "log_level"}),
    ("fast_depends.core", "CallModel.asolve", {"args", "kwargs"}),
    ("faststream._internal.testing.broker", "TestBroker.__init__", {"brokers", "with_real", "connect_only"}),
    ("faststream._internal.testing.broker", "TestBroker._create_ctx", set()),
    ("faststream._internal.testing.broker", "TestBroker._fake_start", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker._patch_producer", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker._fake_connect", {"broker"}),
    ("faststream._internal.testing.broker", "TestBroker.create_publisher_fake_subscriber", {"broker", "publisher"}),
    ("faststream._internal.testing.broker", "change_producer", {"config", "producer"}),
    ("faststream._internal.testing.calls", "CallRecorder.record", {"message"}),
    ("faststream._internal.endpoint.publisher", "PublisherUsecase.set_test", {"with_fake"}),
    ("faststream.opentelemetry.middleware", "TelemetryMiddleware.__init__", {"settings_provider_factory"}),
    ("faststream.opentelemetry.middleware", "TelemetryMiddleware.__call__", {"msg", "context"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.__init__", {"msg", "metrics_container"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.publish_scope", {"call_next", "msg"}),
    ("faststream.opentelemetry.middleware", "BaseTelemetryMiddleware.consume_scope", {"call_next", "msg"}),
    ("faststream.prometheus.middleware", "PrometheusMiddleware.__init__", {"settings_provider_factory", "registry"}),
    ("faststream.specification.schema.bindings.sqs", "ChannelBinding.__init__", {"queue", "bindingVersion"}),
    ("faststream.specification.asyncapi.utils", "resolve_payloads", {"payloads", "extra"}),
]


@pytest.mark.parametrize(("module", "path", "parameters"), HOOKS, ids=[path for _, path, _ in HOOKS])
def test_faststream_still_has_the_hooks_that_this_package_relies_on(
    module: str, path: str, parameters: set[str] | None
) -> None:
    advice = (
        f"FastStream {version_of('faststream')} has moved or changed `{module}.{path}`, which faststream_sqs needs. "
        "Either pin FastStream below this version, or adapt faststream_sqs and this table."
    )
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{advice} ({error})")
    if parameters is not None:
        missing = parameters - set(inspect.signature(found).parameters)
        assert not missing, f"{advice} It no longer takes {sorted(missing)}."


def test_a_handler_model_still_has_the_fields_that_direct_calls_read() -> None:
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
def test_a_document_names_queues_and_buses(version: Any) -> None:
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


async def test_middlewares_see_messages_and_publishes(
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


async def test_a_faststream_application_runs_the_broker(broker: SQSBroker, queue: "Queue") -> None:
    app = FastStream(broker)

    @broker.subscriber(queue.name, wait_time=0)
    async def handle(body: str) -> None:
        app.exit()

    await queue.send("hello")
    await app.run()
    assert await queue.counts() == (0, 0)
