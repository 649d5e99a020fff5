"""Tokens of one issuer: wrong ones of every kind, and keys that rotate."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from switchyard.identity.jwt_verifier import (
    JWKS_CACHE_S,
    JWKS_MIN_REFETCH_S,
    InvalidJwt,
    JwksUnavailable,
    JwtVerifier,
)

ISSUER = "https://idp.example"
AUDIENCE = "switchyard"
NOW = 1_800_000_000.0
OLD = RSAKey.generate_key(2048, {"kid": "old", "alg": "RS256"})
NEW = ECKey.generate_key("P-256", {"kid": "new", "alg": "ES256"})
STRANGER = RSAKey.generate_key(2048, {"kid": "old", "alg": "RS256"})


class Issuer:
    """An issuer's published keys, which the test rotates, and how often they were fetched."""

    def __init__(self, *keys: RSAKey | ECKey) -> None:
        self.keys: tuple[RSAKey | ECKey, ...] = keys
        self.fetched = 0
        self.now = NOW
        self.reachable = True
        self.verifier = JwtVerifier(issuer=ISSUER, fetch=self.fetch, now=lambda: self.now)

    def fetch(self) -> bytes:
        self.fetched += 1
        if not self.reachable:
            raise OSError("no route")
        return json.dumps(KeySet(list(self.keys)).as_dict(private=False)).encode()


def sign(key: Any = OLD, *, alg: str = "RS256", kid: str = "old", **changed: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": int(NOW) + 600, "iat": int(NOW)} | changed
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid}, present, key, algorithms=[alg])


def test_token_of_the_issuer_is_accepted() -> None:
    assert Issuer(OLD).verifier.verify(sign(), audience=AUDIENCE)["sub"] == "ana"


WRONG: dict[str, Callable[[], str]] = {
    "expired": lambda: sign(exp=int(NOW) - 60),
    "without an expiry": lambda: sign(exp=None),
    "without a subject": lambda: sign(sub=None),
    "another issuer": lambda: sign(iss="https://other.example"),
    "another audience": lambda: sign(aud="another"),
    "not valid yet": lambda: sign(nbf=int(NOW) + 600),
    "another's signature": lambda: sign(STRANGER),
    "a shared key": lambda: sign(OctKey.import_key("k" * 32), alg="HS256"),
    "altered": lambda: sign()[:-6] + "AAAAAA",
    "a refresh token": lambda: sign(token_use="refresh"),
    "a refresh token of another kind of issuer": lambda: sign(typ="Offline"),
    "no token": lambda: "abc",
    "empty": lambda: "",
    "text": lambda: "ä.ö.ü",
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG.keys())
def test_wrong_token_is_refused_without_quoting_it(token: Callable[[], str]) -> None:
    text = token()
    with pytest.raises(InvalidJwt) as refused:
        Issuer(OLD).verifier.verify(text, audience=AUDIENCE)
    assert not text or text not in str(refused.value)


def test_new_key_of_the_issuer_is_fetched_at_once() -> None:
    issuer = Issuer(OLD)
    issuer.verifier.verify(sign(), audience=AUDIENCE)
    issuer.keys, issuer.now = (OLD, NEW), NOW + JWKS_MIN_REFETCH_S + 1

    assert issuer.verifier.verify(sign(NEW, alg="ES256", kid="new"), audience=AUDIENCE)["sub"] == "ana"
    assert issuer.verifier.verify(sign(), audience=AUDIENCE)["sub"] == "ana"
    assert issuer.fetched == 2


def test_unknown_key_ids_do_not_fetch_at_every_token() -> None:
    issuer = Issuer(OLD)
    issuer.verifier.verify(sign(), audience=AUDIENCE)
    issuer.now += 1
    for _ in range(20):
        with pytest.raises(JwksUnavailable):
            issuer.verifier.verify(sign(NEW, alg="ES256", kid="new"), audience=AUDIENCE)
    assert issuer.fetched == 1
    issuer.now += JWKS_MIN_REFETCH_S
    with pytest.raises(InvalidJwt):
        issuer.verifier.verify(sign(NEW, alg="ES256", kid="new"), audience=AUDIENCE)
    assert issuer.fetched == 2


def test_new_key_right_after_a_fetch_is_to_be_tried_again_and_then_accepted() -> None:
    issuer = Issuer(OLD)
    issuer.verifier.verify(sign(), audience=AUDIENCE)
    issuer.keys, token = (OLD, NEW), sign(NEW, alg="ES256", kid="new")
    issuer.now += 1
    with pytest.raises(JwksUnavailable):
        issuer.verifier.verify(token, audience=AUDIENCE)
    issuer.now += JWKS_MIN_REFETCH_S
    assert issuer.verifier.verify(token, audience=AUDIENCE)["sub"] == "ana"


@pytest.mark.parametrize("fetched", [True, False], ids=["has fetched the new key", "is fetching it"])
def test_valid_token_is_not_invalid_while_another_thread_fetches(
    fetched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, token = Issuer(OLD), sign(NEW, alg="ES256", kid="new")
    issuer.verifier.verify(sign(), audience=AUDIENCE)
    issuer.keys, issuer.now = (OLD, NEW), NOW + JWKS_MIN_REFETCH_S + 1
    read, fetch = issuer.verifier._key_set, issuer.fetch
    fetching, go_on = threading.Event(), threading.Event()

    def fetch_slowly() -> bytes:
        fetching.set()
        assert go_on.wait(10)
        return fetch()

    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Any]] = []
        this = threading.get_ident()

        def read_before_the_other_fetches() -> KeySet:
            keys = read()
            if threading.get_ident() == this:
                issuer.now += 0.001
                others.append(pool.submit(issuer.verifier.verify, token, audience=AUDIENCE))
                assert fetching.wait(10)
                if fetched:
                    go_on.set()
                    others[0].result(10)
            return keys

        monkeypatch.setattr(issuer.verifier, "_fetch", fetch_slowly)
        monkeypatch.setattr(issuer.verifier, "_key_set", read_before_the_other_fetches)
        try:
            if fetched:
                assert issuer.verifier.verify(token, audience=AUDIENCE)["sub"] == "ana"
            else:
                with pytest.raises(JwksUnavailable):
                    issuer.verifier.verify(token, audience=AUDIENCE)
        finally:
            go_on.set()
        assert others[0].result(10)["sub"] == "ana"
    assert issuer.fetched == 2


def test_key_that_was_withdrawn_is_refused_after_the_cache() -> None:
    issuer = Issuer(OLD)
    issuer.verifier.verify(sign(), audience=AUDIENCE)
    issuer.keys, issuer.now = (NEW,), NOW + JWKS_CACHE_S + 1
    with pytest.raises(InvalidJwt):
        issuer.verifier.verify(sign(exp=int(NOW) + 6_000), audience=AUDIENCE)


def test_issuer_out_of_reach_is_unavailable() -> None:
    issuer = Issuer(OLD)
    issuer.reachable = False
    with pytest.raises(JwksUnavailable):
        issuer.verifier.verify(sign(), audience=AUDIENCE)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 1}', b"<html>", b'{"keys": [{}]}', b"[" * 10_000])
def test_invalid_key_document_is_unavailable(document: bytes) -> None:
    verifier = JwtVerifier(issuer=ISSUER, fetch=lambda: document, now=lambda: NOW)
    with pytest.raises(JwksUnavailable):
        verifier.verify(sign(), audience=AUDIENCE)
