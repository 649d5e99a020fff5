"""Makes the reply that the script has for a prompt, or says plainly that it has none."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from switchyard.devstack.simulators.models import render, tokens
from switchyard.devstack.simulators.models.exchange import (
    ModelReply,
    Prompt,
    ReplyBlock,
    StopReason,
    TextBlock,
    ToolCall,
)
from switchyard.devstack.simulators.models.match import RuleMatch, match_rule
from switchyard.devstack.simulators.models.render import MissingPlaceholderValue
from switchyard.devstack.simulators.models.script import ComposeSpec, ReplySpec, ScriptRule

NO_RULE_REPLY = (
    "[model simulator] No rule of the script fits this prompt, so there is no answer to it. "
    "This is a scripted simulator, not a model: GET /sim/script lists what it knows."
)


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """A reply, the rule it comes from, and why it is not what the rule says, if it is not."""

    reply: ModelReply
    rule: ScriptRule | None
    problem: str | None = None

    @property
    def rule_name(self) -> str | None:
        """The rule's name, for counts."""
        return self.rule.name if self.rule else None


def answer_prompt(rules: Iterable[ScriptRule], prompt: Prompt) -> ScriptedAnswer:
    """What the script says to this prompt. Never invented: without a rule, the reply says that there is none."""
    match = match_rule(rules, prompt)
    if match is None:
        return ScriptedAnswer(_limited((TextBlock(NO_RULE_REPLY),), prompt), None, "no rule fits")
    try:
        return ScriptedAnswer(_limited(_blocks(match, prompt), prompt), match.rule)
    except MissingPlaceholderValue as reason:
        said = f"[model simulator] The rule {match.rule.name!r} fits this prompt but cannot answer it: {reason}."
        return ScriptedAnswer(_limited((TextBlock(said),), prompt), match.rule, str(reason))


def _blocks(match: RuleMatch, prompt: Prompt) -> tuple[ReplyBlock, ...]:
    values: dict[str, Any] = {"user": prompt.user, "model": prompt.model, **match.captured}
    for name, compose in match.rule.compose.items():
        values[name] = _composed(compose, prompt)
    reply = match.rule.reply
    if reply.output is not None:
        return (_structured(reply, render.render_value(reply.output, values), prompt),)
    blocks: list[ReplyBlock] = []
    if reply.text is not None:
        blocks.append(TextBlock(render.render_text(reply.text, values)))
    for tool in reply.tools:
        if tool.name not in prompt.tools:
            raise MissingPlaceholderValue(f"it calls the tool {tool.name}, which the request does not offer")
        blocks.append(_call(tool.name, render.render_value(tool.args, values)))
    return tuple(blocks)


def _composed(compose: ComposeSpec, prompt: Prompt) -> str:
    items = render.extract_block(compose.block, prompt.everything)
    if not items:
        return compose.none
    sentences = []
    for item in items:
        if not isinstance(item, dict):
            raise MissingPlaceholderValue(f"an item of <{compose.block}> is not an object")
        sentences.append(render.render_text(compose.each, item))
    return compose.join.join(sentences)


def _structured(reply: ReplySpec, output: dict[str, Any], prompt: Prompt) -> ReplyBlock:
    """Structured output in the way the caller asked for it: as JSON text, or as a call of its output tool."""
    if prompt.wants_json:
        return TextBlock(json.dumps(output, ensure_ascii=False))
    if reply.output_tool in prompt.tools:
        return _call(reply.output_tool, output)
    # pydantic-ai names one output tool per type when there are several: final_result_Approved, final_result_Refused.
    candidates = [tool for tool in prompt.tools if tool.startswith(reply.output_tool)]
    if len(candidates) > 1:
        raise MissingPlaceholderValue(f"{', '.join(candidates)} are offered: say which with output_tool")
    if candidates:
        return _call(candidates[0], output)
    return TextBlock(json.dumps(output, ensure_ascii=False))


def _call(name: str, args: dict[str, Any]) -> ToolCall:
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, args, json.dumps(args, ensure_ascii=False))


def _limited(blocks: tuple[ReplyBlock, ...], prompt: Prompt) -> ModelReply:
    """The reply within the caller's token limit: text is cut, and a tool call that does not fit is left out."""
    stop: StopReason = "tools" if any(isinstance(block, ToolCall) for block in blocks) else "end"
    if prompt.max_tokens is None:
        return ModelReply(blocks, stop)
    left = prompt.max_tokens
    kept: list[ReplyBlock] = []
    for block in blocks:
        pieces = tokens.split_tokens(block.streamed)
        if len(pieces) > left:
            if isinstance(block, TextBlock):
                kept.append(TextBlock("".join(pieces[:left])))
            return ModelReply(tuple(kept), "length")
        left -= len(pieces)
        kept.append(block)
    return ModelReply(blocks, stop)
