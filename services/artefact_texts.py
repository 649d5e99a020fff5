"""How a person reads a sealed artefact: for `switchyard case show --open`, `approval show` and the console."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.policy import default

SHOWN_HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Subject")


def read_answer(data: bytes) -> str:
    """An answer without its citations."""
    return str(json.loads(data)["text"])


def read_email(data: bytes) -> str:
    """The email's addresses, every one of them, subject and plain text."""
    message = message_from_bytes(data, policy=default)
    part = message.get_body(("plain",))
    text = part.get_content() if part is not None else ""
    headers = [f"{name}: {_one_line(value)}" for name in SHOWN_HEADERS for value in message.get_all(name, ())]
    return "\n".join((*headers, "", text))


def _one_line(value: object) -> str:
    """A header without line breaks of its own, with which it could pass for other headers."""
    return " ".join(str(value).split())


def read_email_page(data: bytes) -> str | None:
    """The part that a mail program shows; None without one in HTML."""
    part = message_from_bytes(data, policy=default).get_body(("html",))
    return None if part is None else str(part.get_content())
