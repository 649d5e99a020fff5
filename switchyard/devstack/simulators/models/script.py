"""What a script says: rules, conditions and replies. README.md describes the format for those who write one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from switchyard.devstack.simulators.models import render
from switchyard.devstack.simulators.models.exchange import WireName
from switchyard.devstack.simulators.models.faults import FaultLabel, ModelFault

BUILT_IN_PLACEHOLDERS = frozenset({"user", "model"})
"""Placeholders that every reply may use: the last user message and the model's id."""

NonEmpty = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextMatch(_Part):
    """Text that must be contained, all of it and in any case, or a regular expression that must be found."""

    contains: tuple[NonEmpty, ...] = ()
    regex: str | None = None
    _compiled: re.Pattern[str] | None = PrivateAttr(default=None)
    _lowered: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if isinstance(value, str):
            return {"contains": [value]}
        if isinstance(value, dict) and isinstance(value.get("contains"), str):
            return {**value, "contains": [value["contains"]]}
        return value

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if not self.contains and self.regex is None:
            raise ValueError("matches nothing in particular: write a text, or `contains`, or `regex`")
        self._lowered = tuple(text.lower() for text in self.contains)
        if self.regex is not None:
            try:
                self._compiled = re.compile(self.regex, re.DOTALL)
            except re.error as error:
                raise ValueError(f"is not a regular expression ({error}): correct it, or use `contains`") from error
        return self

    @property
    def groups(self) -> tuple[int, frozenset[str]]:
        """How many groups the expression has, and the names among them."""
        if self._compiled is None:
            return 0, frozenset()
        return self._compiled.groups, frozenset(self._compiled.groupindex)

    def find(self, text: str) -> re.Match[str] | bool:
        """The match of the expression; without one, whether the text is contained."""
        if self._lowered:
            lowered = text.lower()
            if not all(wanted in lowered for wanted in self._lowered):
                return False
        return True if self._compiled is None else self._compiled.search(text) or False


class RuleCondition(_Part):
    """The calls a rule is for. Everything given must hold; what is left out does not matter."""

    model: str = "*"
    wire: WireName | None = None
    user: TextMatch | None = None
    system: TextMatch | None = None
    prompt: TextMatch | None = None
    tool_result: TextMatch | None = None
    tools: tuple[NonEmpty, ...] = ()
    after_tool: bool | NonEmpty | None = None

    @property
    def texts(self) -> tuple[tuple[str, TextMatch], ...]:
        """The text conditions in the order in which their groups are numbered."""
        named = (
            ("user", self.user),
            ("prompt", self.prompt),
            ("system", self.system),
            ("tool_result", self.tool_result),
        )
        return tuple((name, match) for name, match in named if match is not None)


class ToolSpec(_Part):
    """A tool to call."""

    name: NonEmpty
    args: dict[str, Any] = {}


class ComposeSpec(_Part):
    """A text made of the JSON between two tags of the prompt: one sentence for each of its items."""

    block: NonEmpty
    each: NonEmpty
    join: str = " "
    none: str = ""
    """The text if the block holds an empty list."""


class ReplySpec(_Part):
    """What is answered: text, tool calls (with text before them, if any), or structured output."""

    text: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    output: dict[str, Any] | None = None
    output_tool: NonEmpty = "final_result"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.text is None and not self.tools and self.output is None:
            raise ValueError("answers nothing: give one of text, tools, output")
        if self.output is not None and (self.tools or self.text is not None):
            raise ValueError("output stands alone: remove text and tools, or make them a rule of their own")
        return self

    @property
    def kind(self) -> str:
        """One word for listings."""
        return "output" if self.output is not None else "tools" if self.tools else "text"


class ScriptRule(_Part):
    """When a call is like this, answer that."""

    name: Annotated[FaultLabel, Field(min_length=1)]
    about: str = ""
    when: RuleCondition
    compose: dict[str, ComposeSpec] = {}
    reply: ReplySpec
    fault: ModelFault | None = None

    @model_validator(mode="after")
    def _placeholders_exist(self) -> Self:
        counted, known = 0, set(BUILT_IN_PLACEHOLDERS) | set(self.compose)
        for _, match in self.when.texts:
            groups, names = match.groups
            counted += groups
            known |= names
        known |= {str(number + 1) for number in range(counted)}
        used = render.placeholder_names(
            [self.reply.text or "", [tool.args for tool in self.reply.tools], self.reply.output or {}]
        )
        for name in used:
            if name not in known:
                raise ValueError(
                    f"uses ${name}, which no group in `when` and no entry in `compose` defines: "
                    f"known are {', '.join(sorted(known))}; write $$ for a dollar sign"
                )
        return self


class SimulatorScript(_Part):
    """All rules in the order in which they are tried, and the model ids that GET /v1/models lists."""

    models: tuple[NonEmpty, ...] = ()
    rules: tuple[ScriptRule, ...] = ()

    @field_validator("rules")
    @classmethod
    def _names_are_unique(cls, rules: tuple[ScriptRule, ...]) -> tuple[ScriptRule, ...]:
        seen: set[str] = set()
        for rule in rules:
            if rule.name in seen:
                raise ValueError(f"two rules are named {rule.name!r}: rename one, counts are kept by name")
            seen.add(rule.name)
        return rules
