"""Reading a message that was composed here: the words of its text part, without what was added to them."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default


def extract_words(message: bytes, *, until: str) -> str:
    """Subject and text of a message, up to the first disclosure, as they are shown to the model that mends them."""
    parsed = message_from_bytes(message, policy=default)
    part = parsed.get_body(("plain",))
    text = part.get_content().replace("\r\n", "\n") if part is not None else ""
    return f"{parsed['subject']}\n\n{text.partition(until)[0].strip()}"
