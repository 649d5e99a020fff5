"""Telling the case manager that an address may not be written to any more."""

from __future__ import annotations

import json

from faststream_sqs import EventBridgePublisher, PublishFailed
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.runtime.core.errors import Unavailable

EMAIL_FEEDBACK_SOURCE = "upstream.email_feedback"


class SuppressionPublisher:
    """Puts refusals on the bus as an upstream does."""

    def __init__(self, bus: EventBridgePublisher) -> None:
        self._bus = bus

    async def publish(self, refused: SuppressionRequested) -> None:
        """Return when the bus has accepted it. Raises `Unavailable` if it did not."""
        detail = json.dumps(refused.model_dump(mode="json", exclude_none=True))
        try:
            await self._bus.publish(detail, source=EMAIL_FEEDBACK_SOURCE, detail_type=SuppressionRequested.__name__)
        except PublishFailed as error:
            raise Unavailable("publish_failed", f"the bus refused an event: {error}") from error
