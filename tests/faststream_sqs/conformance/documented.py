# mypy: ignore-errors
"""The names that FastStream's documentation and its tests of the command use, for `SQSBroker`.

`__main__.py` copies this file into a checkout of FastStream and puts it where another broker was imported. Where that
broker has several kinds of address, SQS has the queue.
"""

import sys
from types import ModuleType

from fastapi.datastructures import Default
from faststream import TestApp
from faststream._internal.fastapi.context import Context, ContextRepo, Logger
from faststream._internal.fastapi.router import StreamRouter

from faststream_sqs import (
    SQSBroker,
    SQSDelivery,
    SQSRoute,
    SQSRoutePublisher,
    SQSRouter,
    TestSQSBroker,
    annotations,
    message,
)

__all__ = ("Context", "ContextRepo", "Logger", "TestApp")

ADDRESSES = ("channel", "list", "stream")


class StreamSub(str):
    """An address with options that SQS does not have: groups and consumers."""

    def __new__(cls, queue, *, batch=False, **_):
        address = super().__new__(cls, queue)
        address.batch = batch
        return address


ListSub = StreamSub


def addressed(queue, options):
    for kind in ADDRESSES:
        queue = options.pop(kind, None) or queue
    if getattr(queue, "batch", False):
        options["batch"] = True
    return queue


class Addresses:
    def subscriber(self, queue="", **options):
        queue = addressed(queue, options)
        return super().subscriber(str(queue), **{"wait_time": 1, **options})

    def publisher(self, queue="", **options):
        return super().publisher(str(addressed(queue, options)), **options)


class RedisBroker(Addresses, SQSBroker):
    def __init__(self, url="", **options):
        super().__init__("us-east-1", **{"declare": "create", **options})

    async def publish(self, message=None, queue="", **options):
        return await super().publish(message, addressed(queue, options), **options)

    async def publish_batch(self, *messages, queue="", **options):
        return await super().publish_batch(*messages, queue=addressed(queue, options), **options)

    async def request(self, message=None, queue="", **options):
        return await super().request(message, addressed(queue, options), **options)


class RedisRouter(Addresses, SQSRouter): ...


class FastAPIRouter(StreamRouter):
    """FastStream's router for FastAPI, as each of its own brokers completes it."""

    broker_class = RedisBroker

    def __init__(self, url="", *, context=None, **options):
        super().__init__(url, context=context, **options)

    def subscriber(self, queue, *, dependencies=(), **options):
        defaults = {
            "response_model": Default(None),
            "response_model_include": None,
            "response_model_exclude": None,
            "response_model_by_alias": True,
            "response_model_exclude_unset": False,
            "response_model_exclude_defaults": False,
            "response_model_exclude_none": False,
        }
        return super().subscriber(queue, dependencies=dependencies, **{**defaults, **options})

    def publisher(self, queue, **options):
        return self.broker.publisher(queue, **options)


def module(name, **names):
    """A module of this one, which is no package."""
    found = ModuleType(f"{__name__}.{name}")
    vars(found).update(names)
    sys.modules[found.__name__] = found
    return found


RabbitBroker = NatsBroker = KafkaBroker = RedisBroker
TestRedisBroker = TestRabbitBroker = TestNatsBroker = TestKafkaBroker = TestSQSBroker
TestSQSBroker.__test__ = False
RedisMessage = RedisStreamMessage = annotations.SQSMessage
RedisRoute, RedisPublisher, PubSubMessage = SQSRoute, SQSRoutePublisher, SQSDelivery
fastapi = module("fastapi", RedisRouter=FastAPIRouter, Context=Context, ContextRepo=ContextRepo, Logger=Logger)
module("message", RedisMessage=message.SQSMessage, PubSubMessage=SQSDelivery)
module(
    "annotations",
    ContextRepo=annotations.ContextRepo,
    Logger=annotations.Logger,
    RedisMessage=annotations.SQSMessage,
    RedisBroker=annotations.SQSBroker,
)
