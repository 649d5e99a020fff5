"""Estimated token counts, if the vendor reports none: four characters per token, rounded up."""

from collections.abc import Iterable

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import ModelRequestParameters

CHARACTERS_PER_TOKEN = 4
"""Both vendors' rule of thumb for English: https://platform.openai.com/tokenizer."""


def estimate_tokens(characters: int) -> int:
    """Estimated tokens of a number of characters."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def estimate_prompt_tokens(messages: Iterable[ModelMessage], parameters: ModelRequestParameters) -> int:
    """Estimated tokens of the prompt: text parts and tool arguments; pictures and schemas are not counted."""
    characters = sum(len(part.content) for part in parameters.instruction_parts or ())
    for message in messages:
        for part in message.parts:
            content = getattr(part, "content", None) or getattr(part, "args", None)
            characters += _length(content)
        if isinstance(message, ModelRequest) and not parameters.instruction_parts:
            characters += len(message.instructions or "")
    return estimate_tokens(characters)


def streamed_characters(event: ModelResponseStreamEvent) -> int:
    """How many characters of output an event carried; a tool call's name is output too."""
    match event:
        case PartStartEvent(part=TextPart() | ThinkingPart() as part):
            return len(part.content)
        case PartStartEvent(part=ToolCallPart() as part):
            return len(part.tool_name) + _length(part.args)
        case PartDeltaEvent(delta=TextPartDelta() as delta):
            return len(delta.content_delta)
        case PartDeltaEvent(delta=ThinkingPartDelta() as delta):
            return len(delta.content_delta or "")
        case PartDeltaEvent(delta=ToolCallPartDelta() as delta):
            return _length(delta.args_delta)
        case _:
            return 0


def _length(content: object) -> int:
    if content is None:
        return 0
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list | tuple):
        return sum(_length(item) for item in content)
    if isinstance(content, dict):
        return sum(len(str(key)) + _length(value) for key, value in content.items())
    text = getattr(content, "content", None)
    return len(text) if isinstance(text, str) else 0
