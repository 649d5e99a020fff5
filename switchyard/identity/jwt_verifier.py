"""Verifies JWTs of one issuer (RFC 7519, RFC 8725): users' tokens, and the tokens of the token exchange."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import urlopen

from joserfc import jwt
from joserfc.jwk import Key, KeySet, import_key

from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent, malformed
from switchyard.protocol.principal_jws import read_jws_claims, read_jws_header

ALGORITHMS = ["RS256", "ES256"]
"""Asymmetric only: with a shared key, a verifier could also sign (RFC 8725, 3.1)."""

_REFRESHES = frozenset({"refresh", "offline"})
"""What issuers call a refresh token that is a JWT."""

JWKS_CACHE_S = 300.0
JWKS_MIN_REFETCH_S = 10.0
"""A token of an unknown key makes the keys be fetched again at once, but no more often than this."""

JWKS_TIMEOUT_S = 10.0
MAX_JWKS_BYTES = 1_000_000
MAX_TOKEN_CHARS = 16_384
TOKEN_LEEWAY_S = 30


class InvalidJwt(Exception):
    """The token is invalid. The message names the reason and never quotes the token."""


class JwksUnavailable(Exception):
    """The issuer's keys cannot be fetched: try again; check the firewall's list of hosts."""


class JwtVerifier:
    """Verifies tokens of one issuer, in any number of threads. `fetch` returns the issuer's JWKS; it blocks."""

    def __init__(self, *, issuer: str, fetch: Callable[[], bytes], now: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._now = now
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._tried = float("-inf")
        self._storing = threading.Lock()

    def verify(self, text: str, *, audience: str) -> Mapping[str, Any]:
        """The claims of a token for this audience; `sub` is text. Raises `InvalidJwt` or `JwksUnavailable`."""
        (kid, issuer), asked = _key_id_and_issuer(text), self._now()
        if issuer != self._issuer:
            # Not verified, and enough to refuse it: its key is not looked for.
            raise InvalidJwt("the token is of another issuer")
        keys = self._key_set()
        if kid is not None and kid not in {key.kid for key in keys.keys}:
            if self._fetched >= asked and self._keys is not None:
                # Fetched since this was called, perhaps by another thread after the keys were read above.
                keys = self._keys
            elif asked - self._tried < JWKS_MIN_REFETCH_S:
                # The issuer may have a new key since, or another thread is just fetching it: to say that the token is
                # invalid would lose a valid one.
                raise JwksUnavailable("the token names a key that the issuer did not have a moment ago")
            else:
                keys = self._fetch_keys()
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=TOKEN_LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = jwt.decode(text, keys, algorithms=ALGORITHMS)
            registry.validate(token.claims)
        except Exception as error:
            # The boundary: any error that a token makes the library raise is a fault of the token.
            raise InvalidJwt(f"the token is invalid ({type(error).__name__})") from error
        if any(str(token.claims.get(claim)).lower() in _REFRESHES for claim in ("token_use", "token_type", "typ")):
            # It lives for days, and has the issuer, the audience and the key of an access token (RFC 8725, 2.8).
            raise InvalidJwt("the token only renews others: send an access token")
        if not isinstance(token.claims["sub"], str):
            raise InvalidJwt("the claim sub is invalid: it must be text")
        return token.claims

    def _key_set(self) -> KeySet:
        if self._keys is None or self._now() - self._fetched > JWKS_CACHE_S:
            return self._fetch_keys()
        return self._keys

    def _fetch_keys(self) -> KeySet:
        self._tried = tried = self._now()
        try:
            keys = read_key_set(self._fetch())
        except (OSError, HTTPException, InvalidEvent) as error:
            raise JwksUnavailable(f"the issuer's keys cannot be fetched ({type(error).__name__})") from error
        with self._storing:
            if self._keys is None or tried >= self._fetched:
                # In this order: a reader that sees the time sees keys that are at least as new.
                self._keys, self._fetched = keys, tried
        return keys


def fetch_jwks(url: str, timeout_s: float = JWKS_TIMEOUT_S) -> bytes:
    """A JWKS document. Raises `OSError` or `HTTPException`."""
    with urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - the address is the operator's
        body: bytes = answer.read(MAX_JWKS_BYTES)
        return body


def read_key_set(document: bytes) -> KeySet:
    """The keys of a JWKS document; keys that cannot be read are left out (RFC 7517, 5). Raises `InvalidEvent`
    (malformed) for another document, or if no key can be read."""
    listed = parse_foreign_json(document)
    listed = listed.get("keys") if isinstance(listed, dict) else None
    keys = [key for each in (listed if isinstance(listed, list) else ()) if (key := _read_key(each)) is not None]
    if not keys:
        raise malformed("a document without keys", "keys", "compare with the issuer's JWKS document")
    return KeySet(keys)


def _read_key(document: Any) -> Key | None:
    try:
        return import_key(document)
    except Exception:  # noqa: BLE001 (the boundary: joserfc raises what a broken key makes Python raise)
        return None


def _key_id_and_issuer(token: str) -> tuple[str | None, object]:
    """The key and the issuer that a token names, not verified. Raises `InvalidJwt`."""
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidJwt("the token is too long")
    try:
        kid, issuer = read_jws_header(token).get("kid"), read_jws_claims(token).get("iss")
    except InvalidEvent:
        raise InvalidJwt("the token is not a JWT") from None
    return kid if isinstance(kid, str) else None, issuer
