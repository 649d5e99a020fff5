"""Builds the email as it will be sent: RFC 5322 headers, and equal text and HTML parts. Pure.

On delivery SES replaces Date and Message-ID and signs with DKIM ("Amazon SES header fields" in its developer guide). So
no Date is written here, and the Message-ID only identifies the content.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from email import message_from_bytes
from email.base64mime import header_encode
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, default
from html import escape
from typing import Any

from contracts.documents.accounts import AccountFacts, Purpose
from contracts.documents.disclosures import required_disclosures
from contracts.documents.wording import SHIPPED, Wording

MAX_SUBJECT = 150
MAX_PARAGRAPHS = 60
MAX_PARAGRAPH = 4_000
_FOLD = "\r\n "
_LONG_NAME = 40
"""Characters of a name after which its address begins a line of its own."""

_WORD_BYTES = 44
"""Bytes that fit into one encoded word of 75 characters."""

_JOINERS = frozenset("\u200c\u200d")
"""Invisible characters that some names need."""

_STYLE = "font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:1.5;color:#1a1a1a"
_SMALL = "font-size:14px;color:#444444;overflow-wrap:anywhere"


class InvalidEmailText(ValueError):
    """The subject or a text is invalid in an email: correct the field that the message names."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class _Wire(EmailPolicy):
    """SMTP line ends. URLs and addresses are not folded by the standard library: it turns a long URL into an encoded
    word, and on some versions of Python it takes the quotes of a long name away, so that its comma separates addresses.
    """

    def fold(self, name: str, value: Any) -> str:
        if name.lower() in {"list-unsubscribe", "message-id"}:
            return f"{name}: {value}\r\n"
        if (addresses := getattr(value, "addresses", None)) is not None:
            return f"{name}: {f',{_FOLD}'.join(map(_folded_address, addresses))}\r\n"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii")


def _folded_address(address: Address) -> str:
    """An address in ASCII: the name on lines of its own if it is long, quoted, or in encoded words (RFC 2047)."""
    name = address.display_name
    if not name:
        return address.addr_spec
    if name.isascii():
        shown = str(Address(name)).removesuffix(" <>")
        return f"{shown}{_FOLD if len(shown) > _LONG_NAME else ' '}<{address.addr_spec}>"
    # Split at blanks, which stay within a word: some parsers put a blank between two encoded words, others none.
    pieces = [""]
    for word in re.findall(r"\S+\s*|\s+", name):
        size = len(word) if len(word.encode()) <= _WORD_BYTES else _WORD_BYTES // 4
        for part in (word[at : at + size] for at in range(0, len(word), size)):
            if len(f"{pieces[-1]}{part}".encode()) <= _WORD_BYTES:
                pieces[-1] += part
            else:
                pieces.append(part)
    encoded = _FOLD.join(header_encode(piece.encode(), "utf-8") for piece in pieces if piece)
    return f"{encoded}{_FOLD}<{address.addr_spec}>"


_WIRE = _Wire(linesep=SMTP.linesep, max_line_length=SMTP.max_line_length)


def compose(
    facts: AccountFacts,
    *,
    purpose: Purpose,
    today: str,
    subject: str,
    paragraphs: Sequence[str],
    case_id: str,
    opt_out_link: str,
    wording: Wording = SHIPPED,
) -> bytes:
    """Build the message. The same arguments give the same bytes.

    `paragraphs` are the drafter's. Disclosures, postal address and opt-out are added here, word for word as compliance
    checks them. `today` is the day as YYYY-MM-DD. Raises `InvalidEmailText`.
    """
    body = [_text("paragraphs", paragraph) for paragraph in paragraphs]
    if not 1 <= len(body) <= MAX_PARAGRAPHS:
        raise InvalidEmailText("paragraphs", f"between 1 and {MAX_PARAGRAPHS} of them")
    footer = _footer(facts, purpose, today, opt_out_link, wording)
    message = EmailMessage(policy=_WIRE)
    message["From"] = _mailbox(facts.agency.name, facts.agency.from_address)
    message["To"] = _mailbox("", facts.email.address)
    message["Subject"] = _subject(subject)
    message["Message-ID"] = _message_id("content", case_id, facts)
    message["List-Unsubscribe"] = f"<{opt_out_link}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join([*body, *footer]) + "\n", cte="quoted-printable")
    message.add_alternative(_html(body, footer, opt_out_link), subtype="html", cte="quoted-printable")
    # Boundary and Message-ID are derived from the content: nothing is random, and different contents differ.
    message.set_boundary("=_content")
    content = hashlib.sha256(message.as_bytes(policy=_WIRE)).hexdigest()[:32]
    message.set_boundary(f"=_{content}")
    message.replace_header("Message-ID", _message_id(content, case_id, facts))
    return message.as_bytes(policy=_WIRE)


def extract_words(message: bytes, *, until: str) -> str:
    """Subject and text of a message, up to the first disclosure, as shown to the model that revises them."""
    parsed = message_from_bytes(message, policy=default)
    part = parsed.get_body(("plain",))
    text = part.get_content().replace("\r\n", "\n") if part is not None else ""
    return f"{parsed['subject']}\n\n{text.partition(until)[0].strip()}"


def _message_id(content: str, case_id: str, facts: AccountFacts) -> str:
    return f"<{content}.{case_id}@{facts.agency.from_address.rpartition('@')[2]}>"


def _footer(facts: AccountFacts, purpose: Purpose, today: str, link: str, wording: Wording) -> list[str]:
    try:
        disclosures = required_disclosures(facts, purpose, today, wording)
    except ValueError as error:
        raise InvalidEmailText("history.validation_ends_on", str(error)) from error
    ending = {"R06": f" {link}", "R17": f"\n{facts.agency.phone}\n{facts.agency.website}"}
    return [_text(each.name, each.text + ending.get(each.rule, "")) for each in disclosures]


def _html(body: Sequence[str], footer: Sequence[str], link: str) -> str:
    return "\n".join([
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'</head>\n<body style="{_STYLE}">',
        *(_paragraph(text, "", link) for text in body),
        *(_paragraph(text, f' style="{_SMALL}"', link) for text in footer),
        "</body>\n</html>\n",
    ])  # fmt: skip


def _paragraph(text: str, style: str, link: str) -> str:
    shown, address = escape(text), escape(link)
    linked = shown.replace(address, f'<a href="{address}">{address}</a>')
    return f"<p{style}>{linked}</p>".replace("\n", "<br>\n")


def _mailbox(name: str, address: str) -> Address:
    try:
        return Address(_line("name", name), addr_spec=address)
    except (ValueError, IndexError) as error:
        raise InvalidEmailText("address", "is invalid in a header") from error


def _subject(text: str) -> str:
    subject = _line("subject", text).strip()
    if not 1 <= len(subject) <= MAX_SUBJECT:
        raise InvalidEmailText("subject", f"between 1 and {MAX_SUBJECT} characters")
    return subject


def _line(field: str, text: str) -> str:
    if any(_unprintable(character) for character in text):
        raise InvalidEmailText(field, "one line of printable characters")
    return text


def _text(field: str, text: str) -> str:
    lines = text.strip().replace("\r\n", "\n").split("\n")
    if not 1 <= len(text.strip()) <= MAX_PARAGRAPH:
        raise InvalidEmailText(field, f"between 1 and {MAX_PARAGRAPH} characters each")
    return "\n".join(_line(field, line.strip()) for line in lines)


def _unprintable(character: str) -> bool:
    # Control characters, surrogates, line and paragraph separators, and format characters, which hide or reverse text.
    category = unicodedata.category(character)
    return category in {"Cc", "Cs", "Zl", "Zp"} or (category == "Cf" and character not in _JOINERS)
