"""Long polls of one queue."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeAlias

from .errors import RequestFailed

try:
    from opentelemetry.instrumentation.utils import suppress_instrumentation
except ImportError:  # without it there is no instrumentation to suppress
    suppress_instrumentation = nullcontext  # type: ignore[assignment]

__all__ = ("RawMessage", "Receiver", "messages_in", "suppress_instrumentation")

RawMessage: TypeAlias = dict[str, Any]

_SYSTEM_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId", "AWSTraceHeader"]


class Receiver:
    """Long polls of one queue, never cut short: a message received by an abandoned poll would be stranded.

    Args:
        client: the SQS client to use.
        url: the URL of the queue.
        visibility: seconds for which received messages are hidden from others.
        release: releases messages whose caller was cancelled.
    """

    def __init__(
        self,
        client: Any,
        *,
        url: str,
        visibility: int,
        release: Callable[[list[RawMessage]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._url = url
        self._visibility = visibility
        self._release = release
        self._orphans: set[asyncio.Task[None]] = set()

    async def receive(self, limit: int, wait: int) -> list[RawMessage]:
        """Wait up to `wait` seconds for up to `limit` messages.

        A cancelled caller returns at once; the poll goes on, and its messages are released.

        Raises:
            ClientError: SQS rejected the poll.
            BotoCoreError: SQS is unreachable.
            RequestFailed: the answer is not one of SQS.
        """
        # Spans of polls, most of them empty, would hide those of messages. The task keeps this context.
        with suppress_instrumentation():
            poll = asyncio.ensure_future(
                self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=limit,
                    WaitTimeSeconds=wait,
                    VisibilityTimeout=self._visibility,
                    MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
                    MessageAttributeNames=["All"],
                )
            )
        try:
            response = await asyncio.shield(poll)
        except asyncio.CancelledError:
            orphan = asyncio.ensure_future(self._adopt(poll))
            self._orphans.add(orphan)
            orphan.add_done_callback(self._orphans.discard)
            raise
        return messages_in(response)

    async def close(self) -> None:
        """Wait for the polls whose callers were cancelled."""
        if self._orphans:
            await asyncio.wait(self._orphans)

    async def _adopt(self, poll: "asyncio.Future[Any]") -> None:
        try:
            response = await poll
            messages = messages_in(response)
        except Exception:  # noqa: BLE001 - nothing was received
            return
        if messages:
            await self._release(messages)


def messages_in(response: Mapping[str, Any]) -> list[RawMessage]:
    """The messages of an answer. A proxy's page with status 200 has none, but is no sign of an empty queue.

    Raises:
        RequestFailed: the answer is not one of SQS.
    """
    content_type = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "json")
    if "json" not in content_type and "xml" not in content_type:
        raise RequestFailed("NotAnAnswer", "the answer to ReceiveMessage is not one of SQS")
    found = response.get("Messages") or []
    return [raw for raw in found if {"MessageId", "ReceiptHandle", "Body"} <= raw.keys()]
