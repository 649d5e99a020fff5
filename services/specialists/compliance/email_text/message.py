"""Parses an RFC 5322 message: recipients, text, links, and the obstacles to reading it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any
from urllib.parse import unquote

from services.specialists.compliance.email_text.characters import illegible_characters
from services.specialists.compliance.email_text.markup import read_markup
from services.specialists.compliance.pack import EmailRules

_ADDRESS = re.compile(r"(?<![\w.:+%'-])[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_COMMON = (
    "app|biz|bank|cc|club|co|com|edu|gov|info|io|link|ly|me|net|online|org|page|pay|ru|shop|site|to|top|tv|uk|us|xyz"
)
_DOMAIN = re.compile(
    rf"(?<![\w@/.:-])(?:[A-Za-z0-9-]+\.)+(?:(?i:{_COMMON})|[a-z]{{2,24}}|[A-Z]{{3,24}})"
    r"(?![\w@.-]*@)(?:/[^\s<>\"']*)?(?![\w-])"
)
"""Text that mail readers turn into a link. Domains end in more than a thousand words: any that is not capitalised, as
the first word of a sentence would be, counts as one."""
_SPELT_DOMAIN = re.compile(rf"(?i)\b([a-z0-9-]+)\s*[(\[]?\s*\bdot\b\s*[)\]]?\s*({_COMMON})\b")

_MAX_HEADERS = 100
_MAX_HEADER = 4_000
_MAX_COMMENTS = 20
URL = re.compile(r"\b(?:https?|ftp|javascript|data|file|tel|sms|mailto):[^\s<>\"']+|\bwww\.[^\s<>\"']+", re.IGNORECASE)


@dataclass(frozen=True)
class MessageAddress:
    """A name and an address."""

    name: str
    address: str


@dataclass(frozen=True)
class ParsedEmail:
    """A message as its recipient gets it. `obstacles` say why a reader may see something else."""

    sha256: str
    headers: tuple[tuple[str, str], ...]
    sender: tuple[MessageAddress, ...]
    to: tuple[MessageAddress, ...]
    copies: tuple[str, ...]
    """Header fields that name further recipients."""
    reply_to: tuple[MessageAddress, ...]
    subject: str
    text: str
    html: str
    """The visible text of the HTML part."""

    hidden: str
    """Text of the HTML part that no reader sees: title, attributes, hidden elements."""

    text_links: tuple[str, ...]
    html_links: tuple[str, ...]
    shown_links: tuple[str, ...]
    """The links of the HTML part that a reader sees."""

    obstacles: tuple[str, ...]

    @property
    def links(self) -> tuple[str, ...]:
        """Every link of both parts."""
        return tuple(dict.fromkeys((*self.text_links, *self.html_links)))

    @property
    def written_links(self) -> tuple[str, ...]:
        """Every link but the opt-out link, whose token is not text."""
        ways = self.header("list-unsubscribe") or ""
        return tuple(unquote(link) for link in self.links if link not in ways)

    @property
    def parts(self) -> dict[str, str]:
        """The visible texts, by place."""
        return {"subject": self.subject, "text part": self.text, "HTML part": self.html}

    def header(self, name: str) -> str | None:
        """The value of a header field, if it occurs exactly once."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None


def read_message(raw: bytes, rules: EmailRules) -> ParsedEmail:
    """Parse the bytes. Never raises because of their content: anything that cannot be parsed is an obstacle."""
    obstacles = _raw_obstacles(raw, rules.max_bytes)
    sha256 = hashlib.sha256(raw).hexdigest()
    if len(raw) > rules.max_bytes or _is_costly(raw):
        obstacles.append("headers or a size that are not read")
        raw = b""
    try:
        parsed = BytesParser(_class=EmailMessage, policy=policy.SMTP).parsebytes(raw)
        headers, sender, to, reply_to, header_obstacles = _headers(parsed)
        text, html, part_obstacles = _bodies(parsed)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # The standard library's parser raises these for some malformed headers and for parts nested too deep.
        parsed, headers, text, html = EmailMessage(), (), "", ""
        sender, to, reply_to, header_obstacles = (), (), (), []
        part_obstacles = [f"a message that cannot be parsed ({type(error).__name__})"]
    page = read_markup(html, min_font_px=rules.min_font_px)
    text, text_obstacles = _bounded("text", text, rules)
    page.text, html_obstacles = _bounded("HTML", page.text, rules)
    page.hidden, hidden_obstacles = _bounded("hidden", page.hidden, rules)
    subject, subject_obstacles = _bounded("subject", _single_header(headers, "subject"), rules)
    obstacles += [*header_obstacles, *part_obstacles, *page.obstacles, *text_obstacles, *html_obstacles]
    obstacles += [*hidden_obstacles, *subject_obstacles]
    if re.search(r"(?:\n[^\w\n]*){9,}\w", text) or re.search("\u00a0{60}", page.text):
        obstacles.append("text far below the text before it")
    if re.search(r"[^\S\n]{60}", text):
        obstacles.append("text far to the right")
    shown = {"the subject": subject, "the text part": text, "the HTML part": page.text}
    shown["the sender's name"] = _single_header(headers, "from")
    obstacles += [f"{each} in {where}" for where, what in shown.items() for each in illegible_characters(what)]
    if re.search(r"[\r\n]", subject):
        obstacles.append("a line break in the subject")
    return ParsedEmail(
        sha256=sha256,
        headers=headers,
        sender=sender,
        to=to,
        copies=tuple(sorted({name for name, _ in headers if name in {"cc", "bcc"} or name.startswith("resent-")})),
        reply_to=reply_to,
        subject=subject,
        text=text,
        html=page.text,
        hidden=page.hidden,
        text_links=_links(text),
        html_links=_links(page.text, *page.links),
        shown_links=_links(page.text, *page.shown_links),
        obstacles=tuple(dict.fromkeys(obstacles)),
    )


def _headers(parsed: EmailMessage) -> tuple[Any, ...]:
    items = parsed.items()
    headers = tuple((name.lower(), str(value)) for name, value in items)
    obstacles = [
        f"the header {name[:30]} is malformed ({type(value.defects[0]).__name__})"
        for name, value in items
        if getattr(value, "defects", ())
    ]
    return headers, _mailboxes(parsed, "from"), _mailboxes(parsed, "to"), _mailboxes(parsed, "reply-to"), obstacles


def _is_costly(raw: bytes) -> bool:
    """Whether the fields are so many, or one so long or so deeply nested, that parsing takes unbounded work."""
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    lines = re.split(rb"[\r\n]+", head)
    return len(lines) > _MAX_HEADERS or any(
        len(line) > _MAX_HEADER or line.count(b"(") > _MAX_COMMENTS for line in lines
    )


def _bounded(where: str, text: str, rules: EmailRules) -> tuple[str, list[str]]:
    """The text, or an empty one and an obstacle if it is too long to be examined."""
    if len(text) > rules.max_characters:
        return "", [f"a {where} part of more than {rules.max_characters} characters"]
    if any(len(word) > rules.max_word for word in text.split()):
        return "", [f"a word of more than {rules.max_word} characters in the {where} part"]
    return text, []


def _links(shown: str, *hidden: str) -> tuple[str, ...]:
    """The links of a part: written out, behind other text, and those that mail readers make themselves."""
    found = [*hidden, *URL.findall(shown)]
    rest = URL.sub(" ", shown)
    found += [f"mailto:{address}" for address in _ADDRESS.findall(rest)]
    rest = _ADDRESS.sub(" ", rest)
    found += [f"https://{each[0]}" for each in _DOMAIN.finditer(rest)]
    found += [f"https://{each[1]}.{each[2]}" for each in _SPELT_DOMAIN.finditer(rest)]
    return tuple(dict.fromkeys(link.rstrip(".,;:!?)'") for link in found))


def _raw_obstacles(raw: bytes, max_bytes: int) -> list[str]:
    """Obstacles in the raw bytes, which two mail systems could read differently."""
    checks = (
        (len(raw) > max_bytes, f"more than {max_bytes} bytes, which mail readers cut off"),
        (b"\x00" in raw, "a NUL byte"),
        (re.search(rb"\r(?!\n)|(?<!\r)\n", raw) is not None, "a line that does not end in CRLF"),
        (any(len(line) > 998 for line in raw.split(b"\r\n")), "a line over 998 bytes"),
    )
    return [obstacle for occurs, obstacle in checks if occurs]


def _bodies(parsed: EmailMessage) -> tuple[str, str, list[str]]:
    """The text and the HTML of a multipart/alternative with exactly these two parts, and the obstacles otherwise."""
    obstacles = [f"a malformed message ({type(defect).__name__})" for defect in parsed.defects]
    if parsed.get_content_type() != "multipart/alternative":
        return "", "", [*obstacles, f"not multipart/alternative but {parsed.get_content_type()[:40]}"]
    if (parsed.preamble or "").strip() or (parsed.epilogue or "").strip():
        obstacles.append("text outside the parts, which no reader sees")
    parts = [part for part in parsed.iter_parts() if isinstance(part, EmailMessage)]
    kinds = [part.get_content_type() for part in parts]
    if kinds != ["text/plain", "text/html"]:
        return "", "", [*obstacles, f"parts other than one text/plain and one text/html: {', '.join(kinds)[:80]}"]
    contents = []
    for part, kind in zip(parts, kinds, strict=True):
        obstacles += [f"a malformed {kind} ({type(defect).__name__})" for defect in part.defects]
        if part.get_content_disposition() == "attachment":
            obstacles.append(f"the {kind} is an attachment")
        charset = (part.get_content_charset() or "us-ascii").lower()
        if charset not in {"utf-8", "us-ascii", "ascii"}:
            obstacles.append(f"the {kind} in the charset {charset[:20]}")
        data = part.get_payload(decode=True)
        try:
            contents.append(data.decode("utf-8").replace("\r\n", "\n") if isinstance(data, bytes) else "")
        except UnicodeDecodeError:
            obstacles.append(f"the {kind} is not UTF-8")
            contents.append("")
    return contents[0], contents[1], obstacles


def _mailboxes(parsed: EmailMessage, name: str) -> tuple[MessageAddress, ...]:
    found = []
    for value in parsed.get_all(name, ()):
        addresses: tuple[Address, ...] = getattr(value, "addresses", ())
        found += [MessageAddress(each.display_name, each.addr_spec.lower()) for each in addresses]
    return tuple(found)


def _single_header(headers: tuple[tuple[str, str], ...], name: str) -> str:
    return next((value for key, value in headers if key == name), "")
