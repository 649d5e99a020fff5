"""A model call in the simulator's own words: what was asked and what is answered, whichever wire it came over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from switchyard.devstack.simulators.models import tokens

WireName = Literal["bedrock", "openai"]


class InvalidModelRequest(Exception):
    """The request is not one that the real service would accept. The message says which field and why."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the caller says a tool returned."""

    tool: str
    text: str


@dataclass(frozen=True)
class Prompt:
    """One request."""

    wire: WireName
    model: str
    stream: bool
    system: str
    conversation: str
    """Every message but the system's, tool calls and results included."""
    user: str
    """The last user message that has text."""
    results: tuple[ToolResult, ...]
    """Tool results since that message and since the model last spoke: what a next step would go on."""
    tools: tuple[str, ...]
    wants_json: bool
    """The caller asked for JSON text (OpenAI's `response_format`, Bedrock's `outputConfig.textFormat`)."""
    max_tokens: int | None

    @cached_property
    def everything(self) -> str:
        """All text of the request."""
        return f"{self.system}\n{self.conversation}"

    @cached_property
    def result_text(self) -> str:
        """The text of the latest tool results, one after the other."""
        return "\n".join(result.text for result in self.results)

    @cached_property
    def input_tokens(self) -> int:
        """Tokens of the system prompt and the messages. Tool definitions are not counted."""
        return tokens.count_tokens(self.everything)


class Transcript:
    """Reads a request's messages in order and keeps what a script can ask about."""

    def __init__(self) -> None:
        self._system: list[str] = []
        self._said: list[str] = []
        self._calls: dict[str, str] = {}
        self._results: list[ToolResult] = []
        self._user = ""

    def system(self, text: str) -> None:
        """A system or developer message."""
        self._system.append(text)

    def user(self, text: str) -> None:
        """Text by the user. It opens a new turn: results before it no longer count as the latest."""
        if text:
            self._user = text
            self._said.append(text)
            self._results.clear()

    def assistant(self, text: str) -> None:
        """A message by the model: results before it have been dealt with."""
        self._results.clear()
        if text:
            self._said.append(text)

    def call(self, call_id: str, tool: str, arguments: str) -> None:
        """A tool call that the model made."""
        self._calls[call_id] = tool
        self._said.append(f"{tool} {arguments}")

    def result(self, call_id: str, text: str) -> None:
        """A tool's result. Raises `InvalidModelRequest` if no call in the conversation has this id."""
        tool = self._calls.get(call_id)
        if tool is None:
            raise InvalidModelRequest(f"a tool result refers to the call {call_id!r}, which no earlier message makes")
        self._results.append(ToolResult(tool, text))
        self._said.append(text)

    def prompt(
        self,
        *,
        wire: WireName,
        model: str,
        stream: bool,
        tools: tuple[str, ...],
        wants_json: bool,
        max_tokens: int | None,
    ) -> Prompt:
        """The request as the rules see it."""
        return Prompt(
            wire=wire,
            model=model,
            stream=stream,
            system="\n".join(self._system),
            conversation="\n".join(self._said),
            user=self._user,
            results=tuple(self._results),
            tools=tools,
            wants_json=wants_json,
            max_tokens=max_tokens,
        )


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text that the model says."""

    text: str

    @property
    def streamed(self) -> str:
        """What goes over the wire piece by piece."""
        return self.text


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks for."""

    id: str
    name: str
    args: dict[str, Any]
    args_json: str

    @property
    def streamed(self) -> str:
        """What goes over the wire piece by piece."""
        return self.args_json


ReplyBlock = TextBlock | ToolCall
StopReason = Literal["end", "tools", "length"]


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One answer: what is said, in order, and why it ends."""

    blocks: tuple[ReplyBlock, ...]
    stop: StopReason


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one call, by the simulator's count."""

    input_tokens: int
    output_tokens: int
