"""Amazon Bedrock's Converse and ConverseStream, as botocore's model of `bedrock-runtime` describes them.

A stream is of AWS event-stream messages: a prelude (total length, headers' length, CRC-32 of both), the headers, the
payload, and the CRC-32 of all before. botocore/eventstream.py reads them and no library of ours writes them.
"""

from __future__ import annotations

import json
import struct
import uuid
from typing import Any, Literal
from zlib import crc32

from switchyard.devstack.simulators.models.exchange import (
    ModelReply,
    Prompt,
    ReplyBlock,
    Transcript,
    reading_request,
    to_json,
)
from switchyard.devstack.simulators.models.plan import FailureResponse, Omission

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
_STOPS = {"end": "end_turn", "tools": "tool_use"}
_STRING_HEADER = 7


def read_converse_request(model: str, body: bytes, *, stream: bool) -> Prompt:
    """The request. Raises `InvalidModelRequest` for one that Bedrock would refuse."""
    transcript = Transcript()
    with reading_request():
        request = json.loads(body)
        for block in request.get("system", ()):
            transcript.system(block.get("text", ""))
        for message in request["messages"]:
            text = "".join(block.get("text", "") for block in message["content"])
            if message["role"] == "assistant":
                transcript.assistant(text)
            for block in message["content"]:
                if use := block.get("toolUse"):
                    transcript.call(use["toolUseId"], use["name"], json.dumps(use["input"], ensure_ascii=False))
                if result := block.get("toolResult"):
                    parts = (
                        part.get("text") or json.dumps(part["json"], ensure_ascii=False) for part in result["content"]
                    )
                    transcript.result(result["toolUseId"], "".join(parts))
            if message["role"] == "user":
                transcript.user(text)
        tools = request.get("toolConfig", {}).get("tools", ())
        return transcript.prompt(
            wire="bedrock",
            model=model,
            stream=stream,
            tools=tuple(tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool),
            wants_json=request.get("outputConfig", {}).get("textFormat", {}).get("type") == "json_schema",
        )


class BedrockWire:
    """Writes one Converse response. The stream methods give the bytes to send, in the order of the stream."""

    stream_type = "application/vnd.amazon.eventstream"
    timeout_status = 408

    def __init__(self) -> None:
        self.headers = {"x-amzn-RequestId": str(uuid.uuid4())}

    def whole(self, reply: ModelReply, usage: tuple[int, int], elapsed_ms: int) -> bytes:
        """The body of Converse."""
        content = [
            {"toolUse": {"toolUseId": block.call_id, "name": block.tool, "input": block.args}}
            if block.tool
            else {"text": block.text}
            for block in reply.blocks
        ]
        output = {"message": {"role": "assistant", "content": content}}
        return to_json({"output": output, **_stop(reply), **_metadata(usage, elapsed_ms)})

    def opening(self) -> bytes:
        """messageStart."""
        return encode_event("messageStart", {"role": "assistant"})

    def block_start(self, index: int, block: ReplyBlock) -> bytes:
        """contentBlockStart, which Bedrock sends for tool calls and not for text."""
        start = {"toolUse": {"toolUseId": block.call_id, "name": block.tool}}
        return encode_event("contentBlockStart", {"contentBlockIndex": index, "start": start}) if block.tool else b""

    def delta(self, index: int, block: ReplyBlock, piece: str) -> bytes:
        """contentBlockDelta."""
        delta = {"toolUse": {"input": piece}} if block.tool else {"text": piece}
        return encode_event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def block_stop(self, index: int) -> bytes:
        """contentBlockStop."""
        return encode_event("contentBlockStop", {"contentBlockIndex": index})

    def closing(
        self, reply: ModelReply, usage: tuple[int, int], elapsed_ms: int, omit: frozenset[Omission] = frozenset()
    ) -> bytes:
        """messageStop, and metadata with the usage."""
        stop = b"" if "stop" in omit else encode_event("messageStop", _stop(reply))
        return stop + encode_event("metadata", _metadata(usage, elapsed_ms))

    def error(self, failure: FailureResponse) -> tuple[int, bytes, dict[str, str]]:
        """An error as AWS answers it: the code in a header, the message in the body."""
        code, message = _CODES.get(failure.status, _CODES[500])
        headers = {**self.headers, "x-amzn-ErrorType": failure.code or code}
        return failure.status, to_json({"message": failure.message or message}), headers

    def error_frame(self, failure: FailureResponse) -> bytes:
        """An exception message; a code that the stream does not model becomes the nearest by status."""
        kind = (failure.code or "")[:1].lower() + (failure.code or "")[1:]
        if kind not in _STREAM_CODES.values():
            kind = _STREAM_CODES.get(failure.status, "internalServerException")
        message = failure.message or _CODES.get(failure.status, _CODES[500])[1]
        return encode_event(kind, {"message": message}, message_type="exception")


def encode_event(kind: str, payload: Any, *, message_type: Literal["event", "exception"] = "event") -> bytes:
    """An event-stream message with a JSON payload."""
    return frame_event(kind, to_json(payload), message_type=message_type)


def frame_event(kind: str, body: bytes, *, message_type: Literal["event", "exception"] = "event") -> bytes:
    """An event-stream message with this payload."""
    headers = b""
    named = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    for name, value in named.items():
        headers += struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), _STRING_HEADER, len(value))
        headers += value.encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    framed = prelude + struct.pack("!I", crc32(prelude)) + headers + body
    return framed + struct.pack("!I", crc32(framed))


def _stop(reply: ModelReply) -> dict[str, Any]:
    return {"stopReason": _STOPS.get(reply.stop, reply.stop)}


def _metadata(usage: tuple[int, int], elapsed_ms: int) -> dict[str, Any]:
    counted = {"inputTokens": usage[0], "outputTokens": usage[1], "totalTokens": sum(usage)}
    return {"usage": counted, "metrics": {"latencyMs": elapsed_ms}}
