"""What delivery needs to know of a wire: how a reply, its pieces and its errors are written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from switchyard.devstack.simulators.models.exchange import InvalidModelRequest, ModelReply, ReplyBlock, TokenUsage
from switchyard.devstack.simulators.models.plan import FailureResponse


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class WireFormat(Protocol):
    """Writes one response. The stream methods are called in the order of the stream and give bytes to send at once."""

    stream_type: str
    """The media type of a streamed response."""
    headers: dict[str, str]
    """The response's own headers: the request id, under the wire's name for it."""

    def whole(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """The JSON of a response that is not streamed."""
        ...

    def opening(self) -> bytes:
        """What comes before the first token."""
        ...

    def block_start(self, index: int, block: ReplyBlock) -> bytes:
        """The beginning of a text or a tool call."""
        ...

    def delta(self, index: int, block: ReplyBlock, piece: str) -> bytes:
        """The next piece of a text or of a tool call's arguments."""
        ...

    def block_stop(self, index: int) -> bytes:
        """The end of a text or a tool call."""
        ...

    def closing(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """What comes after the last token."""
        ...

    def error(self, failure: FailureResponse) -> HttpAnswer:
        """An error as the response."""
        ...

    def error_frame(self, failure: FailureResponse) -> bytes:
        """An error in an open stream."""
        ...


def to_json(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_object(body: bytes) -> dict[str, Any]:
    """The request's JSON object. Raises `InvalidModelRequest`."""
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise InvalidModelRequest(f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidModelRequest("the body is not a JSON object")
    return parsed


def list_field(value: Any, name: str) -> list[Any]:
    """A field that must be a list, empty if it was left out. Raises `InvalidModelRequest`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidModelRequest(f"{name} must be a list")
    return value


def object_field(value: Any, name: str) -> dict[str, Any]:
    """A field that must be an object, empty if it was left out. Raises `InvalidModelRequest`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidModelRequest(f"{name} must be an object")
    return value


def text_field(value: Any, name: str) -> str:
    """A field that must be a string, empty if it was left out. Raises `InvalidModelRequest`."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidModelRequest(f"{name} must be a string")
    return value


def count_field(value: Any, name: str) -> int | None:
    """A field that must be a whole number from 1, if it is given. Raises `InvalidModelRequest`."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidModelRequest(f"{name} must be a whole number from 1")
    return value
