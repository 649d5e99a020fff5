"""Fills the placeholders of a reply with what the prompt said.

`$name` or `${name}` is a value, `$$` a dollar sign. `${name:int}`, `${name:number}` and `${name:json}` alone in a
string give a number or parsed JSON instead of a string. `${rows.0.total}` goes into objects and lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

PLACEHOLDER = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*|\d+)|\{(?P<braced>[A-Za-z_][\w.-]*|\d+)(?::(?P<kind>int|number|json))?\})"
)


class MissingPlaceholderValue(Exception):
    """The rule's reply needs a value that this prompt does not have. The message says which."""


def placeholder_names(value: Any) -> Iterator[str]:
    """The placeholders in a template or anywhere inside a JSON value, without the path into them."""
    if isinstance(value, str):
        for found in PLACEHOLDER.finditer(value):
            if not found["dollar"]:
                yield (found["plain"] or found["braced"]).split(".", 1)[0]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from placeholder_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from placeholder_names(item)


def render_text(template: str, values: Mapping[str, Any]) -> str:
    """The template with its placeholders filled. Raises `MissingPlaceholderValue`."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found["dollar"] else _as_text(_value(found, values))

    return PLACEHOLDER.sub(replace, template)


def render_value(value: Any, values: Mapping[str, Any]) -> Any:
    """A JSON value with the placeholders in its strings filled. Raises `MissingPlaceholderValue`."""
    if isinstance(value, str):
        alone = PLACEHOLDER.fullmatch(value)
        return _value(alone, values) if alone and alone["kind"] else render_text(value, values)
    if isinstance(value, Mapping):
        return {key: render_value(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [render_value(item, values) for item in value]
    return value


def extract_block(tag: str, source: str) -> list[Any]:
    """The JSON between the last `<tag>` and `</tag>` of a text, as a list. Raises `MissingPlaceholderValue`."""
    end = source.rfind(f"</{tag}>")
    start = source.rfind(f"<{tag}>", 0, max(end, 0))
    if start < 0:
        raise MissingPlaceholderValue(f"the prompt has no <{tag}>…</{tag}>")
    try:
        parsed = json.loads(source[start + len(tag) + 2 : end])
    except ValueError as error:
        raise MissingPlaceholderValue(f"what stands in <{tag}> is not JSON: {error}") from error
    return parsed if isinstance(parsed, list) else [parsed]


def _value(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    path = found["plain"] or found["braced"]
    value: Any = values
    for part in path.split("."):
        value = _member(value, part, path)
    kind = found["kind"]
    if kind is None or not isinstance(value, str):
        return value
    try:
        return int(value) if kind == "int" else float(value) if kind == "number" else json.loads(value)
    except ValueError as error:
        raise MissingPlaceholderValue(f"{path} is {value!r}, which is not {kind}") from error


def _member(value: Any, part: str, path: str) -> Any:
    try:
        if isinstance(value, list):
            return value[int(part)]
        if isinstance(value, Mapping):
            return value[part]
    except (KeyError, IndexError, ValueError) as error:
        raise MissingPlaceholderValue(f"there is no {path}") from error
    raise MissingPlaceholderValue(f"there is no {path}: {part} is looked for in plain text")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
