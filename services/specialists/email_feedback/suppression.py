"""Publishes suppression requests to the case manager."""

from __future__ import annotations

import json

from contracts.events.upstream import EMAIL_FEEDBACK_SOURCE
from faststream_sqs import EventBridgePublisher, PublishFailed
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.runtime.core.errors import Unavailable


class SuppressionPublisher:
    """Puts suppression requests on the bus, as an upstream."""

    def __init__(self, bus: EventBridgePublisher) -> None:
        self._bus = bus

    async def publish(self, request: SuppressionRequested) -> None:
        """Return when the bus has accepted the event. Raises `Unavailable` otherwise."""
        detail = json.dumps(request.model_dump(mode="json", exclude_none=True))
        try:
            await self._bus.publish(detail, source=EMAIL_FEEDBACK_SOURCE, detail_type=SuppressionRequested.__name__)
        except PublishFailed as error:
            raise Unavailable("publish_failed", f"the bus refused an event: {error}") from error
