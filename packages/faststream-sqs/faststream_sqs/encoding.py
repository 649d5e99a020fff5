"""The form of bodies and headers in SQS, both ways: SQS takes only non-empty text, and text, numbers or bytes."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

from .errors import PublishFailed, UnreadableBody
from .json_text import UnreadableJson, read_json
from .limits import FORBIDDEN

CONTENT_TYPE = "content-type"
BODY_ENCODING = "body-encoding"
"""How SQS carries the body. Not `content-encoding`, which belongs to the application."""

CORRELATION_ID = "correlation_id"
REPLY_TO = "reply_to"

VERBATIM = "identity"
"""The encoding of bytes that go out as they are, so that they come back as bytes."""

_BASE64 = "base64"
_EMPTY = "empty"
ENCODINGS = (VERBATIM, _BASE64, _EMPTY)
"""Ours: a body in one of them is bytes, unless it has a content type."""

_JSON_ATTRIBUTE = "String.json"


def write_body(body: bytes) -> tuple[str, str | None]:
    """The text for SQS, and its content encoding: None if the text is the body itself."""
    if not body:
        return " ", _EMPTY
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), _BASE64
    return (base64.b64encode(body).decode(), _BASE64) if FORBIDDEN.search(text) else (text, None)


def read_body(text: str, body_encoding: Any) -> bytes:
    """The body that `write_body` was given. An unknown encoding leaves the text as it is.

    Raises:
        UnreadableBody: the text is not in its encoding.
    """
    if body_encoding == _EMPTY:
        return b""
    if body_encoding == _BASE64:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UnreadableBody("the body is not base64, as its body-encoding says") from error
    return text.encode("utf-8", "surrogatepass")


def write_header(name: str, value: Any) -> dict[str, Any]:
    """A header as a message attribute: text, a number, bytes, or JSON for true, false, lists and dicts.

    Raises:
        PublishFailed: the value has no such form.
    """
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": str.__str__(value)}
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return {"DataType": "Number", "StringValue": str(value)}
    elif isinstance(value, bool | dict | list | tuple):
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            pass
        else:
            return {"DataType": _JSON_ATTRIBUTE, "StringValue": text}
    kind = type(value).__name__
    remedy = f"the header `{name}` cannot be sent ({kind}): give text, a finite number, bytes or JSON"
    raise PublishFailed("InvalidParameterValue", remedy, permanent=True)


def read_headers(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The message attributes as plain values; what cannot be read is left as text."""
    attributes = raw.get("MessageAttributes")
    if not attributes:
        return {}
    return {name: _read_header(value) for name, value in attributes.items()}


def _read_header(value: Mapping[str, Any]) -> Any:
    if value.get("BinaryValue") is not None:
        return value["BinaryValue"]
    text, kind = value.get("StringValue", ""), value.get("DataType", "String")
    if kind == "String":
        return text
    try:
        if kind == "Number":
            return int(text) if text.lstrip("-").isdigit() else float(text)
        return read_json(text) if kind == _JSON_ATTRIBUTE else text
    except (ValueError, UnreadableJson):
        return text


def looks_like_json(body: str) -> bool:
    """Whether a body without a declared type is read as JSON."""
    return body.lstrip()[:1] in ("{", "[", '"')
