"""Sends messages to SQS and events to EventBridge."""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias, TypeVar

from fast_depends.library.serializer import SerializerProto
from faststream._internal.configs import BrokerConfig
from faststream._internal.endpoint.utils import ParserComposition
from faststream._internal.parser import BatchCodecProto, CodecProto, DefaultCodec
from faststream._internal.producer import ProducerProto
from faststream._internal.types import AsyncCallable
from faststream.exceptions import FeatureNotSupportedException, IncorrectState, SetupError
from faststream.response import PublishCommand

from .batch_call import BatchCall, Results, from_error, sqs_results
from .claim_check import ClaimStore, is_claim
from .connection import Connection
from .delivery import SQSDelivery
from .encoding import BODY_ENCODING, CONTENT_TYPE, CORRELATION_ID, REPLY_TO, VERBATIM, write_body, write_header
from .errors import PublishFailed, RequestFailed
from .limits import MAX_SQS_REQUEST_BYTES, check_entry, is_fifo, weigh
from .parser import SQSParser
from .replies import ReplyInbox
from .response import EventPublishCommand, SQSPublishCommand

MAX_EVENT_BYTES = 1_000_000
"""Bytes of one request, and so of one event (EventBridge, since January 2026: 1 MB)."""

# Codes of PutEvents for an entry that is never accepted (API reference, PutEventsResultEntry).
_PERMANENT = frozenset(
    {
        "InvalidAccountIdException",
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
        "RedactionFailure",
    }
)

Entry: TypeAlias = tuple[dict[str, Any], int]
"""An entry of a batch request, and its weight in bytes."""

C = TypeVar("C", bound=PublishCommand, contravariant=True)


class _BatchingProducer(ProducerProto[C]):
    """Encodes messages; its publishes are coalesced into batch requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._serializer: SerializerProto | None = None
        self.codec: CodecProto = DefaultCodec()
        parser = SQSParser()
        self._parser: AsyncCallable = parser.parse_message
        self._decoder: AsyncCallable = parser.decode_message

    def connect(self, config: BrokerConfig) -> None:
        """Take the encoder, and for replies the parser and decoder, from the settings of the broker."""
        self._serializer = config.fd_config._serializer
        self.codec = config.broker_codec or DefaultCodec()
        default = SQSParser()
        self._parser = ParserComposition(config.broker_parser, default.parse_message)
        decoder = ParserComposition(config.broker_decoder, default.decode_message)
        self._decoder = config.broker_codec.decode if config.broker_codec else decoder

    async def publish_batch(self, cmd: C) -> Any:
        """Not supported: events are batched already."""
        raise FeatureNotSupportedException("single events are batched already")

    async def request(self, cmd: C) -> Any:
        """Not supported: an event has no reply."""
        raise FeatureNotSupportedException("EventBridge has no request and reply")


class SQSProducer(_BatchingProducer[SQSPublishCommand]):
    """Sends messages in batches, one stream of requests per queue."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._queues: dict[str, BatchCall[Entry, str]] = {}
        self.replies: ReplyInbox | None = None
        self.claims: ClaimStore | None = None

    async def disconnect(self) -> None:
        """Send pending messages, and give up pending requests."""
        if self.replies is not None:
            await self.replies.close()
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            await queue.close()

    async def publish(self, cmd: SQSPublishCommand) -> str:
        """Send one message and return its SQS message id.

        Raises:
            QueueMissing: the queue does not exist.
            PublishFailed: the message was not accepted.
        """
        return await self._send(cmd.destination, await self.encode(cmd))

    async def publish_batch(self, cmd: SQSPublishCommand) -> list[str]:
        """Send the messages of one command and return their SQS message ids; see `publish` for the errors.

        On a FIFO queue one after the other, because a resent message would fall behind its successors.
        """
        entries = await self.encode_batch(cmd)
        if is_fifo(cmd.destination):
            return [await self._send(cmd.destination, entry) for entry in entries]
        return list(await asyncio.gather(*(self._send(cmd.destination, entry) for entry in entries)))

    async def request(self, cmd: SQSPublishCommand) -> SQSDelivery:
        """Send one message and wait for its reply.

        Raises:
            TimeoutError: no reply came within the command's timeout.
            SetupError: there is no queue for replies.
        """
        if self.replies is None:
            raise PublishFailed("NotConnected", "connect the broker before publishing")
        delivery = await self.replies.request(cmd, self.publish)
        if self.claims is not None and is_claim(delivery.raw):
            delivery.payload = await self.claims.fetch(delivery.raw)
        return delivery

    async def copy(self, queue: str, raw: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Send a received message with other attributes."""
        entry = copy_entry(queue, raw, attributes)
        await self._send(queue, (entry, weigh(entry)))

    async def _send(self, queue: str, entry: Entry) -> str:
        return await self._queue(await _found(self._connection.queue_url(queue))).send(entry)

    def _queue(self, url: str) -> BatchCall[Entry, str]:
        if url not in self._queues:

            async def request(entries: list[Entry]) -> Results[str]:
                numbered = [{"Id": str(i), **entry} for i, (entry, _) in enumerate(entries)]
                response = await self._connection.sending.send_message_batch(QueueUrl=url, Entries=numbered)
                return sqs_results(response, len(entries), lambda accepted: str(accepted.get("MessageId", "")))

            self._queues[url] = BatchCall(
                request,
                failure=PublishFailed,
                weigh=lambda entry: entry[1],
                max_weight=MAX_SQS_REQUEST_BYTES,
                max_in_flight=1 if is_fifo(url) else 4,
            )
        return self._queues[url]

    async def encode(self, cmd: SQSPublishCommand) -> Entry:
        """The entry of SendMessageBatch for one message, and its weight in bytes.

        Raises:
            PublishFailed: SQS would refuse it.
        """
        try:
            encoded, content_type = await self.codec.encode(cmd.body, self._serializer)
        except UnicodeEncodeError:
            raise _half_a_character() from None
        return await self._entry(cmd, cmd.body, encoded, content_type)

    async def encode_batch(self, cmd: SQSPublishCommand) -> list[Entry]:
        """The entries of SendMessageBatch for the messages of one command; see `encode`."""
        bodies = cmd.bodies
        if not isinstance(self.codec, BatchCodecProto):
            return [await self.encode(cmd.with_body(body)) for body in bodies]
        try:
            encoded = await self.codec.encode_batch(bodies, self._serializer)
        except UnicodeEncodeError:
            raise _half_a_character() from None
        return [await self._entry(cmd, body, *each) for body, each in zip(bodies, encoded, strict=True)]

    async def _entry(self, cmd: SQSPublishCommand, body: Any, encoded: bytes, content_type: str | None) -> Entry:
        # Text goes out as it is or not at all: only bytes may arrive as base64.
        if isinstance(body, str) and body and encoded == body.encode("utf-8", "surrogatepass"):
            text, body_encoding = body, None
        else:
            text, body_encoding = write_body(encoded)
            if isinstance(body, bytes) and content_type is None:
                body_encoding = body_encoding or VERBATIM
        headers = dict(cmd.headers)
        for name, value in (
            (CONTENT_TYPE, content_type),
            (CORRELATION_ID, cmd.correlation_id),
            (REPLY_TO, cmd.reply_to),
        ):
            if value:
                headers.setdefault(name, value)
        # That of a message whose headers are passed on says nothing about this body.
        headers[BODY_ENCODING] = body_encoding
        attributes = {name: write_header(name, value) for name, value in headers.items() if value is not None}
        entry: dict[str, Any] = {"MessageBody": text}
        if attributes:
            entry["MessageAttributes"] = attributes
        entry |= _options(cmd)
        if self.claims is not None:
            await self.claims.shorten(entry)
        return entry, check_entry(entry, cmd.destination)


def _options(cmd: SQSPublishCommand) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if cmd.delay:
        options["DelaySeconds"] = math.ceil(cmd.delay)
    if cmd.group_id:
        options["MessageGroupId"] = cmd.group_id
    if cmd.deduplication_id:
        options["MessageDeduplicationId"] = cmd.deduplication_id
    elif cmd.deduplication_id is None and is_fifo(cmd.destination):
        # A resent message is recognised, and a message that is published twice is not.
        options["MessageDeduplicationId"] = str(uuid.uuid4())
    if cmd.trace_header:
        # A system attribute counts neither among the ten nor in the size (SQS API reference, SendMessage).
        header = {"DataType": "String", "StringValue": cmd.trace_header}
        options["MessageSystemAttributes"] = {"AWSTraceHeader": header}
    return options


def copy_entry(queue: str, raw: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of SendMessageBatch for a copy of a received message, which keeps its group."""
    entry: dict[str, Any] = {"MessageBody": raw["Body"], "MessageAttributes": attributes}
    group = raw.get("Attributes", {}).get("MessageGroupId")
    if is_fifo(queue):
        entry["MessageGroupId"] = group or raw["MessageId"]
        entry["MessageDeduplicationId"] = raw["MessageId"]
    elif group:
        entry["MessageGroupId"] = group
    return entry


def _half_a_character() -> PublishFailed:
    return PublishFailed("InvalidMessageContents", "the body has half a character: send bytes", permanent=True)


class EventBridgeProducer(_BatchingProducer[EventPublishCommand]):
    """Sends events of all buses in common batches."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._events: BatchCall[Entry, str] | None = None

    def connect(self, config: BrokerConfig) -> None:
        """Prepare to send; see `_BatchingProducer.connect`."""
        super().connect(config)
        self._events = BatchCall(
            self._put_events,
            failure=PublishFailed,
            weigh=lambda entry: entry[1],
            max_weight=MAX_EVENT_BYTES,
        )

    async def disconnect(self) -> None:
        """Send pending events."""
        events, self._events = self._events, None
        if events is not None:
            await events.close()

    async def publish(self, cmd: EventPublishCommand) -> str:
        """Send one event and return the id that EventBridge assigned.

        Raises:
            BusMissing: the bus does not exist.
            PublishFailed: the event was not accepted.
        """
        if self._events is None:
            raise PublishFailed("NotConnected", "connect the broker before publishing")
        return await self._events.send(await self.encode(cmd, await _found(self._connection.bus(cmd.destination))))

    async def encode(self, cmd: EventPublishCommand, bus: str) -> Entry:
        """The entry of PutEvents for one event, and its weight in bytes.

        Raises:
            PublishFailed: the event is too long.
        """
        detail = cmd.body if isinstance(cmd.body, str) else await self._encode(cmd.body)
        entry: dict[str, Any] = {
            "EventBusName": bus,
            "Source": cmd.source,
            "DetailType": cmd.detail_type,
            "Detail": detail,
        }
        if cmd.resources:
            entry["Resources"] = list(cmd.resources)
        if cmd.trace_header:
            entry["TraceHeader"] = cmd.trace_header
        if cmd.time is not None:
            entry["Time"] = cmd.time
        weight = _weigh_event(entry)
        # Rejected here, because EventBridge would reject the whole request.
        if weight > MAX_EVENT_BYTES:
            raise PublishFailed("EventTooLong", f"{weight} bytes exceed {MAX_EVENT_BYTES}", permanent=True)
        return entry, weight

    async def _encode(self, detail: Any) -> str:
        encoded, _ = await self.codec.encode(detail, self._serializer)
        return encoded.decode()

    async def _put_events(self, entries: list[Entry]) -> Results[str]:
        response = await self._connection.events.put_events(Entries=[entry for entry, _ in entries])
        results = [_result(entry) for entry in response.get("Entries") or ()][: len(entries)]
        return results + [_no_result()] * (len(entries) - len(results))


async def _found(looking: Awaitable[str]) -> str:
    """A queue or a bus. A failure to ask for it is a failed publish; one that does not exist is named."""
    try:
        return await looking
    except (SetupError, IncorrectState):
        raise
    except Exception as error:
        failed = from_error(error)
        raise PublishFailed(failed.code, failed.message) from error


def _result(entry: Mapping[str, Any]) -> str | RequestFailed:
    code, event_id = entry.get("ErrorCode"), entry.get("EventId")
    if code is None:
        return str(event_id) if event_id else _no_result()
    return RequestFailed(code, entry.get("ErrorMessage", ""), permanent=code in _PERMANENT)


def _no_result() -> RequestFailed:
    return RequestFailed("NoResult", "EventBridge did not report on this entry")


def _weigh_event(entry: Mapping[str, Any]) -> int:
    """Bytes as EventBridge counts them (user guide, "Calculating PutEvents event entry size")."""
    texts = (entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", ()))
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)
