"""faststream_sqs with its default settings."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiobotocore.session import get_session

from faststream_sqs import Credentials, SQSBroker

from .contender import REGION, Requests, Site, Work
from .payload import EVENT_TEXT


class FastStreamSQS:
    """A handler that takes the decoded body, and two publishers.

    Args:
        typed: whether the handler declares the type of its body, which pydantic then checks.
        options: settings of the subscriber other than the defaults.
    """

    def __init__(self, *, typed: bool = True, **options: Any) -> None:
        self._typed = typed
        self._options = options

    def stored(self) -> str:
        """An event as EventBridge delivers it."""
        return EVENT_TEXT

    async def start(self, site: Site, work: Work, requests: Requests) -> None:
        """Begin to consume."""
        session = get_session()
        requests.watch(session)
        credentials = Credentials("bench", "bench")
        self._broker = SQSBroker(REGION, endpoint_url=site.endpoint, credentials=credentials, session=session)
        self._events = self._broker.event_publisher(
            site.bus, source="switchyard.text_to_sql", detail_type="FindingsReady"
        )
        subscriber = self._broker.subscriber(site.queue, **self._options)

        async def handle(body: dict[str, Any]) -> None:
            await work.do(body)

        async def handle_anything(body: Any) -> None:
            await work.do(body)

        subscriber(handle if self._typed else handle_anything)
        await self._broker.start()

    async def stop(self) -> None:
        """Consume no more."""
        await self._broker.stop()

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send to a queue."""
        await self._broker.publish_batch(*details, queue=queue)

    async def publish_events(self, details: Sequence[Any]) -> None:
        """Put events on the bus."""
        await asyncio.gather(*(self._events.publish(detail) for detail in details))
