"""Reads JSON of others within a bound of depth."""

import json
import re
from typing import Any

from .errors import UnreadableBody

MAX_DEPTH = 200
"""Objects and arrays within each other. How many Python's parser takes, and what it raises beyond, depends on its
release and on the caller's stack."""

_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class UnreadableJson(UnreadableBody):
    """The text is not JSON, or is nested too deeply. The message never quotes it."""


def read_json(text: str) -> Any:
    """Any JSON value.

    Raises:
        UnreadableJson: it cannot be read.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_deep(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: not JSON, or a number of thousands of digits
        raise UnreadableJson(f"not JSON ({type(error).__name__})") from error


def _refuse_deep(text: str) -> None:
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        match text[found.start()]:
            case "[" | "{":
                depth += 1
                if depth > MAX_DEPTH:
                    raise UnreadableJson("nested too deeply")
            case "]" | "}":
                depth -= 1
