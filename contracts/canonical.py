"""Strict JSON in, canonical JSON out.

Canonical means RFC 8785 (JSON Canonicalization Scheme) over the I-JSON subset that the contracts allow: no floats, no
NUL, no duplicate names, integers within ±(2**53 - 1).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import rfc8785

from contracts.errors import InvalidEvent, Refusal

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that every JSON implementation reads alike (RFC 7493, section 2.2)."""

type_name = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object", type(None): "null"}


def _refuse_number(text: str) -> NoReturn:
    raise InvalidEvent(
        Refusal.MALFORMED,
        "a number with a fraction, an exponent, or no finite value",
        remedy="send decimals as strings and scores in basis points",
    )


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_SAFE_INTEGER or text == "-0":
        raise InvalidEvent(Refusal.MALFORMED, "an integer beyond 2**53 - 1", remedy="send it as a string")
    return value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidEvent(Refusal.MALFORMED, "the same name twice in one object", field=twice, remedy="send it once")
    return read


_decoder = json.JSONDecoder(
    parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_integer, object_pairs_hook=_unique_names
)


def parse(text: str | bytes) -> dict[str, Any]:
    """Read one JSON object strictly.

    Raises `InvalidEvent` (malformed) for anything that two implementations could read differently, so that a digest
    computed here is the digest computed anywhere.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        read = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise InvalidEvent(Refusal.MALFORMED, "not UTF-8", remedy="send UTF-8 without a byte order mark") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidEvent(Refusal.MALFORMED, f"not JSON at {where}", remedy="send one JSON object") from error
    except RecursionError as error:
        raise InvalidEvent(Refusal.MALFORMED, "nested too deeply", remedy="flatten the object") from error
    if not isinstance(read, dict):
        found = type_name.get(type(read), "value")
        raise InvalidEvent(Refusal.MALFORMED, f"expected a JSON object, got {found}", remedy="send one JSON object")
    if "\\u0000" in text:
        refuse_unstorable(read)
    return read


def refuse_unstorable(value: object, field: str = "") -> None:
    """Raise `InvalidEvent` for a float, an unsafe integer, or a NUL anywhere below `value`.

    PostgreSQL text cannot hold NUL, and floats have no single canonical form across languages.
    """
    match value:
        case bool() | None:
            return
        case str():
            if "\x00" in value:
                raise InvalidEvent(Refusal.MALFORMED, "a NUL character", field=field or None, remedy="remove it")
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise InvalidEvent(
                    Refusal.MALFORMED, "an integer beyond 2**53 - 1", field=field or None, remedy="send it as a string"
                )
        case dict():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise InvalidEvent(Refusal.MALFORMED, "a name that is not a string", field=field or None)
                refuse_unstorable(name, field)
                refuse_unstorable(item, f"{field}.{name}" if field else name)
        case list() | tuple():
            for index, item in enumerate(value):
                refuse_unstorable(item, f"{field}[{index}]")
        case _:
            raise InvalidEvent(
                Refusal.MALFORMED,
                f"a {type(value).__name__}, which has no canonical form here",
                field=field or None,
                remedy="send decimals as strings and scores in basis points",
            )


def canonical(value: dict[str, Any]) -> bytes:
    """The RFC 8785 bytes of `value`, which `parse` or `refuse_unstorable` has accepted.

    Raises `InvalidEvent` for a lone surrogate, which has no UTF-8 form.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if text.isascii():
        # The C encoder is RFC 8785 here: the schemes differ only in how they sort names beyond ASCII (by UTF-16 code
        # unit, by code point) and in how they print floats, and there are none. A property test holds it to that.
        return text.encode()
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidEvent(
            Refusal.MALFORMED, "text that has no UTF-8 form", remedy="send well-formed Unicode"
        ) from error
