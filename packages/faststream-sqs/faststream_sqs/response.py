"""Publish commands, before encoding."""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any, TypeAlias

from faststream.response import BatchPublishCommand, PublishCommand, PublishType, Response

HeaderValue: TypeAlias = str | int | float | bytes | bool | list[Any] | dict[str, Any]
"""A message attribute: text, a number or bytes; true, false, lists and dicts travel as JSON."""


class SQSResponse(Response):
    """A handler's result with publish options.

    Args:
        body: the message.
        headers: message attributes, at most ten.
        correlation_id: ties messages of one conversation together.
        delay: seconds during which the message stays hidden, at most 900.
        group_id: the message group: required by a FIFO queue, and for fair queuing on a standard queue.
        deduplication_id: see `SQSBroker.publish`.
    """

    def __init__(
        self,
        body: Any,
        *,
        headers: dict[str, Any] | None = None,
        correlation_id: str | None = None,
        delay: float = 0,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> None:
        super().__init__(body, headers=headers, correlation_id=correlation_id)
        self.delay = delay
        self.group_id = group_id
        self.deduplication_id = deduplication_id

    def as_publish_command(self) -> "SQSPublishCommand":
        """The command that publishes this; its destination is set by the publisher."""
        return SQSPublishCommand(
            self.body,
            headers=self.headers,
            correlation_id=self.correlation_id,
            delay=self.delay,
            group_id=self.group_id,
            deduplication_id=self.deduplication_id,
            _publish_type=PublishType.PUBLISH,
        )


class SQSPublishCommand(BatchPublishCommand):
    """Messages for one queue, its `destination`.

    Args:
        body: the message.
        bodies: more messages, for `publish_batch`.
        destination: the name of the queue, or its URL.
        headers: message attributes, at most ten.
        correlation_id: ties messages of one conversation together.
        reply_to: the queue that the consumer's result is to be sent to.
        delay: seconds during which the message stays hidden, at most 900.
        group_id: the message group: required by a FIFO queue, and for fair queuing on a standard queue.
        deduplication_id: see `SQSBroker.publish`.
        trace_header: an X-Ray trace header.
        timeout: seconds to wait for the reply to a request.
    """

    def __init__(
        self,
        body: Any,
        /,
        *bodies: Any,
        _publish_type: PublishType,
        destination: str = "",
        headers: dict[str, Any] | None = None,
        correlation_id: str | None = None,
        reply_to: str = "",
        delay: float = 0,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        trace_header: str | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(
            body,
            *bodies,
            _publish_type=_publish_type,
            destination=destination,
            headers=headers,
            correlation_id=correlation_id,
            reply_to=reply_to,
        )
        self.delay = delay
        self.group_id = group_id
        self.deduplication_id = deduplication_id
        self.trace_header = trace_header
        self.timeout = timeout

    @property
    def bodies(self) -> tuple[Any, ...]:
        """All messages. `batch_bodies` leaves out None, which SQS carries as an empty message."""
        return (self.body, *self.extra_bodies)

    def with_body(self, body: Any) -> "SQSPublishCommand":
        """The same command for one message."""
        single = copy(self)
        single.body, single.extra_bodies = body, ()
        return single

    @classmethod
    def from_cmd(cls, cmd: PublishCommand, *, batch: bool = False) -> "SQSPublishCommand":
        """The same command with the options of SQS."""
        if isinstance(cmd, SQSPublishCommand):
            return cmd
        body, extra_bodies = cls._parse_bodies(cmd.body, batch=batch)
        return cls(
            body,
            *extra_bodies,
            _publish_type=cmd.publish_type,
            destination=cmd.destination,
            headers=cmd.headers,
            correlation_id=cmd.correlation_id,
            reply_to=cmd.reply_to,
        )


class EventPublishCommand(PublishCommand):
    """An event for one bus, its `destination`.

    Args:
        body: the detail; text is sent verbatim, anything else as JSON.
        bus: the name or ARN of the event bus.
        source: the publisher.
        detail_type: the type of the event.
        resources: ARNs that the event concerns.
        trace_header: an X-Ray trace header.
        time: the time of the event; None takes EventBridge's.
    """

    def __init__(
        self,
        body: str | Mapping[str, Any] | Any,
        *,
        bus: str,
        source: str,
        detail_type: str,
        resources: Sequence[str] = (),
        trace_header: str | None = None,
        time: datetime | None = None,
        headers: dict[str, Any] | None = None,
        correlation_id: str | None = None,
        _publish_type: PublishType = PublishType.PUBLISH,
    ) -> None:
        super().__init__(
            body,
            destination=bus,
            headers=headers,
            correlation_id=correlation_id,
            _publish_type=_publish_type,
        )
        self.source = source
        self.detail_type = detail_type
        self.resources = resources
        self.trace_header = trace_header
        self.time = time
