"""Request and reply: one queue of replies per broker, read only while a reply is awaited."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from botocore.exceptions import BotoCoreError, ClientError
from faststream.exceptions import SetupError
from faststream.message import AckStatus

from .connection import Connection
from .delivery import SQSDelivery
from .encoding import CORRELATION_ID, read_headers
from .errors import PublishFailed, RequestFailed
from .limits import MAX_WAIT_TIME
from .queue_poll import RawMessage, messages_in, suppress_instrumentation
from .response import SQSPublishCommand
from .retry import RetryPolicy
from .settlement import Settlement

REPLY_QUEUE_PREFIX = "faststream-sqs-replies-"

_BACKOFF = RetryPolicy(base=0.2, cap=5.0)


class _Publish(Protocol):
    def __call__(self, cmd: SQSPublishCommand, /) -> Awaitable[str]: ...


class ReplyInbox:
    """Matches replies to requests by their correlation id. A reply to a request that has ended is deleted.

    Args:
        connection: the clients.
        queue: a queue that only this broker reads; None creates one at the first request, deleted at the end.
        create: whether queues may be created.
    """

    def __init__(self, connection: Connection, *, queue: str | None, create: bool) -> None:
        self._connection = connection
        self._queue = queue
        self._create = create
        self._url: asyncio.Task[str] | None = None
        self._pending: dict[str, asyncio.Future[RawMessage]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def request(self, cmd: SQSPublishCommand, publish: _Publish) -> SQSDelivery:
        """Publish a command and wait for its reply.

        Raises:
            TimeoutError: no reply came in time.
            SetupError: there is no queue for replies, and none may be created.
            PublishFailed: the request was not accepted, or another with its correlation id is pending.
        """
        async with asyncio.timeout(cmd.timeout):
            cmd.reply_to = await self._address()
            cmd.correlation_id = cmd.correlation_id or str(uuid.uuid4())
            if cmd.correlation_id in self._pending:
                message = "another request with this correlation_id is pending: give each its own"
                raise PublishFailed("DuplicateRequest", message, permanent=True)
            reply = self._pending[cmd.correlation_id] = asyncio.get_running_loop().create_future()
            try:
                await publish(cmd)
                if self._poller is None or self._poller.done():
                    self._poller = asyncio.ensure_future(self._poll(cmd.reply_to))
                return received_reply(await reply, cmd.reply_to)
            finally:
                del self._pending[cmd.correlation_id]

    async def close(self) -> None:
        """Give up pending requests, and delete the queue if it was created here."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait([self._poller])
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(PublishFailed("BrokerStopped", "the broker stopped before the reply came"))
        url, self._url = self._url, None
        if url is not None and not url.done():
            url.cancel()
        if url is not None and self._queue is None and url.done() and not url.cancelled() and not url.exception():
            with contextlib.suppress(ClientError, BotoCoreError):
                await self._connection.sending.delete_queue(QueueUrl=url.result())

    async def _address(self) -> str:
        if self._queue is None and not self._create:
            raise SetupError(
                "a request needs a queue for its reply: give the broker a reply_queue that no other process reads, "
                'or declare="create"'
            )
        if self._url is None or (self._url.done() and (self._url.cancelled() or self._url.exception())):
            self._url = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._url)

    async def _open(self) -> str:
        if self._queue is not None:
            await self._connection.require_queues([self._queue], "create" if self._create else "verify")
            return await self._connection.queue_url(self._queue)
        name = f"{REPLY_QUEUE_PREFIX}{uuid.uuid4()}"
        # An hour, so that a queue that a crash left behind holds nothing for long.
        await self._connection.create_queue(name, {"MessageRetentionPeriod": "3600"})
        return await self._connection.queue_url(name)

    async def _poll(self, url: str) -> None:
        failures = 0
        while self._pending:
            try:
                with suppress_instrumentation():
                    response = await self._connection.polling.receive_message(
                        QueueUrl=url,
                        MaxNumberOfMessages=10,
                        WaitTimeSeconds=MAX_WAIT_TIME,
                        MessageSystemAttributeNames=["All"],
                        MessageAttributeNames=["All"],
                    )
                found = messages_in(response)
            except (ClientError, BotoCoreError, RequestFailed):
                failures += 1
                await asyncio.sleep(_BACKOFF.delay(failures))
                continue
            failures = 0
            if found:
                self._deliver(found)
                await self._delete(url, found)

    def _deliver(self, found: list[RawMessage]) -> None:
        for raw in found:
            reply = self._pending.get(str(read_headers(raw).get(CORRELATION_ID)))
            if reply is not None and not reply.done():
                reply.set_result(raw)

    async def _delete(self, url: str, found: list[RawMessage]) -> None:
        entries = [{"Id": str(i), "ReceiptHandle": raw["ReceiptHandle"]} for i, raw in enumerate(found)]
        # One that stays is received again, after its request has ended.
        with contextlib.suppress(ClientError, BotoCoreError):
            await self._connection.sending.delete_message_batch(QueueUrl=url, Entries=entries)


def received_reply(raw: RawMessage, queue: str) -> SQSDelivery:
    """A reply as a delivery that needs no settlement."""
    delivery = SQSDelivery(
        raw,
        queue=queue,
        settlement=cast("Settlement", None),
        retry=RetryPolicy(),
        release_lease=_nothing,
    )
    delivery.status = AckStatus.ACKED
    return delivery


_nothing: Callable[[Any], None] = lambda _: None  # noqa: E731
