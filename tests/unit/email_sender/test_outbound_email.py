"""The email sender reads two addresses off an email and refuses what is not for exactly one person."""

from __future__ import annotations

import hashlib

import pytest

from services.drafter.mime import compose
from services.specialists.email_sender.outbound_email import read_outbound_email
from switchyard.runtime.core.errors import PermanentTaskError
from tests.accounts import facts

RAW = compose(
    facts(),
    purpose="payment_reminder",
    today="2026-10-01",
    subject="A message about your account",
    paragraphs=["Dear Ada Lovelace,"],
    case_id="6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e",
    opt_out_link="https://mail.harborline.example/o/token",
)
TO = b"To: ada.lovelace@example.com\r\n"


def read(raw: bytes) -> tuple[str, str]:
    email = read_outbound_email(raw, hashlib.sha256(raw).hexdigest())
    assert email.raw == raw
    return email.sender, email.recipient


def test_composed_message_has_its_sender_and_recipient() -> None:
    assert read(RAW) == ("accounts@harborline.example", "ada.lovelace@example.com")


def test_domain_hash_is_independent_of_case() -> None:
    keys = {
        read_outbound_email(raw, hashlib.sha256(raw).hexdigest()).domain_key
        for raw in (RAW, RAW.replace(b"@example.com", b"@EXAMPLE.com"))
    }
    assert keys == {hashlib.sha256(b"example.com").hexdigest()}


def test_bytes_other_than_the_passed_ones_are_refused() -> None:
    with pytest.raises(PermanentTaskError) as refused:
        read_outbound_email(RAW + b" ", hashlib.sha256(RAW).hexdigest())
    assert refused.value.code == "content_altered"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (TO, b"", "bad_address"),
        (TO, TO + b"To: eve@example.com\r\n", "bad_address"),
        (TO, b"To: ada.lovelace@example.com, eve@example.com\r\n", "bad_address"),
        (TO, b"To: Friends: ada@example.com, eve@example.com;\r\n", "bad_address"),
        (TO, b"To: undisclosed-recipients:;\r\n", "bad_address"),
        (TO, b"To: ada.lovelace\r\n", "bad_address"),
        (TO, b"To: <ada.lovelace@example.com> eve@example.com\r\n", "bad_address"),
        (TO, TO + b"Cc: eve@example.com\r\n", "more_recipients"),
        (TO, TO + b"BCC: eve@example.com\r\n", "more_recipients"),
        (TO, TO + b"Resent-To: eve@example.com\r\n", "more_recipients"),
        (b"From: ", b"X-From: ", "bad_address"),
    ],
)
def test_message_without_one_sender_and_one_recipient_is_refused(old: bytes, new: bytes, code: str) -> None:
    assert old in RAW
    with pytest.raises(PermanentTaskError) as refused:
        read(RAW.replace(old, new))
    assert refused.value.code == code
    assert "ada" not in str(refused.value)
    assert "eve" not in str(refused.value)


def test_header_like_line_in_the_body_is_ignored() -> None:
    raw = RAW + b"\r\nBcc: eve@example.com\r\n"
    assert read(raw)[1] == "ada.lovelace@example.com"
