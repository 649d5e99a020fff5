"""Verifies the user's token: a signed JWT of the company's identity provider (RFC 7519, RFC 8725)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["RS256", "ES256"]
"""Asymmetric only: with a shared key, a verifier could also sign (RFC 8725, 3.1)."""

JWKS_CACHE_S = 300.0
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
        return AuthenticatedUser(user_id=claims["sub"], tenant=tenant, role=role)

    def _claims(self, text: str) -> Mapping[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=TOKEN_LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = jwt.decode(text, self._key_set(), algorithms=ALGORITHMS)
            registry.validate(token.claims)
        except (JoseError, ValueError) as error:
            raise InvalidUserToken(f"the token is invalid ({type(error).__name__})") from error
        return token.claims

    def _key_set(self) -> KeySet:
        if self._keys is None or self._now() - self._fetched > JWKS_CACHE_S:
            try:
                self._keys = KeySet.import_key_set(json.loads(self._fetch()))
            except (OSError, ValueError, JoseError) as error:
                raise JwksUnavailable(
                    f"the identity provider's keys cannot be fetched ({type(error).__name__})"
                ) from error
            self._fetched = self._now()
        return self._keys
