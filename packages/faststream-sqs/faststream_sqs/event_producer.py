"""Sends events to EventBridge."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from fast_depends.library.serializer import SerializerProto
from faststream._internal.parser import CodecProto, DefaultCodec
from faststream._internal.producer import ProducerProto
from faststream.exceptions import FeatureNotSupportedException

from .batch_call import BatchCall, Results
from .connection import Connection
from .errors import PublishFailed, RequestFailed
from .parser import SQSParser
from .response import EventPublishCommand

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

EventEntry: TypeAlias = tuple[dict[str, Any], int]


class EventBridgeProducer(ProducerProto[EventPublishCommand]):
    """Sends events of all buses in common batches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._serializer: SerializerProto | None = None
        self._events: BatchCall[EventEntry, str] | None = None
        self.codec: CodecProto = DefaultCodec()
        parser = SQSParser()
        self._parser = parser.parse_message
        self._decoder = parser.decode_message

    def connect(self, serializer: SerializerProto | None, codec: CodecProto) -> None:
        """Set the encoder and prepare to send."""
        self._serializer = serializer
        self.codec = codec
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
        return await self._events.send(await self.encode(cmd, await self._connection.bus(cmd.destination)))

    async def encode(self, cmd: EventPublishCommand, bus: str) -> EventEntry:
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
        weight = _weigh(entry)
        # Rejected here, because EventBridge would reject the whole request.
        if weight > MAX_EVENT_BYTES:
            raise PublishFailed("EventTooLong", f"{weight} bytes exceed {MAX_EVENT_BYTES}", permanent=True)
        return entry, weight

    async def publish_batch(self, cmd: EventPublishCommand) -> Any:
        """Not used: every publish is batched."""
        raise FeatureNotSupportedException("single events are batched already")

    async def request(self, cmd: EventPublishCommand) -> Any:
        """Not supported: an event has no reply."""
        raise FeatureNotSupportedException("EventBridge has no request and reply")

    async def _encode(self, detail: Any) -> str:
        encoded, _ = await self.codec.encode(detail, self._serializer)
        return encoded.decode()

    async def _put_events(self, entries: list[EventEntry]) -> Results[str]:
        response = await self._connection.events.put_events(Entries=[entry for entry, _ in entries])
        results: list[str | RequestFailed] = [_result(entry) for entry in response["Entries"]]
        missing = RequestFailed("NoResult", "EventBridge did not report on this entry")
        return results + [missing] * (len(entries) - len(results))


def _result(entry: Mapping[str, Any]) -> str | RequestFailed:
    code = entry.get("ErrorCode")
    if code is None:
        return str(entry["EventId"])
    return RequestFailed(code, entry.get("ErrorMessage", ""), permanent=code in _PERMANENT)


def _weigh(entry: Mapping[str, Any]) -> int:
    """Bytes as EventBridge counts them (user guide, "Calculating PutEvents event entry size")."""
    texts = (entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", ()))
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)
