"""Parses SQS deliveries into messages."""

from typing import Any

from faststream._internal.constants import ContentTypes
from faststream.message import StreamMessage

from .delivery import SQSDelivery
from .encoding import BODY_ENCODING, CONTENT_TYPE, CORRELATION_ID, ENCODINGS, REPLY_TO, looks_like_json, read_headers
from .errors import UnreadableBody
from .json_text import UnreadableJson, read_json
from .message import SQSBatchMessage, SQSMessage

JSON = ContentTypes.JSON.value
TEXT = ContentTypes.TEXT.value


class SQSParser:
    """Parses single messages."""

    __slots__ = ()

    async def parse_message(self, message: SQSDelivery) -> SQSMessage:
        """Wrap one delivery, without reading its body."""
        return _wrap(message)

    async def decode_message(self, msg: StreamMessage[SQSDelivery]) -> Any:
        """The `detail` of an EventBridge event; otherwise the body as its `content-type` says.

        Without one, text that begins like a JSON object, array or string is read as JSON if it is JSON; a bare number
        or word stays text and is cast to the handler's type.

        Raises:
            UnreadableBody: the body is not of its type.
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
    headers = read_headers(delivery.raw)
    return SQSMessage(
        raw_message=delivery,
        body=None,
        headers=headers,
        reply_to=_text(headers.get(REPLY_TO)) or "",
        content_type=_text(headers.get(CONTENT_TYPE)),
        correlation_id=_text(headers.get(CORRELATION_ID)) or delivery.message_id,
        message_id=delivery.message_id,
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _decode(msg: StreamMessage[SQSDelivery]) -> Any:
    delivery = msg.raw_message
    if delivery.envelope is not None:
        return delivery.envelope.detail
    if msg.content_type:
        return _decode_typed(msg, msg.body)
    ours = msg.headers.get(BODY_ENCODING) in ENCODINGS
    return _decode_bytes(msg.body) if ours else _guess(delivery.body)


def _decode_bytes(body: bytes) -> Any:
    """Bytes without a declared type: JSON if they are JSON, as in FastStream's other brokers."""
    try:
        return read_json(body.decode())
    except (UnicodeDecodeError, UnreadableJson):
        return body


def _decode_replaced(msg: StreamMessage[SQSDelivery], body: Any) -> Any:
    if msg.content_type and isinstance(body, str | bytes):
        return _decode_typed(msg, body.encode() if isinstance(body, str) else body)
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    return _guess(body) if isinstance(body, str) else body


def _decode_typed(msg: StreamMessage[SQSDelivery], body: bytes) -> Any:
    """A body of a declared type. Raises `UnreadableBody` if it is not of that type."""
    if msg.content_type is None or not msg.content_type.startswith((JSON, TEXT)):
        return body
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableBody("the body is not text, as its content type says") from error
    return read_json(text) if msg.content_type.startswith(JSON) else text


def _guess(text: str) -> Any:
    if looks_like_json(text):
        try:
            return read_json(text)
        except UnreadableJson:
            return text
    return text
