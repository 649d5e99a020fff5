"""Amazon Bedrock's Converse and ConverseStream, as botocore's model of `bedrock-runtime` describes them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from switchyard.devstack.simulators.models import eventstream
from switchyard.devstack.simulators.models.exchange import (
    BadRequest,
    Block,
    Prompt,
    Reply,
    Text,
    ToolCall,
    Transcript,
    Usage,
)
from switchyard.devstack.simulators.models.plan import Failure
from switchyard.devstack.simulators.models.wire import (
    Answered,
    a_count,
    a_list,
    a_text,
    an_object,
    read_object,
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


def read(model: str, body: bytes, *, stream: bool) -> Prompt:
    """The request. Raises `BadRequest` for one that Bedrock would refuse."""
    request = read_object(body)
    transcript = Transcript()
    for block in a_list(request.get("system"), "system"):
        transcript.system(_text(an_object(block, "system")))
    messages = a_list(request.get("messages"), "messages")
    if not messages:
        raise BadRequest("A conversation must have at least one message.")
    for message in messages:
        _read_message(transcript, an_object(message, "messages"))
    tool_config = an_object(request.get("toolConfig"), "toolConfig")
    output = an_object(an_object(request.get("outputConfig"), "outputConfig").get("textFormat"), "textFormat")
    return transcript.prompt(
        wire="bedrock",
        model=model,
        stream=stream,
        tools=tuple(
            tool["toolSpec"]["name"]
            for tool in a_list(tool_config.get("tools"), "toolConfig.tools")
            if isinstance(tool, dict) and "name" in an_object(tool.get("toolSpec"), "toolSpec")
        ),
        wants_json=output.get("type") == "json_schema",
        max_tokens=a_count(an_object(request.get("inferenceConfig"), "inferenceConfig").get("maxTokens"), "maxTokens"),
    )


def _read_message(transcript: Transcript, message: dict[str, Any]) -> None:
    role = message.get("role")
    if role not in {"user", "assistant"}:
        raise BadRequest(f"messages have the role user or assistant, not {role!r}")
    blocks = [an_object(block, "content") for block in a_list(message.get("content"), "content")]
    if role == "assistant":
        transcript.assistant("".join(map(_text, blocks)))
        for block in blocks:
            if "toolUse" in block:
                use = an_object(block["toolUse"], "toolUse")
                tool = a_text(use.get("name"), "toolUse.name")
                transcript.call(_use_id(use), tool, json.dumps(use.get("input", {}), ensure_ascii=False))
        return
    for block in blocks:
        if "toolResult" in block:
            result = an_object(block["toolResult"], "toolResult")
            content = a_list(result.get("content"), "toolResult.content")
            parts = [an_object(part, "toolResult.content") for part in content]
            transcript.result(_use_id(result), "".join(map(_result_text, parts)))
    transcript.user("".join(map(_text, blocks)))


def _text(block: dict[str, Any]) -> str:
    return a_text(block.get("text"), "text")


def _use_id(block: dict[str, Any]) -> str:
    return a_text(block.get("toolUseId"), "toolUseId")


def _result_text(part: dict[str, Any]) -> str:
    return json.dumps(part["json"], ensure_ascii=False) if "json" in part else _text(part)


def refusal(failure: Failure) -> Answered:
    """An error as AWS answers it: the code in a header, the message in the body."""
    code, message = _CODES.get(failure.status, _CODES[500])
    return Answered(
        failure.status,
        to_json({"message": failure.message or message}),
        {"x-amzn-ErrorType": failure.code or code, **_request_id()},
    )


def _request_id() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


class BedrockWire:
    """Writes one Converse response."""

    stream_type = eventstream.CONTENT_TYPE

    def __init__(self) -> None:
        self.headers = _request_id()

    def whole(self, reply: Reply, usage: Usage, elapsed_ms: int) -> bytes:
        """The body of Converse."""
        content = [
            {"text": block.text}
            if isinstance(block, Text)
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
        return eventstream.event("messageStart", b'{"role":"assistant"}')

    def block_start(self, index: int, block: Block) -> bytes:
        """contentBlockStart, which Bedrock sends for tool calls and not for text."""
        if not isinstance(block, ToolCall):
            return b""
        start = {"toolUse": {"toolUseId": block.id, "name": block.name}}
        return eventstream.event("contentBlockStart", to_json({"contentBlockIndex": index, "start": start}))

    def delta(self, index: int, block: Block, piece: str) -> bytes:
        """contentBlockDelta."""
        delta = {"toolUse": {"input": piece}} if isinstance(block, ToolCall) else {"text": piece}
        return eventstream.event("contentBlockDelta", to_json({"contentBlockIndex": index, "delta": delta}))

    def block_stop(self, index: int) -> bytes:
        """contentBlockStop."""
        return eventstream.event("contentBlockStop", to_json({"contentBlockIndex": index}))

    def closing(self, reply: Reply, usage: Usage, elapsed_ms: int) -> bytes:
        """messageStop, and metadata with the usage."""
        metadata = {"usage": _usage(usage), "metrics": {"latencyMs": elapsed_ms}}
        return eventstream.event("messageStop", to_json({"stopReason": _STOPS[reply.stop]})) + eventstream.event(
            "metadata", to_json(metadata)
        )

    def error(self, failure: Failure) -> Answered:
        """The error response."""
        return refusal(failure)

    def error_frame(self, failure: Failure) -> bytes:
        """An exception message; a code that the stream does not model becomes the nearest by status."""
        kind = (failure.code or "")[:1].lower() + (failure.code or "")[1:]
        if kind not in _STREAM_CODES.values():
            kind = _STREAM_CODES.get(failure.status, "internalServerException")
        message = failure.message or _CODES.get(failure.status, _CODES[500])[1]
        return eventstream.exception(kind, to_json({"message": message}))


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
