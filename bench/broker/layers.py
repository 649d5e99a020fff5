"""The cost of one message at each layer above the AWS client, in one process and without any network."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from faststream_sqs import Credentials, RetryPolicy, SQSBroker
from faststream_sqs.delivery import SQSDelivery

from .contenders import EVENT_TEXT

_COUNT = 2_000
_REPEATS = 15


class InstantClient:
    """Answers like SQS, at once: hands out `left` messages, ten at a time, and takes them back."""

    def __init__(self) -> None:
        self.left = 0
        self.out = 0
        self.settled = asyncio.Event()

    async def get_queue_url(self, **_: Any) -> dict[str, str]:
        """There is one queue."""
        return {"QueueUrl": "queue"}

    async def receive_message(self, *, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803 - as AWS says
        """Some of what is left; waits when nothing is."""
        taken = min(MaxNumberOfMessages, self.left)
        await asyncio.sleep(0 if taken else 0.05)
        self.left -= taken
        self.out += taken
        return {"Messages": [_raw() for _ in range(taken)]}

    async def delete_message_batch(self, *, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """All of them are deleted."""
        await asyncio.sleep(0)
        self.out -= len(Entries)
        if not self.left and not self.out:
            self.settled.set()
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class _Offline(SQSBroker):
    """A broker whose clients never leave the process."""

    def __init__(self, client: InstantClient, **options: Any) -> None:
        super().__init__("us-east-1", credentials=Credentials("none", "none"), **options)
        self._client = client

    async def start(self) -> None:
        await self.connect()
        self.config.connection._clients = dict.fromkeys(("polling", "sending", "events"), self._client)
        await super().start()


async def measure_layers() -> dict[str, list[float]]:
    """The cost of each layer with those below it: CPU in microseconds per message, of each of several repeats.

    The layers take turns, so that what else the machine does slows those of one repeat alike.
    """
    async with AsyncExitStack() as stack:
        quiet, client = await _broker(stack)
        layers: dict[str, Callable[[], Awaitable[None]]] = {
            "our short way to the handler": lambda: _each(quiet._fast_path.process),
            "FastStream's process_message, direct call": lambda: _each(quiet.process_message),
            "all of it: poll, lease, handler, delete": lambda: _through(client),
        }
        costs: dict[str, list[float]] = {name: [] for name in layers}
        for _ in range(_REPEATS):
            for name, run in layers.items():
                gc.collect()
                before = time.process_time()
                await run()
                costs[name].append(round((time.process_time() - before) / _COUNT * 1e6, 1))
        return costs


async def _broker(stack: AsyncExitStack) -> tuple[Any, InstantClient]:
    client = InstantClient()
    broker = _Offline(client, graceful_timeout=5, logger=None)
    subscriber: Any = broker.subscriber("queue", wait_time=1)

    async def handle(body: dict[str, Any]) -> None:
        if body["seq"] != 4:
            raise RuntimeError("not the decoded detail")

    subscriber(handle)
    await broker.start()
    stack.push_async_callback(broker.stop)
    return subscriber, client


def _raw() -> Mapping[str, Any]:
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "1795250000000"}
    return {"MessageId": "id", "ReceiptHandle": "receipt", "Body": EVENT_TEXT, "Attributes": attributes}


def _delivery() -> SQSDelivery:
    nothing: Any = None
    return SQSDelivery(
        _raw(), queue="queue", settlement=nothing, retry=RetryPolicy(), release_lease=lambda delivery: None
    )


async def _each(process: Callable[[SQSDelivery], Awaitable[Any]]) -> None:
    for _ in range(_COUNT):
        await process(_delivery())


async def _through(client: InstantClient) -> None:
    client.settled.clear()
    client.left = _COUNT
    await client.settled.wait()
