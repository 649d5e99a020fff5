"""A model call in the simulator's own words: what was asked and what is answered, over any wire.

Tokens follow a fixed rule, so that counts, pacing and budgets are the same on every run: a token is up to four
characters of a word with the white space before it. It is not the count that any vendor would bill.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

WireName = Literal["bedrock", "openai"]
StopReason = Literal["end", "tools"]
_TOKEN = re.compile(r"\s*\S{1,4}|\s+$")


class InvalidModelRequest(Exception):
    """The request is not one that the real service would accept. The message says why."""


@contextmanager
def reading_request() -> Iterator[None]:
    """Around code that takes a body apart: raises `InvalidModelRequest` for one of another shape."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidModelRequest(f"the body is not such a request: {type(error).__name__}: {error}") from error


def split_tokens(text: str) -> list[str]:
    """The tokens of a text, in order. Joined, they are the text."""
    return _TOKEN.findall(text)


def to_json(value: Any) -> bytes:
    """Compact JSON, as both services write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Prompt:
    """One request. `user` is the last user message that has text, `conversation` all but the system prompt.

    `results` are the tools' results, by tool, since that message and since the model last spoke: what a next step would
    go on. `wants_json`: JSON text was asked for (OpenAI's `response_format`, Bedrock's `outputConfig.textFormat`).
    """

    wire: WireName
    model: str
    stream: bool
    system: str
    conversation: str
    user: str
    results: tuple[tuple[str, str], ...]
    tools: tuple[str, ...]
    wants_json: bool

    @property
    def everything(self) -> str:
        """All text of the request."""
        return f"{self.system}\n{self.conversation}"


class Transcript:
    """Reads a request's messages in order and keeps what a script can ask about."""

    def __init__(self) -> None:
        self._system: list[str] = []
        self._conversation: list[str] = []
        self._calls: dict[str, str] = {}
        self._results: list[tuple[str, str]] = []
        self._user = ""

    def system(self, text: str) -> None:
        """A system or developer message."""
        self._system.append(text)

    def user(self, text: str) -> None:
        """Text by the user. It opens a new turn: results before it no longer count as the latest."""
        if text:
            self._user = text
            self.assistant(text)

    def assistant(self, text: str) -> None:
        """A message by the model: results before it have been dealt with."""
        self._results.clear()
        if text:
            self._conversation.append(text)

    def call(self, call_id: str, tool: str, arguments: str) -> None:
        """A tool call that the model made."""
        self._calls[call_id] = tool
        self._conversation.append(f"{tool} {arguments}")

    def result(self, call_id: str, text: str) -> None:
        """A tool's result. Raises `InvalidModelRequest` if no call in the conversation has this id."""
        if call_id not in self._calls:
            raise InvalidModelRequest(f"a tool result refers to the call {call_id!r}, which no earlier message makes")
        self._results.append((self._calls[call_id], text))
        self._conversation.append(text)

    def prompt(self, **request: Any) -> Prompt:
        """The request as the rules see it; the other fields of a prompt are given."""
        system, conversation = "\n".join(self._system), "\n".join(self._conversation)
        return Prompt(
            system=system, conversation=conversation, user=self._user, results=tuple(self._results), **request
        )


@dataclass(frozen=True, slots=True)
class ReplyBlock:
    """Text; or the call of a tool, then `text` is its arguments as JSON."""

    text: str
    tool: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One answer: its blocks in order, and why it ends: a `StopReason`, or the word of the wire."""

    blocks: tuple[ReplyBlock, ...]
    stop: str
