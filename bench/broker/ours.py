"""faststream_sqs with its default settings."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiobotocore.session import get_session

from faststream_sqs import Credentials, SQSBroker

from .contender import BENCH_REGION, ContenderQueues, CountingHandler, RequestCounter
from .payload import EVENT_TEXT


class FastStreamSQS:
    """A handler that declares the type of its body, which pydantic then checks, and two publishers."""

    def stored(self) -> str:
        """An event as EventBridge delivers it."""
        return EVENT_TEXT

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Begin to consume."""
        session = get_session()
        requests.watch(session)
        credentials = Credentials("bench", "bench")
        self._broker = SQSBroker(BENCH_REGION, endpoint_url=site.endpoint, credentials=credentials, session=session)
        self._events = self._broker.event_publisher(
            site.bus, source="switchyard.text_to_sql", detail_type="FindingsReady"
        )

        @self._broker.subscriber(site.queue)
        async def handle(body: dict[str, Any]) -> None:
            await work.do(body)

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
