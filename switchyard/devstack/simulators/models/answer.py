"""Makes the reply that the script has for a prompt, or says plainly that it has none.

Placeholders in a reply: `$name` or `${name}` is a value, `$$` a dollar sign, `${rows.0.total}` goes into objects and
lists.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from switchyard.devstack.simulators.models.exchange import ModelReply, Prompt, ReplyBlock, StopReason
from switchyard.devstack.simulators.models.script import ComposeSpec, ReplySpec, RuleCondition, ScriptRule

NOT_SCRIPTED = "not_scripted"
"""The error code of a call that the script has no answer to."""

NO_RULE_REPLY = (
    "[model simulator] No rule of the script fits this prompt, so there is no answer to it. "
    "This is a scripted simulator, not a model. Remedy: use a real model, or add a rule to the script."
)
_PLACEHOLDER = re.compile(r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*|\d+)|\{(?P<braced>[A-Za-z_][\w.-]*|\d+)\})")


class MissingPlaceholderValue(Exception):
    """The rule's reply needs what this prompt does not have. The message says what."""


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """A reply, the rule it comes from, and why it is not what the rule says, if it is not."""

    reply: ModelReply
    rule: ScriptRule | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A rule that fits, and what its regular expressions captured: numbered from 1 and by name."""

    rule: ScriptRule
    captured: dict[str, str]


def answer_prompt(rules: Iterable[ScriptRule], prompt: Prompt) -> ScriptedAnswer:
    """What the script says to this prompt. Never invented: without a rule, the reply says so."""
    match = match_rule(rules, prompt)
    if match is None:
        return ScriptedAnswer(_text(NO_RULE_REPLY), None, "no rule fits")
    try:
        blocks = _blocks(match, prompt)
        stop: StopReason = "tools" if any(block.tool for block in blocks) else "end"
        return ScriptedAnswer(ModelReply(blocks, stop), match.rule)
    except MissingPlaceholderValue as reason:
        text = f"[model simulator] The rule {match.rule.name!r} fits this prompt but cannot answer it: {reason}."
        return ScriptedAnswer(_text(text), match.rule, str(reason))


def _text(text: str) -> ModelReply:
    return ModelReply((ReplyBlock(text),), "end")


def match_rule(rules: Iterable[ScriptRule], prompt: Prompt) -> RuleMatch | None:
    """The first rule whose every condition holds, if any."""
    for rule in rules:
        captured = _captures(rule.when, prompt) if _applies(rule.when, prompt) else None
        if captured is not None:
            return RuleMatch(rule, captured)
    return None


def _applies(when: RuleCondition, prompt: Prompt) -> bool:
    used = {tool for tool, _ in prompt.results}
    at_step = when.after_tool is None or when.after_tool in used or when.after_tool is bool(used)
    return (
        at_step
        and fnmatchcase(prompt.model, when.model)
        and when.wire in {None, prompt.wire}
        and set(when.tools) <= set(prompt.tools)
    )


def _captures(when: RuleCondition, prompt: Prompt) -> dict[str, str] | None:
    results = "\n".join(text for _, text in prompt.results)
    sources = {"user": prompt.user, "prompt": prompt.everything, "system": prompt.system, "tool_result": results}
    numbered: list[str] = []
    named: dict[str, str] = {}
    for source, wanted in when.texts():
        if (found := wanted.find(sources[source])) is None:
            return None
        # A group that took no part is empty text: a reply with it stays possible.
        numbered += found.groups("")
        named |= found.groupdict("")
    return {str(number): value for number, value in enumerate(numbered, 1)} | named


def _blocks(match: RuleMatch, prompt: Prompt) -> tuple[ReplyBlock, ...]:
    composed = {name: _compose(spec, prompt) for name, spec in match.rule.compose.items()}
    values = {"user": prompt.user, "model": prompt.model, **match.captured, **composed}
    reply = match.rule.reply
    if reply.output is not None:
        return (_structured(reply, _fill(reply.output, values), prompt),)
    blocks = [] if reply.text is None else [ReplyBlock(_fill_text(reply.text, values))]
    for tool in reply.tools:
        if tool.name not in prompt.tools:
            raise MissingPlaceholderValue(f"it calls the tool {tool.name}, which the request does not offer")
        blocks.append(_call(tool.name, _fill(tool.args, values)))
    return tuple(blocks)


def _compose(compose: ComposeSpec, prompt: Prompt) -> str:
    """The JSON between the last `<block>` and `</block>` of the prompt, as text."""
    tag, source = compose.block, prompt.everything
    end = source.rfind(f"</{tag}>")
    start = source.rfind(f"<{tag}>", 0, max(end, 0))
    if start < 0:
        raise MissingPlaceholderValue(f"the prompt has no <{tag}>…</{tag}>")
    try:
        items = json.loads(source[start + len(tag) + 2 : end])
    except ValueError as error:
        raise MissingPlaceholderValue(f"the text in <{tag}> is not JSON: {error}") from error
    return " ".join(_fill_text(compose.each, item) for item in items) or compose.none


def _structured(reply: ReplySpec, output: dict[str, Any], prompt: Prompt) -> ReplyBlock:
    """Structured output in the way the caller asked for it: as JSON text, or as a call of its output tool."""
    # pydantic-ai names one output tool per type when there are several: final_result_Approved, final_result_Refused.
    named = [tool for tool in prompt.tools if tool == reply.output_tool]
    candidates = named or [tool for tool in prompt.tools if tool.startswith(reply.output_tool)]
    if prompt.wants_json or not candidates:
        return ReplyBlock(json.dumps(output, ensure_ascii=False))
    if len(candidates) > 1:
        raise MissingPlaceholderValue(f"{', '.join(candidates)} are offered: say which with output_tool")
    return _call(candidates[0], output)


def _call(name: str, args: dict[str, Any]) -> ReplyBlock:
    return ReplyBlock(json.dumps(args, ensure_ascii=False), name, args, f"call_{uuid.uuid4().hex[:24]}")


def _fill(value: Any, values: Mapping[str, Any]) -> Any:
    """A JSON value with the placeholders in its strings filled. Raises `MissingPlaceholderValue`."""
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    return _fill_text(value, values) if isinstance(value, str) else value


def _fill_text(template: str, values: Any) -> str:
    def replace(found: re.Match[str]) -> str:
        value = "$" if found["dollar"] else _value(found["plain"] or found["braced"], values)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _PLACEHOLDER.sub(replace, template)


def _value(path: str, values: Any) -> Any:
    value = values
    for part in path.split("."):
        try:
            value = value[int(part) if isinstance(value, list) else part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise MissingPlaceholderValue(f"there is no {path}") from error
    return value
