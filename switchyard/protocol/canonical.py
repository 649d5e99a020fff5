"""JSON of others in, strictly or leniently, and canonical JSON out.

Canonical means RFC 8785 (JSON Canonicalization Scheme) over the I-JSON subset that the contracts allow: no floats, no
NUL, no duplicate names, integers within ±(2**53 - 1).
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import rfc8785

from switchyard.protocol.errors import InvalidEvent, malformed, safe_field_name

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that every JSON implementation reads alike (RFC 7493, section 2.2)."""

MAX_JSON_DEPTH = 64
"""Objects and arrays within each other. Every parser stops somewhere (Python's near 1,000, pydantic's at 200)."""

MAX_EVENT_DEPTH = 60
"""For what we write: the bus wraps it, and the whole must still be within `MAX_JSON_DEPTH`."""

_MAX_INTEGER_CHARS = 17
_MAX_FOREIGN_INTEGER_CHARS = 1_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of NUL and of surrogates, which may be lone: the only ways in for text that cannot be stored."""

_TYPE_NAMES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object", type(None): "null"}


def _refuse_number(text: str) -> NoReturn:
    remedy = "send decimals as strings and scores in basis points"
    raise malformed("a number with a fraction, an exponent, or no finite value", remedy=remedy)


def _integer(text: str) -> int:
    if text == "-0":
        raise malformed("minus zero, which some readers keep apart from zero", remedy="send 0")
    # The length first: Python refuses to read thousands of digits, with an error of another kind.
    if len(text) > _MAX_INTEGER_CHARS or abs(int(text)) > MAX_SAFE_INTEGER:
        raise malformed("an integer beyond 2**53 - 1", remedy="send it as a string")
    return int(text)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise malformed("the same name twice in one object", safe_field_name(twice), "send it once")
    return read


def _any_integer(text: str) -> int | float:
    # Python refuses to read thousands of digits, and such a number is no identifier.
    return int(text) if len(text) <= _MAX_FOREIGN_INTEGER_CHARS else float(text)


def _no_constant(_: str) -> None:
    """NaN and the infinities: nothing."""


_lenient_decoder = json.JSONDecoder(parse_int=_any_integer, parse_constant=_no_constant, strict=False)
_decoder = json.JSONDecoder(
    parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_integer, object_pairs_hook=_unique_names
)


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Read one JSON object strictly. Raises `InvalidEvent` (malformed) for anything that two implementations could read
    differently, so that a digest computed here is the digest computed anywhere."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        else:
            text.encode()
    except UnicodeDecodeError as error:
        raise malformed("not UTF-8", remedy="send UTF-8 without a byte order mark") from error
    except UnicodeEncodeError as error:
        raise _not_utf8_error() from error
    read = _decode(_decoder, text)
    if not isinstance(read, dict):
        found = _TYPE_NAMES.get(type(read), "value")
        raise malformed(f"expected a JSON object, got {found}", remedy="send one JSON object")
    if _ESCAPED.search(text):
        check_storable(read, room=MAX_JSON_DEPTH)
    return read


def parse_foreign_json(text: str | bytes) -> Any:
    """Read a document that another system defines (a delivery report, a key set), as leniently as it can be read: any
    value, floats, control characters, a name twice (the last one counts), a byte order mark. What UTF-8 or PostgreSQL
    cannot hold (NUL, lone surrogates, other bytes) becomes U+FFFD. Raises `InvalidEvent` (malformed) for what is not
    JSON or nested too deeply, and nothing else."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    read = _decode(_lenient_decoder, text)
    return _made_storable(read) if "\0" in text or _ESCAPED.search(text) else read


def _made_storable(value: Any) -> Any:
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case dict():
            return {_made_storable(name): _made_storable(item) for name, item in value.items()}
        case list():
            return [_made_storable(item) for item in value]
        case _:
            return value


def _decode(decoder: json.JSONDecoder, text: str) -> Any:
    _refuse_deep(text)
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise malformed(f"not JSON at {where}", remedy="send one JSON object") from error


def check_storable(value: object, field: str = "", *, room: int = MAX_EVENT_DEPTH) -> None:
    """Raise `InvalidEvent` for anything below `value` that has no one form everywhere. That is a float, an unsafe
    integer, a NUL (PostgreSQL text cannot hold it), a lone surrogate, or nesting beyond `room` levels."""
    match value:
        case bool() | None:
            return
        case str():
            _refuse_text(value, field)
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise malformed("an integer beyond 2**53 - 1", field, "send it as a string")
        case dict():
            if room == 0:
                raise _too_deep()
            for name, item in value.items():
                if not isinstance(name, str):
                    raise malformed("a name that is not a string", field)
                _refuse_text(name, field)
                check_storable(
                    item, f"{field}.{safe_field_name(name)}" if field else safe_field_name(name), room=room - 1
                )
        case list() | tuple():
            if room == 0:
                raise _too_deep()
            for index, item in enumerate(value):
                check_storable(item, f"{field}[{index}]", room=room - 1)
        case _:
            remedy = "send decimals as strings and scores in basis points"
            raise malformed(f"a {type(value).__name__}, which has no canonical form here", field, remedy)


def _refuse_text(text: str, field: str) -> None:
    if "\x00" in text:
        raise malformed("a NUL character", field, "remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _not_utf8_error(field) from error


def _refuse_deep(text: str) -> None:
    """Before parsing: how deep a parser gets before it raises, and what, depends on Python's release and on the
    caller's stack. One pass; most texts have fewer brackets than levels are allowed."""
    if text.count("{") + text.count("[") <= MAX_JSON_DEPTH:
        return
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        match text[found.start()]:
            case "[" | "{":
                depth += 1
                if depth > MAX_JSON_DEPTH:
                    raise _too_deep()
            case "]" | "}":
                depth -= 1


def _too_deep() -> InvalidEvent:
    return malformed("nested too deeply", remedy="flatten the object")


def _not_utf8_error(field: str = "") -> InvalidEvent:
    return malformed("text that has no UTF-8 form", field, "send well-formed Unicode")


def canonical_json(value: dict[str, Any] | list[Any]) -> bytes:
    """The RFC 8785 bytes of `value`, which `parse` or `check_storable` has accepted. Raises `InvalidEvent` for a lone
    surrogate, which has no UTF-8 form."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if text.isascii():
        # The C encoder is RFC 8785 here: the schemes differ only in how they sort names beyond ASCII (by UTF-16 code
        # unit, by code point) and in how they print floats, which are rejected. A property test holds it to that.
        return text.encode()
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise _not_utf8_error() from error
