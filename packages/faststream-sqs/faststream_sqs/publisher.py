"""Publishes to queues and event buses."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from faststream._internal.endpoint.publisher import PublisherUsecase
from faststream._internal.endpoint.publisher.fake import FakePublisher
from faststream._internal.types import PublisherMiddleware
from faststream.exceptions import FeatureNotSupportedException, SetupError
from faststream.response import PublishCommand, PublishType

from .batch_call import from_error
from .config import EventBridgePublisherConfig, SQSBrokerConfig, SQSPublisherConfig
from .errors import QueueMissing, RequestFailed
from .fast_path import SQSHandlerCallWrapper
from .limits import is_fifo
from .message import SQSMessage
from .producer import SQSProducer
from .response import EventPublishCommand, HeaderValue, SQSPublishCommand
from .specification import EventBridgePublisherSpecification, SQSPublisherSpecification


class SQSPublisher(PublisherUsecase):
    """Publishes to one queue: called directly, or as a decorator of handlers whose result it sends."""

    _outer_config: SQSBrokerConfig
    _call_wrapper_class = SQSHandlerCallWrapper

    def __init__(self, config: SQSPublisherConfig, specification: SQSPublisherSpecification) -> None:
        super().__init__(config, specification)  # type: ignore[arg-type] # generic in its config
        self._config = config

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return f"{self._outer_config.prefix}{self._config.queue}"

    async def publish(
        self,
        message: Any = None,
        queue: str = "",
        *,
        headers: Mapping[str, HeaderValue] | None = None,
        delay: float | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str = "",
    ) -> str:
        """Send one message, to another queue if one is named; see `SQSBroker.publish`."""
        cmd = SQSPublishCommand(
            message,
            destination=queue,
            headers=dict(headers or {}),
            correlation_id=correlation_id or self._outer_config.id_generator(),
            reply_to=reply_to,
            delay=self._config.delay if delay is None else delay,
            group_id=group_id,
            deduplication_id=deduplication_id,
            _publish_type=PublishType.PUBLISH,
        )
        return await self._send(cmd, ())

    async def _publish(self, cmd: PublishCommand, *, _extra_middlewares: Iterable[PublisherMiddleware]) -> None:
        if cmd.body is not None:  # a handler that returns nothing publishes nothing
            await self._send(cmd, _extra_middlewares)

    async def _send(self, cmd: PublishCommand, middlewares: Iterable[PublisherMiddleware]) -> str:
        sent: str = await self._basic_publish(
            self._addressed(cmd), producer=self._outer_config.producer, _extra_middlewares=middlewares
        )
        return sent

    def _addressed(self, cmd: PublishCommand) -> SQSPublishCommand:
        cmd = SQSPublishCommand.from_cmd(cmd)
        cmd.destination = cmd.destination or self.queue
        cmd.add_headers(self._config.headers, override=False)
        cmd.delay = cmd.delay or self._config.delay
        cmd.group_id = cmd.group_id or self._config.group_id
        cmd.reply_to = cmd.reply_to or self._config.reply_to
        return cmd

    async def request(
        self,
        message: Any,
        queue: str = "",
        *,
        headers: Mapping[str, HeaderValue] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        correlation_id: str | None = None,
        timeout: float | None = 30.0,  # noqa: ASYNC109 - FastStream's signature
    ) -> SQSMessage:
        """Send one message and wait for its reply; see `SQSBroker.request`."""
        cmd = SQSPublishCommand(
            message,
            destination=queue,
            headers=dict(headers or {}),
            correlation_id=correlation_id or self._outer_config.id_generator(),
            group_id=group_id,
            deduplication_id=deduplication_id,
            timeout=timeout,
            _publish_type=PublishType.REQUEST,
        )
        reply: SQSMessage = await self._basic_request(self._addressed(cmd), producer=self._outer_config.producer)
        return reply


class EventBridgePublisher(PublisherUsecase):
    """Publishes to one event bus: called directly, or as a decorator of handlers whose result it sends."""

    _outer_config: SQSBrokerConfig
    _call_wrapper_class = SQSHandlerCallWrapper

    def __init__(self, config: EventBridgePublisherConfig, specification: EventBridgePublisherSpecification) -> None:
        super().__init__(config, specification)  # type: ignore[arg-type] # generic in its config
        self._config = config

    @property
    def bus(self) -> str:
        """The name or ARN of the event bus."""
        return self._config.bus

    def publishes(self, cmd: EventPublishCommand) -> bool:
        """Whether an event has this publisher's bus, and its source and type if it has defaults."""
        return (
            cmd.destination == self.bus
            and self._config.source in (None, cmd.source)
            and self._config.detail_type in (None, cmd.detail_type)
        )

    async def publish(  # type: ignore[override] # an event has no correlation id of its own
        self,
        detail: str | Mapping[str, Any] | Any,
        /,
        *,
        source: str | None = None,
        detail_type: str | None = None,
        resources: Sequence[str] = (),
        trace_header: str | None = None,
        time: datetime | None = None,
    ) -> str:
        """Publish one event and return the id that EventBridge assigned.

        Events published at the same time share requests. If a request is accepted in part, only the failed entries are
        sent again, with growing delays.

        Args:
            detail: the content. Text is sent verbatim and must be a JSON object; anything else is encoded.
            source: the publisher; the default of this publisher if None.
            detail_type: the type of the event; the default of this publisher if None.
            resources: ARNs that the event concerns.
            trace_header: an X-Ray trace header.
            time: the time of the event; None takes EventBridge's.

        Raises:
            BusMissing: the bus does not exist.
            PublishFailed: the event was rejected, or not accepted until its resends ran out.
            SetupError: source or detail type is missing, with neither an argument nor a default.
        """
        cmd = self._command(
            detail,
            source=source,
            detail_type=detail_type,
            resources=resources,
            trace_header=trace_header,
            time=time,
        )
        return await self._send(cmd, ())

    async def _publish(self, cmd: PublishCommand, *, _extra_middlewares: Iterable[PublisherMiddleware]) -> None:
        if cmd.body is None:  # the handler returned nothing
            return
        if not isinstance(cmd, EventPublishCommand):
            headers, correlation_id = cmd.headers, cmd.correlation_id
            cmd = self._command(cmd.body, headers=headers, correlation_id=correlation_id)
        await self._send(cmd, _extra_middlewares)

    async def _send(self, cmd: EventPublishCommand, middlewares: Iterable[PublisherMiddleware]) -> str:
        event_id: str = await self._basic_publish(
            cmd, producer=self._outer_config.event_producer, _extra_middlewares=middlewares
        )
        return event_id

    def _command(
        self,
        detail: Any,
        *,
        source: str | None = None,
        detail_type: str | None = None,
        **options: Any,
    ) -> EventPublishCommand:
        source = source or self._config.source
        detail_type = detail_type or self._config.detail_type
        if not source or not detail_type:
            raise SetupError("An event needs a source and a detail type: pass them, or set them on the publisher.")
        return EventPublishCommand(detail, bus=self.bus, source=source, detail_type=detail_type, **options)

    async def request(self, message: Any, /, *, correlation_id: str | None = None) -> Any:
        """Not supported: an event has no reply."""
        raise FeatureNotSupportedException("EventBridge has no request and reply")


class SQSReplyPublisher(FakePublisher):
    """Sends a handler's result to the queue named by the message's `reply_to` attribute."""

    def __init__(self, producer: SQSProducer, queue: str, log: Callable[[int, str], None]) -> None:
        super().__init__(producer=producer)
        self._queue = queue
        self._log = log

    def patch_command(self, cmd: PublishCommand) -> SQSPublishCommand:
        """Address the reply."""
        reply = SQSPublishCommand.from_cmd(super().patch_command(cmd))
        reply.destination = self._queue
        if is_fifo(self._queue):
            reply.group_id = reply.group_id or reply.correlation_id
        return reply

    async def _publish(self, cmd: PublishCommand, *, _extra_middlewares: Iterable[PublisherMiddleware]) -> Any:
        """Send the reply. If it can never arrive, say so: running the handler again would not help."""
        try:
            return await super()._publish(cmd, _extra_middlewares=_extra_middlewares)
        except (QueueMissing, RequestFailed) as error:
            # SQS may refuse the name of the queue, too.
            failed = from_error(error.__cause__) if isinstance(error.__cause__, ClientError) else error
            if isinstance(failed, RequestFailed) and not failed.permanent:
                raise
            self._log(logging.ERROR, f"the reply to `{self._queue}` is given up: {error}")
            return None
