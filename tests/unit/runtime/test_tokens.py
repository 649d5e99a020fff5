"""A token says what was signed, for the purpose for which it was signed, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims, opt_out_url
from switchyard.runtime.crypto.tokens import InvalidToken, SignedTokens, parse_hmac_keys

OLD, NEW = b"o" * 32, b"n" * 32
WANTED = OptOutClaims(tenant="acme", address_key="a" * 64, case_id="6f1f6b0a-7c22-4c55-8d5e-9a0f2f0c5d0e")


def tokens(purpose: str = OPT_OUT_PURPOSE, **keys: bytes) -> SignedTokens[OptOutClaims]:
    return SignedTokens(OptOutClaims, purpose=purpose, keys=keys or {"k1": OLD})


def test_what_was_signed_comes_back() -> None:
    assert tokens().verify(tokens().sign(WANTED)) == WANTED


def test_it_stands_in_a_url_as_it_is_and_is_short_enough_for_every_mail_client() -> None:
    link = opt_out_url("https://mail.harborline.example/", tokens().sign(WANTED))
    assert link.startswith("https://mail.harborline.example/o/k1.")
    assert all(character.isalnum() or character in ":/.-_" for character in link)
    assert len(link) < 500


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_no_altered_token_is_accepted(position: int, byte: int) -> None:
    token = bytearray(tokens().sign(WANTED).encode())
    position %= len(token)
    if token[position] == byte:
        return
    token[position] = byte
    with pytest.raises(InvalidToken):
        tokens().verify(token.decode("latin-1"))


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    token = tokens().sign(WANTED)
    mac = token.rpartition(".")[2]
    twin = next(
        letter
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if letter != mac[-1]
        and base64.urlsafe_b64decode(mac[:-1] + letter + "=") == base64.urlsafe_b64decode(mac + "=")
    )
    with pytest.raises(InvalidToken):
        tokens().verify(token[:-1] + twin)


@pytest.mark.parametrize("token", ["", ".", "..", "k1..", "k1.e30.", "k9.e30.AAAA", "x" * 2_001, "k1.é.é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(token)


def test_a_token_for_another_purpose_is_refused() -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(tokens("approval").sign(WANTED))


def test_a_rotated_key_still_verifies_and_a_dropped_one_does_not() -> None:
    token = tokens().sign(WANTED)
    assert tokens(k2=NEW, k1=OLD).verify(token) == WANTED
    assert tokens(k2=NEW, k1=OLD).sign(WANTED).startswith("k2.")
    with pytest.raises(InvalidToken):
        tokens(k2=NEW).verify(token)


def test_a_key_cannot_pass_under_anothers_id() -> None:
    token = tokens(k1=OLD).sign(WANTED)
    with pytest.raises(InvalidToken):
        tokens(k2=OLD).verify(token.replace("k1.", "k2.", 1))


def test_short_keys_bad_ids_and_no_key_are_refused() -> None:
    for keys in ({"k1": b"short"}, {"k.1": OLD}, {"": OLD}):
        with pytest.raises(ValueError, match="at least 32 bytes"):
            SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys=keys)
    with pytest.raises(ValueError, match="no key"):
        SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys={})


def test_keys_come_from_json_and_a_bad_setting_does_not_show_them() -> None:
    assert parse_hmac_keys(SecretStr('{"k1": "6f6f"}')) == {"k1": b"oo"}
    with pytest.raises(ValueError) as refused:
        parse_hmac_keys(SecretStr('{"k1": 4711}'))
    assert "4711" not in str(refused.value)
