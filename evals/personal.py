"""Stand-ins for personal data: of the fields that a contract marks as personal, and of what looks like it in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_STAND_INS: Mapping[str, str] = {
    "first_name": "Alex",
    "last_name": "Morgan",
    "address": "alex.morgan@example.com",
    "postal_code": "00000",
    "state": "OH",
    "reference": "****0000",
}
_USER = "alex.morgan@example.com"
_EMAIL = re.compile(r"[\w.%+'-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.$])\+?\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}(?!\w)|(?<!\w)\+\d{7,15}(?!\w)")
_SHORTEST = 3
"""Shorter values, such as a state's two letters, are part of ordinary words."""


@dataclass(frozen=True)
class Replacements:
    """What is replaced in texts; addresses and telephone numbers besides, but for those that are kept."""

    pairs: tuple[tuple[str, str], ...]
    kept: frozenset[str] = frozenset()

    def apply(self, text: str) -> str:
        """The text with stand-ins."""
        text = _EMAIL.sub(lambda found: found[0] if found[0] in self.kept else _USER, text)
        text = _PHONE.sub(lambda found: found[0] if _digits(found[0]) in self._numbers else "+15550100000", text)
        for value, stand_in in sorted(self.pairs, key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", _constant(stand_in), text, flags=re.IGNORECASE)
        return text

    @property
    def _numbers(self) -> frozenset[str]:
        return frozenset(_digits(value) for value in self.kept)


def replace_personal(found: M) -> tuple[M, Replacements]:
    """A document with stand-ins in its personal fields, and what to replace in texts about it. Personal text that has
    no stand-in is left out; what is not marked, such as the sender's own address, stays."""
    pairs: list[tuple[str, str]] = []
    changed = _replace(found, pairs)
    kept = frozenset(value for value in _texts(changed) if "@" in value or _PHONE.fullmatch(value))
    return type(found).model_validate_json(changed.model_dump_json(exclude_none=True)), Replacements(tuple(pairs), kept)


def replacements_for_user(user: str) -> Replacements:
    """What to replace in a question: the asker's id, and the names that it is made of."""
    local = user.partition("@")[0]
    words = [word for word in re.split(r"[^A-Za-z]+", local) if len(word) >= _SHORTEST]
    names = [(word, "Alex" if number == 0 else "Morgan") for number, word in enumerate(words)]
    whole = [pair for pair in ((user, _USER), (local, "alex.morgan")) if len(pair[0]) >= _SHORTEST]
    return Replacements((*whole, *names))


def _replace(model: Any, pairs: list[tuple[str, str]]) -> Any:
    changes: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("x-personal"):
            changes[name] = (
                None if value is None else _STAND_INS.get(name, field.get_default(call_default_factory=True))
            )
            if isinstance(value, str) and len(value) >= _SHORTEST and name in _STAND_INS:
                pairs.append((value, _STAND_INS[name]))
        elif isinstance(value, BaseModel):
            changes[name] = _replace(value, pairs)
        elif isinstance(value, tuple):
            changes[name] = tuple(_replace(each, pairs) if isinstance(each, BaseModel) else each for each in value)
    return model.model_copy(update=changes)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))
    elif isinstance(value, str):
        yield value


def _constant(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)[-10:]
