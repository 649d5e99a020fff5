"""Sends messages to SQS and events to EventBridge."""

import math
from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias, TypeVar

from fast_depends.library.serializer import SerializerProto
from faststream._internal.constants import ContentTypes
from faststream._internal.parser import CodecProto, DefaultCodec
from faststream._internal.producer import ProducerProto
from faststream.exceptions import FeatureNotSupportedException, IncorrectState, SetupError
from faststream.response import PublishCommand

from .batch_call import BatchCall, Results, from_error, sqs_results
from .connection import Connection
from .errors import PublishFailed, RequestFailed
from .parser import CONTENT_TYPE_ATTRIBUTE, CORRELATION_ID, REPLY_TO, SQSParser, looks_like_json
from .response import AttributeValue, EventPublishCommand, SQSPublishCommand
from .settlement import MAX_ATTRIBUTES

MAX_SQS_REQUEST_BYTES = 1024 * 1024
"""Bytes of bodies and attributes, of one message and of one request (SQS, since August 2025)."""

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
        self._parser = parser.parse_message
        self._decoder = parser.decode_message

    def connect(self, serializer: SerializerProto | None, codec: CodecProto) -> None:
        """Set the encoder."""
        self._serializer = serializer
        self.codec = codec

    async def publish_batch(self, cmd: C) -> Any:
        """Not used: every publish is batched, see `SQSBroker.publish_batch`."""
        raise FeatureNotSupportedException("single messages are batched already")

    async def request(self, cmd: C) -> Any:
        """Not supported: queues and event buses have no reply channel."""
        raise FeatureNotSupportedException("SQS has no request and reply; publish with `reply_to` instead")


class SQSProducer(_BatchingProducer[SQSPublishCommand]):
    """Sends messages in batches, one stream of requests per queue."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._queues: dict[str, BatchCall[Entry, str]] = {}

    async def disconnect(self) -> None:
        """Send pending messages."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            await queue.close()

    async def publish(self, cmd: SQSPublishCommand) -> str | None:
        """Send one message and return its SQS message id; None is not sent and has no id.

        Raises:
            QueueMissing: the queue does not exist.
            PublishFailed: the message was not accepted.
        """
        if cmd.body is None:
            return None
        entry = await self.encode(cmd)
        return await self._queue(await _found(self._connection.queue_url(cmd.destination))).send(entry)

    async def copy(self, queue: str, body: str, attributes: Mapping[str, Any]) -> None:
        """Send a body and attributes in the form of SQS, unchanged."""
        entry = {"MessageBody": body, "MessageAttributes": attributes}
        await self._queue(await _found(self._connection.queue_url(queue))).send((entry, _weigh_message(entry)))

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
            )
        return self._queues[url]

    async def encode(self, cmd: SQSPublishCommand) -> Entry:
        """The entry of SendMessageBatch for one message, and its weight in bytes.

        Raises:
            PublishFailed: the message is too long, or has too many attributes.
        """
        body = cmd.body
        attributes = {name: _attribute(value) for name, value in cmd.headers.items() if value is not None}
        if isinstance(body, str):
            text = body
        else:
            encoded, content_type = await self.codec.encode(body, self._serializer)
            text = encoded.decode()
            if content_type and not (content_type == ContentTypes.JSON.value and looks_like_json(text)):
                attributes.setdefault(CONTENT_TYPE_ATTRIBUTE, _attribute(content_type))
        if cmd.correlation_id:
            attributes.setdefault(CORRELATION_ID, _attribute(cmd.correlation_id))
        if cmd.reply_to:
            attributes.setdefault(REPLY_TO, _attribute(cmd.reply_to))
        entry: dict[str, Any] = {"MessageBody": text}
        if attributes:
            entry["MessageAttributes"] = attributes
        if cmd.delay:
            entry["DelaySeconds"] = math.ceil(cmd.delay)
        if cmd.group_id:
            entry["MessageGroupId"] = cmd.group_id
        if cmd.trace_header:
            # A system attribute counts neither among the ten nor in the size (SQS API reference, SendMessage).
            entry["MessageSystemAttributes"] = {"AWSTraceHeader": _attribute(cmd.trace_header)}
        weight = _weigh_message(entry)
        # Rejected here, because SQS would reject the whole request.
        if weight > MAX_SQS_REQUEST_BYTES:
            raise PublishFailed("MessageTooLong", f"{weight} bytes exceed {MAX_SQS_REQUEST_BYTES}", permanent=True)
        if len(attributes) > MAX_ATTRIBUTES:
            raise PublishFailed("TooManyAttributes", f"{len(attributes)} exceed {MAX_ATTRIBUTES}", permanent=True)
        return entry, weight


def _attribute(value: AttributeValue) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"DataType": "Number", "StringValue": str(value)}
    return {"DataType": "String", "StringValue": str(value)}


def _weigh_message(entry: Mapping[str, Any]) -> int:
    """Bytes as SQS counts them: the body, and the name, type and value of each attribute."""
    total = len(entry["MessageBody"].encode())
    for name, value in entry.get("MessageAttributes", {}).items():
        content = value.get("BinaryValue")
        size = len(content) if content is not None else len(value["StringValue"].encode())
        total += len(name.encode()) + len(value["DataType"]) + size
    return total


class EventBridgeProducer(_BatchingProducer[EventPublishCommand]):
    """Sends events of all buses in common batches."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._events: BatchCall[Entry, str] | None = None

    def connect(self, serializer: SerializerProto | None, codec: CodecProto) -> None:
        """Set the encoder and prepare to send."""
        super().connect(serializer, codec)
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
