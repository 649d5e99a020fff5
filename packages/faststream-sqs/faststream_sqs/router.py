"""Routers: subscribers and publishers declared apart from the broker."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from fast_depends.dependencies import Dependant
from faststream._internal.broker.router import ArgsContainer, BrokerRouter, SubscriberRoute
from faststream._internal.constants import EMPTY
from faststream._internal.types import BrokerMiddleware, CustomCallable
from faststream.middlewares import AckPolicy

from .config import SQSRouterConfig
from .registrator import SQSRegistrator


class SQSRoutePublisher(ArgsContainer):
    """A publisher of an `SQSRoute`; its arguments are those of `SQSRegistrator.publisher`."""

    def __init__(self, queue: str, **options: Any) -> None:
        super().__init__(queue, **options)


class SQSRoute(SubscriberRoute):
    """A handler to be registered later; its options are those of `SQSRegistrator.subscriber`."""

    def __init__(
        self,
        call: Callable[..., Any] | Callable[..., Awaitable[Any]],
        queue: str,
        *,
        publishers: Iterable[SQSRoutePublisher] = (),
        **options: Any,
    ) -> None:
        super().__init__(call, queue, publishers=publishers, **options)


class SQSRouter(SQSRegistrator, BrokerRouter[Any, SQSRouterConfig]):
    """Subscribers and publishers to be included in a broker.

    Args:
        prefix: put in front of the names of all queues.
        handlers: routes to register.
        dependencies: run before each handler call.
        middlewares: around each message.
        routers: routers to include in this one.
        parser: replaces the way messages are parsed.
        decoder: replaces the way bodies are decoded.
        include_in_schema: for AsyncAPI.
        ack_policy: how a message is settled that the handler leaves unsettled.
    """

    def __init__(
        self,
        prefix: str = "",
        handlers: Iterable[SQSRoute] = (),
        *,
        dependencies: Sequence[Dependant] = (),
        middlewares: Sequence[BrokerMiddleware[Any, Any]] = (),
        routers: Iterable[SQSRegistrator] = (),
        parser: CustomCallable | None = None,
        decoder: CustomCallable | None = None,
        include_in_schema: bool | None = None,
        ack_policy: AckPolicy = EMPTY,
    ) -> None:
        super().__init__(
            handlers=handlers,
            config=SQSRouterConfig(
                prefix=prefix,
                ack_policy=ack_policy,
                broker_dependencies=dependencies,
                broker_middlewares=middlewares,
                broker_parser=parser,
                broker_decoder=decoder,
                include_in_schema=include_in_schema,
            ),
            routers=routers,
        )
