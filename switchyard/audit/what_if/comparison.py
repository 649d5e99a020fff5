"""A recorded answer beside that of a what-if: fields, text, tokens and cost. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_DIGEST = re.compile(r"[0-9a-f]{64}")
MAX_FIELD_CHARS = 200


@dataclass(frozen=True)
class AnswerSide:
    """One of the two answers to a task."""

    outcome: str
    """The event's type; of a failure with its code."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    """What a person reads of the artefact, if there is one to read."""
    model: str | None = None
    """`vendor:model_id` of the model that was asked."""
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both ways."""
        return self.input_tokens + self.output_tokens

    @property
    def dollars(self) -> float | None:
        """The list price; None without a model, and for one without a price."""
        if self.model is None:
            return None
        from switchyard.runtime.budget.prices import MICROS, Prices

        vendor, _, model_id = self.model.partition(":")
        micros = Prices({}).micros(vendor, model_id, self.input_tokens, self.output_tokens)
        return None if micros is None else micros / MICROS


@dataclass(frozen=True)
class TaskComparison:
    """One task, as it was answered and as it would be."""

    node: str
    task: str
    then: AnswerSide | None
    """None for a task that the case did not have."""
    now: AnswerSide | None
    """None for a task that is not run again."""
    why: str = ""
    """Why it is not run, or cannot be."""

    @property
    def changes(self) -> tuple[str, ...]:
        """The fields that differ, without digests and places."""
        if self.then is None or self.now is None:
            return ()
        before, after = dict(_flat(self.then.payload)), dict(_flat(self.now.payload))
        return tuple(
            f"{name}: {_short(before.get(name))} -> {_short(after.get(name))}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        )

    @property
    def same_text(self) -> bool:
        """Whether a person would read the same."""
        return self.then is None or self.now is None or self.then.text == self.now.text

    @property
    def differs(self) -> bool:
        """Whether another outcome, another field or another text would have come of it."""
        if self.then is None or self.now is None:
            return self.now is not None
        return self.then.outcome != self.now.outcome or bool(self.changes) or not self.same_text

    @property
    def diff(self) -> tuple[str, ...]:
        """The texts' differing lines, as a unified diff without its header."""
        before = (self.then.text or "").splitlines() if self.then else []
        after = (self.now.text or "").splitlines() if self.now else []
        return tuple(difflib.unified_diff(before, after, lineterm="", n=1))[2:]

    @property
    def changed_lines(self) -> tuple[int, int]:
        """How many lines are new, and how many are gone."""
        return sum(line[:1] == "+" for line in self.diff), sum(line[:1] == "-" for line in self.diff)


@dataclass(frozen=True)
class CaseWhatIf:
    """A case: what would have differed, or why that cannot be said."""

    case_id: str
    outcome: str
    """How the case ended; `open` if it did not."""
    tasks: tuple[TaskComparison, ...] = ()
    then_goes_to: str = ""
    """From the first difference on, where the case would have ended or stopped; empty without a difference."""
    refused: str = ""
    """Why the case is not tried."""

    @property
    def status(self) -> str:
        """`refused`, `differs`, `same`, or `not_run` if it has no task to run again."""
        if self.refused:
            return "refused"
        if self.then_goes_to or any(task.differs for task in self.tasks):
            return "differs"
        if any(task.now is None for task in self.tasks):
            return "unknown"
        return "same" if self.tasks else "not_run"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if {"name", "sha256", "media_type"} <= value.keys():
            return  # an artefact: its text is compared
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple) and value and all(isinstance(each, dict) for each in value):
        key = _naming_key(value)
        for number, each in enumerate(value):
            rest = {name: one for name, one in each.items() if name != key}
            yield from _flat(rest, f"{path}.{each[key] if key else number}")
    elif isinstance(value, list | tuple):
        yield path, ", ".join(map(str, value))
    elif not (isinstance(value, str) and _DIGEST.fullmatch(value)):
        yield path, value


def _naming_key(items: Sequence[Mapping[str, Any]]) -> str | None:
    """The field by which items name themselves, such as a result its rule; None without one."""
    for key in items[0]:
        names = [item.get(key) for item in items]
        if all(isinstance(name, str) and not _DIGEST.fullmatch(name) for name in names) and len({*names}) == len(names):
            return key
    return None


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= MAX_FIELD_CHARS else f"{text[:MAX_FIELD_CHARS]}…"
