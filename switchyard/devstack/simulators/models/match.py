"""Finds the rule for a prompt: the first whose every condition holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from switchyard.devstack.simulators.models.exchange import Prompt
from switchyard.devstack.simulators.models.script import RuleCondition, ScriptRule


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A rule that fits, and what its regular expressions captured: numbered from 1 and by name."""

    rule: ScriptRule
    captured: dict[str, str]


def match_rule(rules: Iterable[ScriptRule], prompt: Prompt) -> RuleMatch | None:
    """The first rule that fits, if any."""
    for rule in rules:
        captured = _captures(rule.when, prompt) if _concerns(rule.when, prompt) else None
        if captured is not None:
            return RuleMatch(rule, captured)
    return None


def _concerns(when: RuleCondition, prompt: Prompt) -> bool:
    return (
        fnmatchcase(prompt.model, when.model)
        and (when.wire is None or when.wire == prompt.wire)
        and all(tool in prompt.tools for tool in when.tools)
        and _at_step(when.after_tool, prompt)
    )


def _at_step(after_tool: bool | str | None, prompt: Prompt) -> bool:
    if after_tool is None:
        return True
    if isinstance(after_tool, bool):
        return after_tool is bool(prompt.results)
    return any(result.tool == after_tool for result in prompt.results)


def _captures(when: RuleCondition, prompt: Prompt) -> dict[str, str] | None:
    sources = {
        "user": prompt.user,
        "prompt": prompt.everything,
        "system": prompt.system,
        "tool_result": prompt.result_text,
    }
    numbered: list[str] = []
    named: dict[str, str] = {}
    for source, wanted in when.texts:
        found = wanted.find(sources[source])
        if found is False:
            return None
        if isinstance(found, re.Match):
            # A group that took no part is empty text: a reply with it stays possible.
            numbered += found.groups("")
            named |= found.groupdict("")
    return {str(number): value for number, value in enumerate(numbered, 1)} | named
