"""The yardstick: aiobotocore and nothing else, in batches of ten or one by one."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.session import get_session

from .contender import CLIENT_OPTIONS, ContenderQueues, CountingHandler, RequestCounter
from .payload import EVENT_TEXT


class BareLoop:
    """Receives, decodes, handles, deletes; no lease, no retry, no concurrency, no check but that all was accepted.

    Args:
        size: messages in a request.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stack = AsyncExitStack()

    def stored(self) -> str:
        """An event as EventBridge delivers it."""
        return EVENT_TEXT

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Begin to consume."""
        session = get_session()
        requests.watch(session)
        options = {**CLIENT_OPTIONS, "endpoint_url": site.endpoint}
        self._site = site
        self._sqs = await self._stack.enter_async_context(session.create_client("sqs", **options))
        self._events = await self._stack.enter_async_context(session.create_client("events", **options))
        self._urls = {site.queue: site.queue_url, site.sink: site.sink_url}
        self._loop = asyncio.create_task(self._consume(work) if self._size > 1 else self._consume_singly(work))

    async def stop(self) -> None:
        """Consume no more."""
        self._loop.cancel()
        await asyncio.wait([self._loop])
        await self._stack.aclose()

    async def _consume(self, work: CountingHandler) -> None:
        url = self._site.queue_url
        while True:
            answer = await self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=self._size, WaitTimeSeconds=10)
            entries = []
            for i, message in enumerate(answer.get("Messages", ())):
                await work.do(_detail(message))
                entries.append({"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]})
            if entries:
                settled = await self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                if settled.get("Failed"):
                    raise RuntimeError(f"not deleted: {settled['Failed']}")

    async def _consume_singly(self, work: CountingHandler) -> None:
        url = self._site.queue_url
        while True:
            answer = await self._sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)
            for message in answer.get("Messages", ()):
                await work.do(_detail(message))
                await self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send to a queue."""
        url = self._urls[queue]
        if self._size == 1:
            for detail in details:
                await self._sqs.send_message(QueueUrl=url, MessageBody=json.dumps(detail))
            return
        for some in _parts(details, self._size):
            entries = [{"Id": str(i), "MessageBody": json.dumps(detail)} for i, detail in enumerate(some)]
            sent = await self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
            if sent.get("Failed"):
                raise RuntimeError(f"not sent: {sent['Failed']}")

    async def publish_events(self, details: Sequence[Any]) -> None:
        """Put events on the bus."""
        for some in _parts(details, self._size):
            entries = [
                {
                    "EventBusName": self._site.bus,
                    "Source": "switchyard.text_to_sql",
                    "DetailType": "FindingsReady",
                    "Detail": json.dumps(detail),
                }
                for detail in some
            ]
            put = await self._events.put_events(Entries=entries)
            if put["FailedEntryCount"]:
                raise RuntimeError(f"not put: {put}")


def _detail(message: dict[str, Any]) -> Any:
    event = json.loads(message["Body"])
    return event.get("detail", event)  # what `publish` sends has no envelope


def _parts(details: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(details), size):
        yield details[start : start + size]
