"""Signed link tokens: claims, purpose, key rotation, tampering."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims, opt_out_url
from switchyard.runtime.crypto.tokens import InvalidToken, SignedTokens

OLD, NEW = b"o" * 32, b"n" * 32
WANTED = OptOutClaims(tenant="acme", address_key="a" * 64, case_id="6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e")


def tokens(purpose: str = OPT_OUT_PURPOSE, **keys: bytes) -> SignedTokens[OptOutClaims]:
    return SignedTokens(OptOutClaims, purpose=purpose, keys=keys or {"k1": OLD})


def test_verify_signed_token_returns_claims() -> None:
    assert tokens().verify(tokens().sign(WANTED)) == WANTED


def test_link_is_url_safe_and_under_500_characters() -> None:
    link = opt_out_url("https://mail.harborline.example/", tokens().sign(WANTED))
    assert link.startswith("https://mail.harborline.example/o/")
    assert all(character.isalnum() or character in ":/.-_" for character in link)
    assert len(link) < 500


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_verify_altered_token_raises(position: int, byte: int) -> None:
    token = bytearray(tokens().sign(WANTED).encode())
    position %= len(token)
    if token[position] == byte:
        return
    token[position] = byte
    with pytest.raises(InvalidToken):
        tokens().verify(token.decode("latin-1"))


def test_verify_other_spelling_of_signature_raises() -> None:
    token = tokens().sign(WANTED)
    mac = token.rpartition(".")[2]
    twin = next(
        symbol
        for symbol in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if symbol != mac[-1]
        and base64.urlsafe_b64decode(mac[:-1] + symbol + "=") == base64.urlsafe_b64decode(mac + "=")
    )
    with pytest.raises(InvalidToken):
        tokens().verify(token[:-1] + twin)


@pytest.mark.parametrize("token", ["", ".", "..", "e30", "e30.", "e30.AAAA", "x" * 2_001, "é.é", ".e30.AAAA"])
def test_verify_malformed_token_raises(token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(token)


def test_verify_token_of_another_purpose_raises() -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(tokens("approval").sign(WANTED))


def test_verify_after_rotation_accepts_kept_keys_only() -> None:
    token = tokens().sign(WANTED)
    assert tokens(k2=NEW, k1=OLD).verify(token) == WANTED
    assert tokens(k2=NEW).verify(tokens(k2=NEW, k1=OLD).sign(WANTED)) == WANTED
    with pytest.raises(InvalidToken):
        tokens(k2=NEW).verify(token)


def test_signed_tokens_with_a_short_key_or_none_raise() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys={"k1": b"short"})
    with pytest.raises(ValueError, match="no key"):
        SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys={})
