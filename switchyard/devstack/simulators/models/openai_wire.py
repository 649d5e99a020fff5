"""OpenAI's Chat Completions, whole and as server-sent events."""

from __future__ import annotations

import json
import math
import time
import uuid
from typing import Any

from switchyard.devstack.simulators.models.exchange import (
    ModelReply,
    Prompt,
    ReplyBlock,
    Transcript,
    reading_request,
    to_json,
)
from switchyard.devstack.simulators.models.plan import FailureResponse, Omission

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
_STOPS = {"end": "stop", "tools": "tool_calls"}


def read_chat_request(body: bytes) -> tuple[Prompt, bool]:
    """The request, and whether a stream is to end with the usage.

    Raises `InvalidModelRequest` for one OpenAI would refuse.
    """
    transcript = Transcript()
    with reading_request():
        request = json.loads(body)
        for message in request["messages"]:
            content = message.get("content") or ""
            text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
            match message["role"]:
                case "system" | "developer":
                    transcript.system(text)
                case "user":
                    transcript.user(text)
                case "assistant":
                    transcript.assistant(text)
                    for call in message.get("tool_calls") or ():
                        transcript.call(call["id"], call["function"]["name"], call["function"]["arguments"])
                case "tool":
                    transcript.result(message["tool_call_id"], text)
        prompt = transcript.prompt(
            wire="openai",
            model=request["model"],
            stream=bool(request.get("stream")),
            tools=tuple(tool["function"]["name"] for tool in request.get("tools") or () if "function" in tool),
            wants_json=(request.get("response_format") or {}).get("type", "text") != "text",
        )
        return prompt, bool((request.get("stream_options") or {}).get("include_usage"))


class OpenAIWire:
    """Writes one chat completion. The stream methods give the bytes to send, in the order of the stream."""

    stream_type = "text/event-stream; charset=utf-8"
    timeout_status = 504

    def __init__(self, model: str = "", *, include_usage: bool = False) -> None:
        self.headers = {"x-request-id": f"req_{uuid.uuid4().hex}"}
        self._include_usage = include_usage
        self._tool_indexes: dict[int, int] = {}
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, reply: ModelReply, usage: tuple[int, int], elapsed_ms: int) -> bytes:
        """The body of a chat completion."""
        text = "".join(block.text for block in reply.blocks if not block.tool)
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        calls = [
            {"id": block.call_id, "type": "function", "function": {"name": block.tool, "arguments": block.text}}
            for block in reply.blocks
            if block.tool
        ]
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _STOPS.get(reply.stop, reply.stop)}
        return to_json({**self._head, "object": "chat.completion", "choices": [choice], "usage": _usage(usage)})

    def opening(self) -> bytes:
        """The chunk with the role."""
        return self._choice({"role": "assistant", "content": ""})

    def block_start(self, index: int, block: ReplyBlock) -> bytes:
        """The chunk that names a tool call; text has none."""
        if not block.tool:
            return b""
        number = self._tool_indexes.setdefault(index, len(self._tool_indexes))
        function = {"name": block.tool, "arguments": ""}
        call = {"index": number, "id": block.call_id, "type": "function", "function": function}
        return self._choice({"tool_calls": [call]})

    def delta(self, index: int, block: ReplyBlock, piece: str) -> bytes:
        """A chunk of text or arguments."""
        if not block.tool:
            return self._choice({"content": piece})
        return self._choice({"tool_calls": [{"index": self._tool_indexes[index], "function": {"arguments": piece}}]})

    def block_stop(self, index: int) -> bytes:
        """Nothing: the wire does not mark it."""
        return b""

    def closing(
        self, reply: ModelReply, usage: tuple[int, int], elapsed_ms: int, omit: frozenset[Omission] = frozenset()
    ) -> bytes:
        """The chunk with the finish reason, the one with the usage if it was asked for, and the end mark."""
        end = b"" if "stop" in omit else self._choice({}, _STOPS.get(reply.stop, reply.stop))
        if self._include_usage:
            end += self._chunk(choices=[], usage=_usage(usage))
        return end if "done" in omit else end + b"data: [DONE]\n\n"

    def error(self, failure: FailureResponse) -> tuple[int, bytes, dict[str, str]]:
        """An error as OpenAI answers it."""
        headers = dict(self.headers)
        if failure.retry_after_s is not None:
            headers["retry-after"] = str(math.ceil(failure.retry_after_s))
            headers["retry-after-ms"] = str(round(failure.retry_after_s * 1000))
        return failure.status, to_json(_error(failure)), headers

    def error_frame(self, failure: FailureResponse) -> bytes:
        """An error object in place of a chunk."""
        return b"data: " + to_json(_error(failure)) + b"\n\n"

    def _choice(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk(choices=[choice], **({"usage": None} if self._include_usage else {}))

    def _chunk(self, **fields: Any) -> bytes:
        return b"data: " + to_json({**self._head, "object": "chat.completion.chunk", **fields}) + b"\n\n"


def _error(failure: FailureResponse) -> dict[str, Any]:
    kind, code, message = _ERRORS.get(failure.status, _SERVER_ERROR)
    error = {"message": failure.message or message, "type": kind, "param": None, "code": failure.code or code}
    return {"error": error}


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
