"""OpenAI's Chat Completions, whole and as server-sent events."""

from __future__ import annotations

import math
import time
import uuid
from typing import Any

from switchyard.devstack.simulators.models.exchange import (
    InvalidModelRequest,
    ModelReply,
    Prompt,
    ReplyBlock,
    TextBlock,
    TokenUsage,
    ToolCall,
    Transcript,
)
from switchyard.devstack.simulators.models.plan import FailureResponse
from switchyard.devstack.simulators.models.wire import (
    HttpAnswer,
    count_field,
    list_field,
    object_field,
    read_object,
    text_field,
    to_json,
)

_ERRORS = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "The API key is not valid."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Access is refused."),
    404: ("invalid_request_error", "model_not_found", "There is no such model."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached, please wait before trying again."),
    503: ("server_error", "server_overloaded", "The server is overloaded, please try again later."),
    504: ("server_error", "timeout", "The model took too long to answer."),
}
_SERVER_ERROR = ("server_error", None, "The server had an error while processing the request.")
_STOPS = {"end": "stop", "tools": "tool_calls", "length": "length"}


def read_chat_request(body: bytes) -> tuple[Prompt, bool]:
    """The request, and whether a stream is to end with the usage.

    Raises `InvalidModelRequest` for one OpenAI would refuse.
    """
    request = read_object(body)
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidModelRequest("you must provide a model parameter")
    messages = list_field(request.get("messages"), "messages")
    if not messages:
        raise InvalidModelRequest("messages must not be empty")
    transcript = Transcript()
    for message in messages:
        _read_message(transcript, object_field(message, "messages"))
    response_format = object_field(request.get("response_format"), "response_format").get("type")
    limit = request.get("max_completion_tokens", request.get("max_tokens"))
    prompt = transcript.prompt(
        wire="openai",
        model=model,
        stream=request.get("stream") is True,
        tools=tuple(
            tool["function"]["name"]
            for tool in list_field(request.get("tools"), "tools")
            if isinstance(tool, dict) and "name" in object_field(tool.get("function"), "function")
        ),
        wants_json=response_format in {"json_schema", "json_object"},
        max_tokens=count_field(limit, "max_completion_tokens"),
    )
    options = object_field(request.get("stream_options"), "stream_options")
    return prompt, options.get("include_usage") is True


def _read_message(transcript: Transcript, message: dict[str, Any]) -> None:
    text = _text(message.get("content"))
    match message.get("role"):
        case "system" | "developer":
            transcript.system(text)
        case "user":
            transcript.user(text)
        case "assistant":
            transcript.assistant(text)
            for call in list_field(message.get("tool_calls"), "tool_calls"):
                function = object_field(object_field(call, "tool_calls").get("function"), "function")
                name, arguments = (
                    text_field(function.get(field), f"function.{field}") for field in ("name", "arguments")
                )
                transcript.call(text_field(call.get("id"), "tool_calls.id"), name, arguments)
        case "tool":
            transcript.result(text_field(message.get("tool_call_id"), "tool_call_id"), text)
        case role:
            raise InvalidModelRequest(
                f"messages have the role system, developer, user, assistant or tool, not {role!r}"
            )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = (object_field(part, "content") for part in list_field(content, "content"))
    return "".join(text_field(part.get("text"), "content.text") for part in parts)


def openai_error_response(failure: FailureResponse) -> HttpAnswer:
    """An error as OpenAI answers it."""
    headers = _request_id()
    if failure.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(failure.retry_after_s))
        headers["retry-after-ms"] = str(round(failure.retry_after_s * 1000))
    return HttpAnswer(failure.status, to_json(_error(failure)), headers)


def _request_id() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}"}


def _error(failure: FailureResponse) -> dict[str, Any]:
    kind, code, message = _ERRORS.get(failure.status, _SERVER_ERROR)
    return {
        "error": {
            "message": failure.message or message,
            "type": kind,
            "param": None,
            "code": failure.code or code,
        }
    }


class OpenAIWire:
    """Writes one chat completion."""

    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, prompt: Prompt, *, include_usage: bool) -> None:
        self.headers = _request_id()
        self._include_usage = include_usage
        self._tool_indexes: dict[int, int] = {}
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": prompt.model}

    def whole(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """The body of a chat completion."""
        said = "".join(block.text for block in reply.blocks if isinstance(block, TextBlock))
        message: dict[str, Any] = {"role": "assistant", "content": said or None, "refusal": None}
        calls = [
            {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.args_json}}
            for block in reply.blocks
            if isinstance(block, ToolCall)
        ]
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _STOPS[reply.stop]}
        return to_json({**self._head, "object": "chat.completion", "choices": [choice], "usage": _usage(usage)})

    def opening(self) -> bytes:
        """The chunk with the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def block_start(self, index: int, block: ReplyBlock) -> bytes:
        """The chunk that names a tool call; text has none."""
        if not isinstance(block, ToolCall):
            return b""
        number = self._tool_indexes.setdefault(index, len(self._tool_indexes))
        function = {"name": block.name, "arguments": ""}
        return self._chunk(
            {"tool_calls": [{"index": number, "id": block.id, "type": "function", "function": function}]}
        )

    def delta(self, index: int, block: ReplyBlock, piece: str) -> bytes:
        """A chunk of text or arguments."""
        if not isinstance(block, ToolCall):
            return self._chunk({"content": piece})
        return self._chunk({"tool_calls": [{"index": self._tool_indexes[index], "function": {"arguments": piece}}]})

    def block_stop(self, index: int) -> bytes:
        """Nothing: the wire does not mark it."""
        return b""

    def closing(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """The chunk with the finish reason, the one with the usage if it was asked for, and the end mark."""
        end = self._chunk({}, _STOPS[reply.stop])
        if self._include_usage:
            end += _event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(usage)})
        return end + b"data: [DONE]\n\n"

    def error(self, failure: FailureResponse) -> HttpAnswer:
        """The error response."""
        return openai_error_response(failure)

    def error_frame(self, failure: FailureResponse) -> bytes:
        """An error object in place of a chunk."""
        return _event(_error(failure))

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk: dict[str, Any] = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return _event(chunk)


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
