"""The simulator's tokens: a fixed rule, so that counts, pacing and budgets are the same on every run.

A token is up to four characters of a word, together with the white space before it. It is close to what real
tokenizers make of English, and is not the count that any vendor would bill.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\s*\S{1,4}|\s+$")


def split_tokens(text: str) -> list[str]:
    """The tokens of a text, in order. Joined, they are the text."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return len(split_tokens(text))
