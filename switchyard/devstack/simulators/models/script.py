"""What a script says: rules, conditions and replies, read from YAML. README.md describes the format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from switchyard.devstack.simulators.models.exchange import WireName
from switchyard.devstack.simulators.models.faults import FaultLabel, ModelFault
from switchyard.runtime.core.yaml_file import UnreadableFile, read_yaml

DEFAULT_SCRIPT = Path(__file__).with_name("script.yaml")
NonEmpty = Annotated[str, Field(min_length=1)]


class ScriptError(Exception):
    """A script cannot be used. The message names the file, the rule and the field, and says what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextMatch(_Part):
    """Fits a text with all of `contains` and one of `any` in it, in any case, in which `regex` finds something."""

    contains: tuple[NonEmpty, ...] = ()
    any: tuple[NonEmpty, ...] = ()
    regex: str | None = None
    _compiled: re.Pattern[str] = PrivateAttr(default=re.compile(""))

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"contains": [value]}
        if isinstance(value, dict) and isinstance(value.get("contains"), str):
            return {**value, "contains": [value["contains"]]}
        return value

    @model_validator(mode="after")
    def _compile(self) -> Self:
        try:
            self._compiled = re.compile(self.regex or "", re.DOTALL)
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error}): correct it, or use `contains`") from error
        return self

    def find(self, text: str) -> re.Match[str] | None:
        """The match of the expression, which is empty without one; None if the text does not fit."""
        lowered = text.lower()
        contained = all(wanted.lower() in lowered for wanted in self.contains)
        fits = contained and (not self.any or any(wanted.lower() in lowered for wanted in self.any))
        return self._compiled.search(text) if fits else None


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

    def texts(self) -> Iterator[tuple[str, TextMatch]]:
        """The text conditions in the order in which their groups are numbered."""
        for name in ("user", "prompt", "system", "tool_result"):
            if (wanted := getattr(self, name)) is not None:
                yield name, wanted


class ToolSpec(_Part):
    """A tool to call."""

    name: NonEmpty
    args: dict[str, Any] = {}


class ComposeSpec(_Part):
    """A text made of the JSON between two tags of the prompt: `each` for every item, `none` for an empty list."""

    block: NonEmpty
    each: NonEmpty
    none: str = ""


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


class ScriptRule(_Part):
    """When a call is like this, answer that."""

    name: Annotated[FaultLabel, Field(min_length=1)]
    about: str = ""
    when: RuleCondition
    compose: dict[str, ComposeSpec] = {}
    reply: ReplySpec
    fault: ModelFault | None = None


class SimulatorScript(_Part):
    """All rules in the order in which they are tried. `shared` is for YAML anchors that the rules refer to."""

    shared: Any = None
    rules: tuple[ScriptRule, ...] = ()


def load_scripts(paths: Sequence[Path]) -> SimulatorScript:
    """Read script files, or all *.yaml files of folders by name, as one script. Raises `ScriptError`."""
    rules: dict[str, ScriptRule] = {}
    for path in paths:
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not found:
            raise ScriptError(f"{path}: the folder has no *.yaml file; name another, or leave --script out")
        for file in found:
            for rule in _read(file).rules:
                if rule.name in rules:
                    raise ScriptError(f"{file}: two rules are named {rule.name!r}: rename one, counts are kept by name")
                rules[rule.name] = rule
    return SimulatorScript(rules=tuple(rules.values()))


def _read(path: Path) -> SimulatorScript:
    raw: Any = None
    try:
        raw = read_yaml(path) or {}
        return SimulatorScript.model_validate(raw)
    except UnreadableFile as error:
        raise ScriptError(f"{error}; check --script") from error
    except ValidationError as error:
        lines = (f"{path}: {_place(raw, each['loc'])}: {_remedy(each['type'], each['msg'])}" for each in error.errors())
        raise ScriptError("\n".join(lines)) from error


def _place(raw: Any, loc: tuple[int | str, ...]) -> str:
    if len(loc) < 2 or loc[0] != "rules" or not isinstance(loc[1], int):
        return ".".join(map(str, loc)) or "the file"
    rule = raw["rules"][loc[1]]
    name = repr(rule["name"]) if isinstance(rule, dict) and "name" in rule else f"number {loc[1] + 1}"
    return ", ".join([f"rule {name}", *([".".join(map(str, loc[2:]))] if loc[2:] else [])])


def _remedy(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field; switchyard/devstack/simulators/models/README.md lists them all"
    return "is missing; add it" if kind == "missing" else message.removeprefix("Value error, ")
