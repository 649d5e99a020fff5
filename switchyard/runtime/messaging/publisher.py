"""Publishing is a port: one Protocol, one EventBridge implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from faststream_sqs import EventBridgePublisher, PublishFailed
from switchyard.protocol.envelope import SOURCE_PREFIX, serialize_detail
from switchyard.protocol.errors import InvalidEvent, RejectionReason
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import Unavailable

_FAULTS_OF_THE_EVENT = frozenset({"EventTooLong", "InvalidArgument", "MalformedDetail", "RedactionFailure"})
"""Codes of permanent refusals that are about the event itself, and not about this process's rights."""


class Publisher(Protocol):
    """Puts finished events on the bus."""

    async def publish(self, events: Sequence[Json]) -> None:
        """Return when the bus has accepted every event. Raises `Unavailable` if it did not; then publish all again.
        Raises `InvalidEvent` for one that the bus never accepts, once all others are accepted."""


class BusPublisher:
    """The EventBridge implementation. Each event goes under its own producer's source and its own type."""

    def __init__(self, bus: EventBridgePublisher) -> None:
        self._bus = bus

    async def publish(self, events: Sequence[Json]) -> None:
        """See `Publisher.publish`. An event over the size limit sends none."""
        details = [serialize_detail(event) for event in events]  # all of them first: one that is too large sends none
        sends = (
            self._bus.publish(detail, source=SOURCE_PREFIX + event["node_from"], detail_type=event["type"])
            for event, detail in zip(events, details, strict=True)
        )
        never: PublishFailed | None = None
        for failure in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(failure, PublishFailed) and failure.permanent and failure.code in _FAULTS_OF_THE_EVENT:
                never = failure
            elif isinstance(failure, PublishFailed):
                raise Unavailable("publish_failed", f"the bus refused an event: {failure}") from failure
            elif isinstance(failure, BaseException):
                raise failure
        if never is not None:
            raise InvalidEvent(RejectionReason.INVALID, f"the bus never accepts an event: {never.code}") from never
