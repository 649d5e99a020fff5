"""What a person who decides sees, and what a page says when it cannot show or know everything."""

from __future__ import annotations

from typing import Any, cast

import pytest

from services.artefact_texts import read_email, read_email_page
from switchyard.console.pages import HERE
from switchyard.console.sealed import MAX_SHOWN_CHARS, SealedArtefacts
from switchyard.console.signed_commands import SignedCommands
from switchyard.runtime.core.errors import Unavailable

EMAIL = b"From: a@acme.example\nTo: b@b.example\nSubject: Hello\nContent-Type: text/plain\n\nDear Ana"


def describe(data: bytes) -> Any:
    made = SealedArtefacts(cast("Any", None), cast("Any", None), {"email": read_email}, {"email": read_email_page})
    return made.describe("email", "message/rfc822", data)


def test_enter_in_a_field_of_a_signed_form_does_not_sign() -> None:
    script = (HERE / "static" / "sign.js").read_text(encoding="utf-8")
    keydown = script.partition('form.addEventListener("keydown"')[2].partition("});")[0]
    assert 'event.key === "Enter"' in keydown
    assert "event.preventDefault()" in keydown


async def test_answer_that_cannot_be_read_at_first_is_read_later() -> None:
    answers = iter([Unavailable("database", "away"), "done"])

    async def read() -> str | None:
        found = next(answers)
        if isinstance(found, Unavailable):
            raise found
        return found

    made = SignedCommands(*(cast("Any", None) for _ in range(3)))
    assert await made._answer(read) == "done"


def test_email_that_is_short_is_shown_whole_and_exactly() -> None:
    shown = describe(EMAIL)
    assert (shown.whole, shown.exact) == (True, True)


def test_email_whose_text_is_longer_than_its_bytes_is_cut() -> None:
    made = SealedArtefacts(cast("Any", None), cast("Any", None), {"email": lambda _: "x" * (MAX_SHOWN_CHARS + 1)}, {})
    assert made.describe("email", "text/plain", b"short").cut


def test_email_with_html_that_cannot_be_rendered_is_not_shown_whole() -> None:
    unknown = EMAIL.replace(b"text/plain", b"Text/HTML; charset=no-such-charset")
    assert describe(unknown).unrendered
    assert not describe(unknown).whole
    assert describe(EMAIL.replace(b"text/plain", b"text/html")).whole


@pytest.mark.parametrize("tail", [b"\xff", b"x" * MAX_SHOWN_CHARS], ids=["no-utf-8", "long"])
def test_source_that_is_not_every_byte_is_not_called_exact(tail: bytes) -> None:
    assert not describe(EMAIL + tail).exact


def test_email_shows_every_address_and_each_header_on_one_line() -> None:
    data = b"Bcc: c@c.example\nTo: second@b.example\nCc: d@d.example\nReply-To: e@e.example\n" + EMAIL
    text = read_email(data.replace(b"Hello", b"=?utf-8?q?Hello=0ATo=3A_f=40f.example?="))
    headers = text.partition("\n\n")[0].split("\n")
    assert headers[0] == "From: a@acme.example"
    assert {"To: second@b.example", "To: b@b.example", "Cc: d@d.example"} <= set(headers)
    assert {"Bcc: c@c.example", "Reply-To: e@e.example"} <= set(headers)
    assert len(headers) == 7
