"""Declares subscribers and publishers, for the broker and its routers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fast_depends.dependencies import Dependant
from faststream._internal.broker.registrator import Registrator
from faststream._internal.configs import PublisherSpecificationConfig, SubscriberSpecificationConfig
from faststream._internal.constants import EMPTY
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream._internal.parser import CodecProto
from faststream._internal.types import CustomCallable
from faststream.exceptions import SetupError
from faststream.middlewares import AckPolicy

from .batch_call import MAX_ENTRIES
from .config import (
    EventBridgePublisherConfig,
    SQSBrokerConfig,
    SQSPublisherConfig,
    SQSSubscriberConfig,
)
from .delivery import MAX_VISIBILITY
from .limits import MAX_WAIT_TIME
from .publisher import EventBridgePublisher, SQSPublisher
from .response import HeaderValue
from .retry import RetryPolicy
from .specification import EventBridgePublisherSpecification, SQSPublisherSpecification, SQSSubscriberSpecification
from .subscriber import QueueSubscriber, SQSBatchSubscriber, SQSSubscriber


class SQSRegistrator(Registrator[Any, SQSBrokerConfig]):
    """The common part of the broker and its routers."""

    def subscriber(  # type: ignore[override]
        self,
        queue: str,
        *,
        dead_letter_queue: str | None = None,
        concurrency: int = MAX_ENTRIES,
        wait_time: int = 10,
        visibility_timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        max_receives: int | None = None,
        detail_type: str | Iterable[str] | None = None,
        source: str | Iterable[str] | None = None,
        batch: bool = False,
        max_batch: int = 10,
        max_wait: float = 0.2,
        pollers: int = 1,
        ack_policy: AckPolicy = EMPTY,
        dependencies: Sequence[Dependant] = (),
        parser: CustomCallable | None = None,
        decoder: CustomCallable | None = None,
        codec: CodecProto | None = None,
        no_reply: bool = False,
        persistent: bool = True,
        title: str | None = None,
        description: str | None = None,
        include_in_schema: bool = True,
    ) -> QueueSubscriber:
        """Consume a queue.

        By default a message is deleted when its handler returns, and retried with back-off when it raises.

        Args:
            queue: the name of the queue, or the URL of another account's queue.
            dead_letter_queue: the queue to which `reject` moves messages, and to which messages go that the handler
                cannot take. It does not replace the redrive policy of the queue.
            concurrency: handler calls at a time. Messages are received only for free calls, so ten, the default, is the
                least that fills a request.
            wait_time: whole seconds of a long poll, at most 20. Stopping waits for the poll in flight.
            visibility_timeout: seconds for which a received message is hidden from others, renewed at each third of
                it while its handler runs; so it is also the delay after a crash.
            retry: the delays of retried messages; by default up to a second at first, up to a minute later.
            max_receives: move a message to `dead_letter_queue` that fails at this receipt, or was received more often
                because it ended its workers. A queue that `declare="create"` creates gets it as its redrive policy.
            detail_type: take only EventBridge events of these types, and reject other messages.
            source: take only EventBridge events of these sources, and reject other messages.
            batch: hand lists of messages to the handler. It may raise `BatchItemFailed` to retry only some. A message
                that the handler cannot take does not cost its neighbours: they are handed over in smaller lists.
            max_batch: maximum messages in a list.
            max_wait: seconds to gather a list for, counted from its first message; cut short by an empty poll.
            pollers: polls at a time. One brings at most ten messages a round trip.
            ack_policy: how a message is settled that the handler leaves unsettled.
            dependencies: run before each handler call.
            parser: replaces the way messages are parsed.
            decoder: replaces the way bodies are decoded.
            codec: decodes and encodes bodies, instead of `decoder`.
            no_reply: ignore the `reply_to` attribute of messages.
            persistent: keep the subscriber alive as long as the broker.
            title: for AsyncAPI.
            description: for AsyncAPI; the handler's docstring by default.
            include_in_schema: for AsyncAPI.

        Raises:
            SetupError: an option is out of its range.
        """
        _check(
            (
                concurrency >= 1 and pollers >= 1 and max_batch >= 1,
                "concurrency, pollers and max_batch must be at least 1",
            ),
            (0 <= wait_time <= MAX_WAIT_TIME, f"wait_time must be from 0 to {MAX_WAIT_TIME} seconds"),
            (
                1 <= visibility_timeout <= MAX_VISIBILITY,
                f"visibility_timeout must be 1 to {MAX_VISIBILITY} seconds",
            ),
            (max_wait >= 0, "max_wait must be at least 0 seconds"),
            (max_receives is None or 1 <= max_receives <= 1000, "max_receives must be from 1 to 1000"),
            (
                max_receives is None or dead_letter_queue is not None,
                "max_receives moves messages to the dead_letter_queue: name one",
            ),
        )
        config = SQSSubscriberConfig(
            _outer_config=self.config,  # type: ignore[arg-type] # a composition that answers like the config
            _ack_policy=ack_policy,
            no_reply=no_reply,
            queue=queue,
            dead_letter_queue=dead_letter_queue,
            concurrency=concurrency,
            pollers=pollers,
            wait_time=wait_time,
            visibility_timeout=visibility_timeout,
            retry=retry or RetryPolicy(),
            max_receives=max_receives,
            detail_types=_names(detail_type),
            sources=_names(source),
            max_batch=max_batch,
            max_wait=max_wait,
        )
        documentation = SubscriberSpecificationConfig(
            title_=title, description_=description, include_in_schema=include_in_schema
        )
        calls = CallsCollection[Any]()
        specification = SQSSubscriberSpecification(self.config, documentation, calls, config)  # type: ignore[arg-type]
        kind: type[QueueSubscriber] = SQSBatchSubscriber if batch else SQSSubscriber
        subscriber = kind(config, specification, calls)
        super().subscriber(subscriber, persistent=persistent)
        return subscriber.add_call(parser_=parser, decoder_=decoder, dependencies_=dependencies, codec_=codec)

    def publisher(  # type: ignore[override]
        self,
        queue: str,
        *,
        headers: Mapping[str, HeaderValue] | None = None,
        reply_to: str = "",
        delay: float = 0,
        group_id: str | None = None,
        persistent: bool = True,
        title: str | None = None,
        description: str | None = None,
        schema: Any | None = None,
        include_in_schema: bool = True,
    ) -> SQSPublisher:
        """Publish to a queue, with `publish` or as a decorator of handlers whose results are to be sent.

        Args:
            queue: the name of the queue, or the URL of another account's queue.
            headers: message attributes that every message gets.
            reply_to: the queue that the consumers' results are to be sent to.
            delay: seconds for which messages stay hidden, at most 900.
            group_id: the message group: required by a FIFO queue, and for fair queuing on a standard queue.
            persistent: keep the publisher alive as long as the broker.
            title: for AsyncAPI.
            description: for AsyncAPI.
            schema: for AsyncAPI, the type of the messages.
            include_in_schema: for AsyncAPI.
        """
        config = SQSPublisherConfig(
            _outer_config=self.config,  # type: ignore[arg-type]
            queue=queue,
            headers=dict(headers or {}),
            reply_to=reply_to,
            delay=delay,
            group_id=group_id,
        )
        documentation = PublisherSpecificationConfig(
            title_=title, description_=description, schema_=schema, include_in_schema=include_in_schema
        )
        specification = SQSPublisherSpecification(self.config, documentation, queue)  # type: ignore[arg-type]
        publisher = SQSPublisher(config, specification)
        super().publisher(publisher, persistent=persistent)
        return publisher

    def event_publisher(
        self,
        bus: str,
        *,
        source: str | None = None,
        detail_type: str | None = None,
        persistent: bool = True,
        title: str | None = None,
        description: str | None = None,
        schema: Any | None = None,
        include_in_schema: bool = True,
    ) -> EventBridgePublisher:
        """Publish to an event bus, with `publish` or as a decorator of handlers whose results are to be sent.

        Args:
            bus: the name or ARN of the event bus.
            source: the default source of events.
            detail_type: the default type of events.
            persistent: keep the publisher alive as long as the broker.
            title: for AsyncAPI.
            description: for AsyncAPI.
            schema: for AsyncAPI, the type of the detail.
            include_in_schema: for AsyncAPI.
        """
        config = EventBridgePublisherConfig(
            _outer_config=self.config,  # type: ignore[arg-type]
            bus=bus,
            source=source,
            detail_type=detail_type,
        )
        documentation = PublisherSpecificationConfig(
            title_=title, description_=description, schema_=schema, include_in_schema=include_in_schema
        )
        specification = EventBridgePublisherSpecification(self.config, documentation, config)  # type: ignore[arg-type]
        publisher = EventBridgePublisher(config, specification)
        super().publisher(publisher, persistent=persistent)
        return publisher


def _check(*rules: tuple[bool, str]) -> None:
    for holds, message in rules:
        if not holds:
            raise SetupError(message)


def _names(names: str | Iterable[str] | None) -> Collection[str] | None:
    if names is None:
        return None
    return frozenset({names} if isinstance(names, str) else names)
