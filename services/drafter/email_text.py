"""Extracts the drafted text of a message, without the texts that were added to it."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default


def extract_words(message: bytes, *, until: str) -> str:
    """Subject and text of a message, up to the first disclosure, as shown to the model that revises them."""
    parsed = message_from_bytes(message, policy=default)
    part = parsed.get_body(("plain",))
    text = part.get_content().replace("\r\n", "\n") if part is not None else ""
    return f"{parsed['subject']}\n\n{text.partition(until)[0].strip()}"
