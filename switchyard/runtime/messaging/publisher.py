"""Publishing is a port: one Protocol, one EventBridge implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from faststream_sqs import EventBridgePublisher, PublishFailed
from switchyard.protocol.envelope import SOURCE_PREFIX, serialize_detail
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import Unavailable


class Publisher(Protocol):
    """Puts finished events on the bus."""

    async def publish(self, events: Sequence[Json]) -> None:
        """Return when the bus has accepted every event. Raises `Unavailable` if it did not; then publish all again."""


class BusPublisher:
    """The EventBridge implementation. Each event goes under its own producer's source and its own type."""

    def __init__(self, bus: EventBridgePublisher) -> None:
        self._bus = bus

    async def publish(self, events: Sequence[Json]) -> None:
        """See `Publisher.publish`. Raises `InvalidEvent` for an event over the size limit."""
        details = [serialize_detail(event) for event in events]  # all of them first: one that is too large sends none
        sends = (
            self._bus.publish(detail, source=SOURCE_PREFIX + event["node_from"], detail_type=event["type"])
            for event, detail in zip(events, details, strict=True)
        )
        for failure in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(failure, PublishFailed):
                raise Unavailable("publish_failed", f"the bus refused an event: {failure}") from failure
            if isinstance(failure, BaseException):
                raise failure
