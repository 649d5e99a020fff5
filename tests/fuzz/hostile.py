"""Hostile documents, and the bounds within which a parser must refuse them."""

from __future__ import annotations

import copy
import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

CPU_S = 2.0
"""Of one example, on a slow machine and under the tracer of memory: a real one takes milliseconds."""

PEAK_BYTES = 32 * 1024 * 1024
PEAK_PER_BYTE = 200

_TEXTS = st.one_of(
    st.text(st.characters(), max_size=20),  # lone surrogates and NUL included
    st.sampled_from(
        ["\x00", "\ud800", "\udfff\ud83d", "a" * 5_000, "9999-12-31T23:59:59.999999Z", "0001-01-01", "NaN", "é"]
    ),
)
_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**40, 2**53, 2**63, 2**64, -0.0, 1e308, float("inf"), float("nan")]),
)


def _nested(depth: int, *, objects: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if objects else [value]
    return value


values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    _TEXTS,
    st.lists(st.one_of(_NUMBERS, _TEXTS, st.none()), max_size=4),
    st.dictionaries(_TEXTS, st.one_of(_NUMBERS, _TEXTS), max_size=4),
    st.builds(_nested, st.integers(1, 300), objects=st.booleans()),
)
"""What no field expects."""

BOMBS = [
    *("[" * depth for depth in (65, 201, 1_000, 5_000, 100_000)),
    *('{"a":' * depth for depth in (65, 201, 1_000, 5_000, 100_000)),
    "[" * 5_000 + "]" * 5_000,
    '{"a":' * 5_000 + "1" + "}" * 5_000,
    '{"a":[' * 2_500 + "]}" * 2_500,
    '{"a":' + "9" * 100_000 + "}",
    '{"a":1e' + "9" * 10_000 + "}",
    '{"a":-' + "1" * 5_000 + ".5}",
    '{"a":"' + "\\u0000" * 20_000 + '"}',
    '{"a":"\\ud800"}',
    '{"a":"\\uDBFF\\uDBFF"}',
    '{"a":"' + '\\"' * 50_000 + '"}',
    '"' * 100_000,
    "{" + ",".join(f'"a":{n}' for n in range(5_000)) + "}",
    '{"a":NaN,"b":Infinity}',
    '\ufeff{"a":1}',
    "\x00",
    "",
    "null",
    "<html>" * 10_000,
    "[[]," * 20_000,
]
"""Texts that have broken parsers."""


@st.composite
def documents(draw: st.DrawFn, valid: Any) -> str:
    """A text near a valid document: fields replaced, removed or added, then the text cut, wrapped or spoilt."""
    document = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        document = _spoilt(draw, document)
    return _distorted(draw, json.dumps(document, ensure_ascii=draw(st.booleans())))


def _spoilt(draw: st.DrawFn, document: Any) -> Any:
    places = list(_places(document))
    if not places:
        return draw(values)
    holder, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "add", "swap"])):
        case "remove" if isinstance(holder, dict):
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder[draw(_TEXTS)] = draw(values)
        case "swap":
            other, name = draw(st.sampled_from(places))
            holder[key] = copy.deepcopy(other[name])
        case _:
            holder[key] = draw(values)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    match document:
        case dict():
            for key, value in document.items():
                yield document, key
                yield from _places(value)
        case list():
            for index, value in enumerate(document):
                yield document, index
                yield from _places(value)


def _distorted(draw: st.DrawFn, text: str) -> str:
    match draw(st.sampled_from(["keep", "keep", "keep", "cut", "insert", "wrap", "twice", "mark"])):
        case "cut":
            return text[: draw(st.integers(0, len(text)))]
        case "insert":
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(st.text(max_size=5)) + text[at:]
        case "wrap":
            depth = draw(st.integers(1, 3_000))
            return "[" * depth + text + "]" * depth
        case "twice":
            return text + text
        case "mark":
            return "\ufeff" + text
        case _:
            return text


def bodies(valid: Any) -> st.SearchStrategy[str]:
    """Texts for a parser of `valid`'s kind: near ones, bombs, and anything."""
    return st.one_of(
        documents(valid), documents(valid), st.integers(0, len(BOMBS) - 1).map(BOMBS.__getitem__), st.text(max_size=200)
    )


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Fail if the work takes more time or memory than a document of this size may."""
    tracemalloc.start(1)
    began = time.process_time()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    spent = time.process_time() - began
    assert spent < CPU_S, f"{spent:.1f} s of CPU for {size} characters"
    assert peak < PEAK_BYTES + PEAK_PER_BYTE * size, f"{peak} bytes for {size} characters"
