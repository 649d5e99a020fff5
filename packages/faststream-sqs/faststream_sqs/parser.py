"""Parses SQS deliveries into messages."""

from collections.abc import Mapping
from typing import Any

from faststream._internal.constants import ContentTypes
from faststream.message import StreamMessage, decode_message

from .delivery import SQSDelivery
from .json_text import UnreadableJson, read_json
from .message import SQSBatchMessage, SQSMessage

CONTENT_TYPE_ATTRIBUTE = "content-type"
CORRELATION_ID = "correlation_id"
REPLY_TO = "reply_to"


class SQSParser:
    """Parses single messages."""

    __slots__ = ()

    async def parse_message(self, message: SQSDelivery) -> SQSMessage:
        """Wrap one delivery, without reading its body."""
        return _wrap(message)

    async def decode_message(self, msg: StreamMessage[SQSDelivery]) -> Any:
        """The `detail` of an EventBridge event; otherwise the body, parsed if it is JSON and as text if not.

        SQS bodies are text without a declared type. Only text that begins like a JSON object, array or string is read
        as JSON: a bare number or word stays text and is cast to the handler's type. A `content-type` attribute
        overrides the guess.
        """
        replaced = getattr(msg, "replaced_body", None)
        return _decode(msg) if replaced is None else _decode_replaced(msg, replaced)


class SQSBatchParser:
    """Parses batches."""

    __slots__ = ()

    async def parse_batch(self, message: tuple[SQSDelivery, ...]) -> SQSBatchMessage:
        """Wrap the deliveries of one batch."""
        messages = tuple(map(_wrap, message))
        first = messages[0]
        batch = SQSBatchMessage(
            raw_message=message,
            body=[delivery.body for delivery in message],
            headers=first.headers,
            batch_headers=[each.headers for each in messages],
            reply_to=first.reply_to,
            correlation_id=first.correlation_id,
            message_id=first.message_id,
        )
        batch.messages = messages
        return batch

    # FastStream tells a batch decoder by this very name.
    async def decode_batch(self, msg: StreamMessage[tuple[SQSDelivery, ...]]) -> list[Any]:
        """The decoded bodies, in order; see `SQSParser.decode_message`."""
        return [_decode(each) for each in map(_wrap, msg.raw_message)]


def _wrap(delivery: SQSDelivery) -> SQSMessage:
    headers = extract_headers(delivery.raw)
    return SQSMessage(
        raw_message=delivery,
        body=None,
        headers=headers,
        reply_to=headers.get(REPLY_TO, ""),
        content_type=headers.get(CONTENT_TYPE_ATTRIBUTE),
        correlation_id=headers.get(CORRELATION_ID) or delivery.message_id,
        message_id=delivery.message_id,
    )


def _decode(msg: StreamMessage[SQSDelivery]) -> Any:
    delivery = msg.raw_message
    if delivery.envelope is not None:
        return delivery.envelope.detail
    return _decode_typed(msg) if msg.content_type else _guess(delivery.body)


def _decode_replaced(msg: StreamMessage[SQSDelivery], body: Any) -> Any:
    if msg.content_type:
        return _decode_typed(msg)
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    return _guess(body) if isinstance(body, str) else body


def _decode_typed(msg: StreamMessage[SQSDelivery]) -> Any:
    """A body of a declared type. Raises `UnreadableJson` if it is declared as JSON and is not."""
    if isinstance(msg.content_type, str) and msg.content_type.startswith(ContentTypes.JSON.value):
        body = msg.body
        return read_json(body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body))
    return decode_message(msg)


def _guess(text: str) -> Any:
    if looks_like_json(text):
        try:
            return read_json(text)
        except UnreadableJson:
            return text
    return text


def looks_like_json(body: str) -> bool:
    """Whether a body without a declared type is read as JSON."""
    return body.lstrip()[:1] in ("{", "[", '"')


def extract_headers(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The message attributes as plain values: text, numbers as the text SQS keeps, binary as bytes."""
    attributes = raw.get("MessageAttributes")
    if not attributes:
        return {}
    return {
        name: value["BinaryValue"] if value.get("BinaryValue") is not None else value.get("StringValue", "")
        for name, value in attributes.items()
    }
