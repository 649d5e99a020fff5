"""Amazon Bedrock's Converse and ConverseStream, as botocore's model of `bedrock-runtime` describes them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from switchyard.devstack.simulators.models import eventstream
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

_CODES = {
    400: ("ValidationException", "The request is not valid."),
    403: ("AccessDeniedException", "You do not have access to the model."),
    404: ("ResourceNotFoundException", "There is no such model."),
    408: ("ModelTimeoutException", "The model took too long to answer."),
    424: ("ModelErrorException", "The model failed."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The service failed."),
    503: ("ServiceUnavailableException", "The service is unavailable."),
}
_STREAM_CODES = {
    400: "validationException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    500: "internalServerException",
    503: "serviceUnavailableException",
}
_STOPS = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens"}


def read_converse_request(model: str, body: bytes, *, stream: bool) -> Prompt:
    """The request. Raises `InvalidModelRequest` for one that Bedrock would refuse."""
    request = read_object(body)
    transcript = Transcript()
    for block in list_field(request.get("system"), "system"):
        transcript.system(_text(object_field(block, "system")))
    messages = list_field(request.get("messages"), "messages")
    if not messages:
        raise InvalidModelRequest("A conversation must have at least one message.")
    for message in messages:
        _read_message(transcript, object_field(message, "messages"))
    tool_config = object_field(request.get("toolConfig"), "toolConfig")
    output = object_field(object_field(request.get("outputConfig"), "outputConfig").get("textFormat"), "textFormat")
    return transcript.prompt(
        wire="bedrock",
        model=model,
        stream=stream,
        tools=tuple(
            tool["toolSpec"]["name"]
            for tool in list_field(tool_config.get("tools"), "toolConfig.tools")
            if isinstance(tool, dict) and "name" in object_field(tool.get("toolSpec"), "toolSpec")
        ),
        wants_json=output.get("type") == "json_schema",
        max_tokens=count_field(
            object_field(request.get("inferenceConfig"), "inferenceConfig").get("maxTokens"), "maxTokens"
        ),
    )


def _read_message(transcript: Transcript, message: dict[str, Any]) -> None:
    role = message.get("role")
    if role not in {"user", "assistant"}:
        raise InvalidModelRequest(f"messages have the role user or assistant, not {role!r}")
    blocks = [object_field(block, "content") for block in list_field(message.get("content"), "content")]
    if role == "assistant":
        transcript.assistant("".join(map(_text, blocks)))
        for block in blocks:
            if "toolUse" in block:
                use = object_field(block["toolUse"], "toolUse")
                tool = text_field(use.get("name"), "toolUse.name")
                transcript.call(_use_id(use), tool, json.dumps(use.get("input", {}), ensure_ascii=False))
        return
    for block in blocks:
        if "toolResult" in block:
            result = object_field(block["toolResult"], "toolResult")
            content = list_field(result.get("content"), "toolResult.content")
            parts = [object_field(part, "toolResult.content") for part in content]
            transcript.result(_use_id(result), "".join(map(_result_text, parts)))
    transcript.user("".join(map(_text, blocks)))


def _text(block: dict[str, Any]) -> str:
    return text_field(block.get("text"), "text")


def _use_id(block: dict[str, Any]) -> str:
    return text_field(block.get("toolUseId"), "toolUseId")


def _result_text(part: dict[str, Any]) -> str:
    return json.dumps(part["json"], ensure_ascii=False) if "json" in part else _text(part)


def bedrock_error_response(failure: FailureResponse) -> HttpAnswer:
    """An error as AWS answers it: the code in a header, the message in the body."""
    code, message = _CODES.get(failure.status, _CODES[500])
    return HttpAnswer(
        failure.status,
        to_json({"message": failure.message or message}),
        {"x-amzn-ErrorType": failure.code or code, **_request_id()},
    )


def _request_id() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


class BedrockWire:
    """Writes one Converse response."""

    stream_type = eventstream.EVENTSTREAM_CONTENT_TYPE

    def __init__(self) -> None:
        self.headers = _request_id()

    def whole(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """The body of Converse."""
        content = [
            {"text": block.text}
            if isinstance(block, TextBlock)
            else {"toolUse": {"toolUseId": block.id, "name": block.name, "input": block.args}}
            for block in reply.blocks
        ]
        return to_json(
            {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": _STOPS[reply.stop],
                "usage": _usage(usage),
                "metrics": {"latencyMs": elapsed_ms},
            }
        )

    def opening(self) -> bytes:
        """messageStart."""
        return eventstream.encode_event("messageStart", b'{"role":"assistant"}')

    def block_start(self, index: int, block: ReplyBlock) -> bytes:
        """contentBlockStart, which Bedrock sends for tool calls and not for text."""
        if not isinstance(block, ToolCall):
            return b""
        start = {"toolUse": {"toolUseId": block.id, "name": block.name}}
        return eventstream.encode_event("contentBlockStart", to_json({"contentBlockIndex": index, "start": start}))

    def delta(self, index: int, block: ReplyBlock, piece: str) -> bytes:
        """contentBlockDelta."""
        delta = {"toolUse": {"input": piece}} if isinstance(block, ToolCall) else {"text": piece}
        return eventstream.encode_event("contentBlockDelta", to_json({"contentBlockIndex": index, "delta": delta}))

    def block_stop(self, index: int) -> bytes:
        """contentBlockStop."""
        return eventstream.encode_event("contentBlockStop", to_json({"contentBlockIndex": index}))

    def closing(self, reply: ModelReply, usage: TokenUsage, elapsed_ms: int) -> bytes:
        """messageStop, and metadata with the usage."""
        metadata = {"usage": _usage(usage), "metrics": {"latencyMs": elapsed_ms}}
        return eventstream.encode_event(
            "messageStop", to_json({"stopReason": _STOPS[reply.stop]})
        ) + eventstream.encode_event("metadata", to_json(metadata))

    def error(self, failure: FailureResponse) -> HttpAnswer:
        """The error response."""
        return bedrock_error_response(failure)

    def error_frame(self, failure: FailureResponse) -> bytes:
        """An exception message; a code that the stream does not model becomes the nearest by status."""
        kind = (failure.code or "")[:1].lower() + (failure.code or "")[1:]
        if kind not in _STREAM_CODES.values():
            kind = _STREAM_CODES.get(failure.status, "internalServerException")
        message = failure.message or _CODES.get(failure.status, _CODES[500])[1]
        return eventstream.encode_exception(kind, to_json({"message": message}))


def _usage(usage: TokenUsage) -> dict[str, int]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
