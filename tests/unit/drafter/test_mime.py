"""The composed email is correct MIME, says the same twice, and holds the drafter's words in their place."""

from __future__ import annotations

import email
import re
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents.disclosures import required_disclosures
from services.drafter.mime import InvalidEmailText, compose
from tests.accounts import facts

CASE = "6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e"
LINK = "https://mail.harborline.example/o/k1." + "eyJhZGRyZXNzX2tleSI6ImFhYWFhYWFh" * 8 + ".c2lnbmF0dXJl"
TODAY = "2026-10-01"


def composed(**changes: Any) -> bytes:
    """A reminder to the consumer of these tests."""
    arguments: dict[str, Any] = {
        "purpose": "payment_reminder",
        "today": TODAY,
        "subject": "A message about your account",
        "paragraphs": ["Dear Ada Lovelace,", "Your balance is $1,250.00.\nYou can pay online or by phone."],
        "case_id": CASE,
        "opt_out_link": LINK,
    } | changes
    return compose(changes.pop("facts", None) or facts(), **{k: v for k, v in arguments.items() if k != "facts"})


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, _class=EmailMessage, policy=policy.SMTP)
    assert message.defects == []
    return message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert isinstance(found, EmailMessage)
    text: str = found.get_content()
    return text


class Visible(HTMLParser):
    """What a reader sees of a page, and where its links go."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.links, self.tags = "", list[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def visible(html: str) -> Visible:
    reader = Visible()
    reader.feed(html)
    return reader


def words(text: str) -> list[str]:
    return text.split()


def test_message_has_the_headers_of_a_bulk_sender() -> None:
    message = parsed(composed())
    assert message["From"] == "Harborline Recovery <accounts@harborline.example>"
    assert message["To"] == "ada.lovelace@example.com"
    assert message["Subject"] == "A message about your account"
    assert message["List-Unsubscribe"] == f"<{LINK}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not {"Cc", "Bcc", "Date", "Sender"} & set(message.keys())


def test_headers_are_unique() -> None:
    names = [name.lower() for name in parsed(composed())]
    assert sorted(names) == sorted(set(names))


def test_text_and_html_parts_have_the_same_words() -> None:
    message = parsed(
        composed(paragraphs=["5 < 6 & \"7\" > 'x' <b>bold</b>", "Zweite Zeile: 5 € — naïve 😀\nund dritte"])
    )
    assert words(visible(part(message, "html")).text) == words(part(message, "plain"))


def test_required_texts_are_in_both_parts_verbatim() -> None:
    for account, purpose in ((facts(), "payment_reminder"), (facts(first=True), "initial_notice")):
        message = parsed(composed(facts=account, purpose=purpose))
        shown = " ".join(words(visible(part(message, "html")).text)), " ".join(words(part(message, "plain")))
        texts = required_disclosures(account, purpose, TODAY)
        assert len(texts) >= 3
        for each in texts:
            assert all(" ".join(words(each.text)) in text for text in shown), each.name


def test_opt_out_link_follows_its_sentence_and_is_the_only_link() -> None:
    message = parsed(composed())
    assert f"opt out here: {LINK}" in part(message, "plain")
    assert visible(part(message, "html")).links == [LINK]


def test_drafter_text_with_markup_is_shown_as_text() -> None:
    evil = '<script>alert(1)</script><a href="https://evil.example">pay here</a><!-- --><img src=x onerror=y>'
    page = visible(part(parsed(composed(paragraphs=[evil])), "html"))
    assert page.links == [LINK]
    assert not page.tags & {"script", "img"}
    assert "alert(1)" in page.text


@pytest.mark.parametrize(
    "subject",
    [
        "Hello\r\nBcc: evil@example.com",
        "Hello\nBcc: evil@example.com",
        "Hello\rBcc: evil@example.com",
        "Hello\u2028Bcc: evil@example.com",
        "Hello\x85Bcc: evil@example.com",
        "Hello\x0bthere",
        "Hello\x00there",
        "Hello \u202eolleH",
        "Hel\u200blo",
        "",
        "   ",
        "x" * 151,
    ],
)
def test_subject_with_control_or_hidden_characters_is_refused(subject: str) -> None:
    with pytest.raises(InvalidEmailText, match=r"^subject: "):
        composed(subject=subject)


@pytest.mark.parametrize("paragraph", ["", " \n ", "a\x00b", "a\u2029b", "a\u202eb", "x" * 4_001])
def test_paragraph_empty_too_long_or_not_plain_is_refused(paragraph: str) -> None:
    with pytest.raises(InvalidEmailText, match=r"^paragraphs: "):
        composed(paragraphs=[paragraph])


def test_email_without_a_paragraph_is_refused() -> None:
    with pytest.raises(InvalidEmailText, match="paragraphs"):
        composed(paragraphs=[])


def test_initial_notice_without_validation_end_is_refused_by_field() -> None:
    with pytest.raises(InvalidEmailText, match=r"^history\.validation_ends_on: "):
        composed(purpose="initial_notice")


def test_name_in_another_script_is_preserved() -> None:
    account = facts(agency={"name": 'Björk & Söhne "Inkasso", Zürich'})
    message = parsed(composed(facts=account, subject="Über Ihr Konto — 账户 " + "x" * 80))
    assert message["From"].addresses[0].display_name == 'Björk & Söhne "Inkasso", Zürich'
    assert message["From"].addresses[0].addr_spec == "accounts@harborline.example"
    assert message["Subject"] == "Über Ihr Konto — 账户 " + "x" * 80


def test_same_content_gives_the_same_bytes_and_message_id() -> None:
    assert composed() == composed()
    other = parsed(composed(paragraphs=["Dear Ada Lovelace,", "Something else."]))
    assert parsed(composed())["Message-ID"] != other["Message-ID"]
    assert CASE in other["Message-ID"]


def test_boundary_in_the_text_does_not_end_the_part() -> None:
    boundary = parsed(composed()).get_boundary()
    message = parsed(composed(paragraphs=[f"--{boundary}--", "--=_content", "and more"]))
    assert "and more" in part(message, "plain")
    assert "and more" in part(message, "html")


@given(
    subject=st.text(max_size=160),
    paragraphs=st.lists(st.text(max_size=300), min_size=1, max_size=4),
)
def test_message_of_any_text_is_refused_or_safe(subject: str, paragraphs: list[str]) -> None:
    try:
        raw = composed(subject=subject, paragraphs=paragraphs)
    except InvalidEmailText:
        return
    assert not re.search(rb"[^\r]\n|\r[^\n]", raw)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert raw.isascii()
    message = parsed(raw)
    assert message["To"] == "ada.lovelace@example.com"
    assert message["Subject"].split() == subject.split()
    assert set(message.keys()) == {
        "From", "To", "Subject", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted",
        "MIME-Version", "Content-Type",
    }  # fmt: skip
    for paragraph in paragraphs:
        assert words(paragraph) == [] or " ".join(words(paragraph)) in " ".join(words(part(message, "plain")))
    assert words(visible(part(message, "html")).text) == words(part(message, "plain"))


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=200))
def test_agency_name_of_any_text_gives_one_sender_with_that_name(name: str) -> None:
    raw = composed(facts=facts(agency={"name": name}))
    header = parsed(raw)["From"]
    assert [address.addr_spec for address in header.addresses] == ["accounts@harborline.example"]
    assert "".join(header.addresses[0].display_name.split()) == "".join(name.split())
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "name",
    [
        "Harborline Recovery Inc., doing business as Harborline Financial Services, LLC",
        "Agencia de Cobros Peña & Núñez, haciendo negocios como Núñez Servicios Financieros, LLC",
        'Smith "The Collector" Jones, Inc.',
    ],
)
def test_agency_name_long_or_quoted_gives_one_sender(name: str) -> None:
    (sender,) = parsed(composed(facts=facts(agency={"name": name})))["From"].addresses
    assert (" ".join(sender.display_name.split()), sender.addr_spec) == (name, "accounts@harborline.example")
