"""OpenAI's chat completions: a stream without its end mark broke off, and the SDK takes it for a whole one."""

import re
from collections.abc import AsyncIterator
from typing import Any

import openai

from latency_failover.connections import current_connections
from latency_failover.errors import IncompleteAnswer, MalformedAnswer

_END_MARK = re.compile(rb"[\r\n]data: ?\[DONE\]")
_TAIL_BYTES = 64
"""Kept between chunks: more than the mark needs."""

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Of one stream. A real one has less than a hundredth of it."""


def require_end_mark(client: openai.AsyncOpenAI) -> None:
    """Make every streamed chat completion of this client raise `IncompleteAnswer` without `[DONE]`. Safe to repeat.

    Raises:
        TypeError: this openai keeps its HTTP client elsewhere; `latency_failover.openai` must be adapted to it.
    """
    http = getattr(client, "_client", None)
    if http is None:
        raise TypeError("this openai keeps its HTTP client elsewhere: adapt latency_failover.openai to it")
    hooks = http.event_hooks
    if _watch_response not in hooks["response"]:
        http.event_hooks = {**hooks, "response": [*hooks["response"], _watch_response]}


async def _watch_response(response: Any) -> None:
    connections = current_connections.get()
    if connections is not None:
        connections.answered = True
    streamed = response.headers.get("content-type", "").startswith("text/event-stream")
    if streamed and response.request.url.path.endswith("/chat/completions"):
        response.aiter_bytes = _marked(response.aiter_bytes)


def _marked(read: Any) -> Any:
    async def read_to_mark(*args: Any, **options: Any) -> AsyncIterator[bytes]:
        tail, size, ended = b"\n", 0, False  # the stream begins a line
        async for chunk in read(*args, **options):
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise MalformedAnswer("too_long")
            tail += chunk
            ended = ended or _END_MARK.search(tail) is not None
            tail = tail[-_TAIL_BYTES:]
            yield chunk
        if not ended:
            raise IncompleteAnswer("no_end_mark", "error")

    return read_to_mark
