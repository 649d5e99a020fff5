"""Verifies the user's token: a signed JWT of the company's identity provider (RFC 7519, RFC 8725)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from joserfc import jwt
from joserfc.jwk import Key, KeySet, import_key

from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent, malformed
from switchyard.protocol.principal_jws import read_jws_header

ALGORITHMS = ["RS256", "ES256"]
"""Asymmetric only: with a shared key, a verifier could also sign (RFC 8725, 3.1)."""

JWKS_CACHE_S = 300.0
JWKS_MIN_REFETCH_S = 10.0
"""A token of an unknown key makes the keys be fetched again at once, but no more often than this."""

MAX_TOKEN_CHARS = 16_384
TOKEN_LEEWAY_S = 30


class InvalidUserToken(Exception):
    """The user's token is invalid. The message names the reason and never quotes the token."""


class JwksUnavailable(Exception):
    """The identity provider's keys cannot be fetched: try again; check the firewall's list of hosts."""


@dataclass(frozen=True)
class AuthenticatedUser:
    """The user, as the identity provider states."""

    user_id: str
    tenant: str
    role: str | None


class TokenVerifier:
    """Verifies tokens of one issuer for one audience. `fetch` returns the issuer's JWKS document."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        tenant_claim: str,
        role_claim: str,
        fetch: Callable[[], bytes],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim
        self._fetch = fetch
        self._now = now
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._tried = float("-inf")

    def authenticated_user(self, authorization: str | None) -> AuthenticatedUser:
        """The user of an Authorization header. Raises `InvalidUserToken`, or `JwksUnavailable`."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise InvalidUserToken("send the header Authorization: Bearer TOKEN")
        claims = self._claims(text.strip())
        tenant, role = claims.get(self._tenant_claim), claims.get(self._role_claim)
        if not isinstance(tenant, str) or not tenant:
            raise InvalidUserToken(f"the claim {self._tenant_claim} is missing")
        if role is not None and not isinstance(role, str):
            raise InvalidUserToken(f"the claim {self._role_claim} is invalid: it must be text")
        if not isinstance(claims["sub"], str):
            raise InvalidUserToken("the claim sub is invalid: it must be text")
        return AuthenticatedUser(user_id=claims["sub"], tenant=tenant, role=role)

    def _claims(self, text: str) -> Mapping[str, Any]:
        kid = _key_id(text)
        keys = self._key_set()
        if kid not in {key.kid for key in keys.keys} and self._now() - self._tried >= JWKS_MIN_REFETCH_S:
            keys = self._fetch_keys()
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=TOKEN_LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = jwt.decode(text, keys, algorithms=ALGORITHMS)
            registry.validate(token.claims)
        except Exception as error:
            # The boundary: any error that a token makes the library raise is a fault of the token.
            raise InvalidUserToken(f"the token is invalid ({type(error).__name__})") from error
        return token.claims

    def _key_set(self) -> KeySet:
        if self._keys is None or self._now() - self._fetched > JWKS_CACHE_S:
            return self._fetch_keys()
        return self._keys

    def _fetch_keys(self) -> KeySet:
        self._tried = self._now()
        try:
            self._keys = read_key_set(self._fetch())
        except (OSError, HTTPException, InvalidEvent) as error:
            raise JwksUnavailable(f"the identity provider's keys cannot be fetched ({type(error).__name__})") from error
        self._fetched = self._tried
        return self._keys


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


def _key_id(token: str) -> str | None:
    """The key that a token names. Raises `InvalidUserToken`."""
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidUserToken("the token is too long")
    try:
        kid = read_jws_header(token).get("kid")
    except InvalidEvent:
        raise InvalidUserToken("the token is not a JWT") from None
    return kid if isinstance(kid, str) else None
