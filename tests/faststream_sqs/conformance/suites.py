# mypy: ignore-errors
"""FastStream's generic suites for `SQSBroker`, on the emulator, and `TestSQSBroker`, in memory.

`__main__.py` copies this file into a checkout of FastStream, where `tests` is FastStream's own package.
"""

import os

import msgspec
import pytest
from aiobotocore.session import get_session
from documented import FastAPIRouter
from fast_depends.msgspec import MsgSpecSerializer
from faststream import BaseMiddleware
from tests.asgi.testcase import AsgiTestcase
from tests.asyncapi.base.v2_6_0.arguments import ArgumentsTestcase as Arguments2
from tests.asyncapi.base.v2_6_0.fastapi import FastAPITestCase as FastAPI2
from tests.asyncapi.base.v2_6_0.naming import NamingTestCase as Naming2
from tests.asyncapi.base.v2_6_0.publisher import PublisherTestcase as Publisher2
from tests.asyncapi.base.v2_6_0.router import RouterTestcase as Router2
from tests.asyncapi.base.v3_0_0.arguments import ArgumentsTestcase as Arguments3
from tests.asyncapi.base.v3_0_0.fastapi import FastAPITestCase as FastAPI3
from tests.asyncapi.base.v3_0_0.naming import NamingTestCase as Naming3
from tests.asyncapi.base.v3_0_0.publisher import PublisherTestcase as Publisher3
from tests.asyncapi.base.v3_0_0.router import RouterTestcase as Router3
from tests.brokers.base.basic import BaseTestcaseConfig
from tests.brokers.base.codec import BatchCodecTestcase, CodecTestcase
from tests.brokers.base.connection import BrokerConnectionTestcase
from tests.brokers.base.consume import BrokerRealConsumeTestcase
from tests.brokers.base.fastapi import FastAPILocalTestcase
from tests.brokers.base.future.fastapi import FastapiTestCase
from tests.brokers.base.include_router import IncludePublisherTestcase, IncludeSubscriberTestcase
from tests.brokers.base.middlewares import (
    ExceptionMiddlewareTestcase,
    MiddlewaresOrderTestcase,
    MiddlewareTestcase,
)
from tests.brokers.base.parser import CustomParserTestcase
from tests.brokers.base.publish import BrokerPublishTestcase, parametrized
from tests.brokers.base.publish_command import BatchPublishCommandTestcase
from tests.brokers.base.requests import RequestsTestcase
from tests.brokers.base.router import RouterLocalTestcase, RouterTestcase
from tests.brokers.base.testclient import BrokerTestclientTestcase
from tests.opentelemetry.basic import LocalTelemetryTestcase
from tests.prometheus.basic import (
    LocalMetricsSettingsProviderTestcase,
    LocalPrometheusTestcase,
    LocalRPCPrometheusTestcase,
)

from faststream_sqs import Credentials, SQSBroker, SQSRoute, SQSRoutePublisher, SQSRouter, TestSQSBroker
from faststream_sqs.opentelemetry import SQSTelemetryMiddleware
from faststream_sqs.prometheus import SQSPrometheusMiddleware, _Settings
from faststream_sqs.response import SQSPublishCommand
from faststream_sqs.testing import _MemoryProducer

SESSION = get_session()
SETTINGS = {
    "region": "us-east-1",
    "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
    "credentials": Credentials("test", "test"),
    "session": SESSION,
    "declare": "create",
}


class CreatingBroker(SQSBroker):
    """The suites need queues that are created, and stop without waiting for a long poll."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**SETTINGS, **kwargs})

    def subscriber(self, queue, **options):
        return super().subscriber(queue, **{"wait_time": 1, **options})

    async def publish_batch(self, *messages, topic=None, **options):
        return await super().publish_batch(*messages, **({"queue": topic} if topic else {}), **options)


class ShortRouter(SQSRouter):
    """The same for routers."""

    def subscriber(self, queue, **options):
        return super().subscriber(queue, **{"wait_time": 1, **options})


class Real(BaseTestcaseConfig):
    """On the emulator."""

    timeout = 5.0

    def get_broker(self, apply_types=False, **kwargs):
        return CreatingBroker(apply_types=apply_types, **kwargs)

    def get_router(self, **kwargs):
        return ShortRouter(**kwargs)


class Memory(Real):
    """In memory."""

    def patch_broker(self, *brokers, **kwargs):
        return TestSQSBroker(*brokers, **kwargs)


class TestConsume(Real, BrokerRealConsumeTestcase): ...


class TestPublish(Real, BrokerPublishTestcase): ...


class TestMiddlewares(Real, MiddlewareTestcase): ...


class TestExceptionMiddlewares(Real, ExceptionMiddlewareTestcase): ...


class TestMiddlewaresOrder(Memory, MiddlewaresOrderTestcase): ...


class TestParser(Real, CustomParserTestcase): ...


class TestCodec(Memory, CodecTestcase): ...


class TestBatchCodec(Memory, BatchCodecTestcase):
    def get_batch_subscriber_params(self, queue):
        return (queue,), {"batch": True}


class TestIncludeSubscriber(Memory, IncludeSubscriberTestcase): ...


class TestIncludePublisher(Memory, IncludePublisherTestcase): ...


class RequestMiddleware(BaseMiddleware):
    """Doubles a request and its reply, as the suite expects."""

    async def on_receive(self):
        self.msg.raw["Body"] = self.msg.raw["Body"] * 2

    async def consume_scope(self, call_next, msg):
        msg.body *= 2
        return await call_next(msg)


class TestRequests(Real, RequestsTestcase):
    def get_middleware(self, **kwargs):
        return RequestMiddleware


class TestRequestsInMemory(Memory, RequestsTestcase):
    def get_middleware(self, **kwargs):
        return RequestMiddleware


class TestRouter(Real, RouterTestcase):
    route_class = SQSRoute
    publisher_class = SQSRoutePublisher


class TestRouterInMemory(Memory, RouterLocalTestcase):
    route_class = SQSRoute
    publisher_class = SQSRoutePublisher


class TestTestClient(Memory, BrokerTestclientTestcase):
    @pytest.fixture
    def fake_producer_cls(self):
        return _MemoryProducer


class TestPublishCommand(BatchPublishCommandTestcase):
    publish_command_cls = SQSPublishCommand


class TestConnection(BrokerConnectionTestcase):
    broker = CreatingBroker

    @pytest.fixture
    def settings(self):
        return None


class TestArguments2(Arguments2):
    broker_class = SQSBroker


class TestArguments3(Arguments3):
    broker_class = SQSBroker


class TestNaming2(Naming2):
    broker_class = SQSBroker


class TestNaming3(Naming3):
    broker_class = SQSBroker


class TestPublisher2(Publisher2):
    broker_class = SQSBroker


class TestPublisher3(Publisher3):
    broker_class = SQSBroker


class TestRouter2(Router2):
    broker_class = SQSBroker
    router_class = SQSRouter
    route_class = SQSRoute
    publisher_class = SQSRoutePublisher


class TestRouter3(Router3):
    broker_class = SQSBroker
    router_class = SQSRouter
    route_class = SQSRoute
    publisher_class = SQSRoutePublisher


class TestTelemetry(Real, LocalTelemetryTestcase):
    messaging_system = "aws_sqs"
    include_messages_counters = True
    telemetry_middleware_class = SQSTelemetryMiddleware


class TestFastAPI(Real, FastapiTestCase):
    """The suite with forward references has that without them in it."""

    router_class = FastAPIRouter
    broker_router_class = ShortRouter


class TestFastAPIInMemory(Memory, FastAPILocalTestcase):
    router_class = FastAPIRouter
    broker_router_class = ShortRouter


class TestFastAPI2(FastAPI2):
    router_class = FastAPIRouter
    broker_wrapper = staticmethod(TestSQSBroker)


class TestFastAPI3(FastAPI3):
    router_class = FastAPIRouter
    broker_wrapper = staticmethod(TestSQSBroker)


class Struct(msgspec.Struct):
    r: str


HELLO = Struct(r="hello!")


class TestMsgspec(Memory):
    """FastStream's cases for msgspec name its brokers: here they are again."""

    @pytest.mark.parametrize(
        ("sent", "kind", "received"),
        [
            *parametrized,
            pytest.param(msgspec.json.encode(HELLO), Struct, HELLO, id="bytes->struct"),
            pytest.param(HELLO, Struct, HELLO, id="struct->struct"),
            pytest.param(HELLO, dict, {"r": "hello!"}, id="struct->dict"),
            pytest.param({"r": "hello!"}, Struct, HELLO, id="dict->struct"),
        ],
    )
    @pytest.mark.parametrize("real", [False, True], ids=["memory", "queue"])
    async def test_body_is_cast(self, sent, kind, received, real, queue, mock):
        broker = self.get_broker(apply_types=True, serializer=MsgSpecSerializer())

        @broker.subscriber(queue)
        async def handle(body: kind) -> None:
            mock(body)

        async with self.patch_broker(broker, with_real=real):
            await broker.publish(sent, queue)
            await handle.wait_call(timeout=5)
        mock.assert_called_with(received)


class TestPrometheusSettings(Real, LocalMetricsSettingsProviderTestcase):
    messaging_system = "aws_sqs"

    def get_middleware(self, **kwargs):
        return SQSPrometheusMiddleware(**kwargs)

    @staticmethod
    def get_settings_provider():
        return _Settings()


class TestPrometheus(Real, LocalPrometheusTestcase, LocalRPCPrometheusTestcase):
    def get_middleware(self, **kwargs):
        return SQSPrometheusMiddleware(**kwargs)

    def get_settings_provider(self):
        return _Settings()


class TestAsgi(AsgiTestcase):
    def get_broker(self):
        return SQSBroker(**SETTINGS)

    def get_test_broker(self, broker):
        return TestSQSBroker(broker)
