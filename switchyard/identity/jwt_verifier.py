"""Verifies JWTs of one issuer (RFC 7519, RFC 8725): users' tokens, and the tokens of the token exchange."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["RS256", "ES256"]
"""Asymmetric only: with a shared key, a verifier could also sign (RFC 8725, 3.1)."""

JWKS_CACHE_S = 300.0
JWKS_MIN_REFETCH_S = 5.0
"""An unknown key id fetches the keys again, but not more often than this."""


TOKEN_LEEWAY_S = 30


class InvalidToken(Exception):
    """The token is invalid. The message names the reason and never quotes the token."""


class JwksUnavailable(Exception):
    """The issuer's keys cannot be fetched: try again; check the network's rules and the issuer's status."""


class JwtVerifier:
    """Verifies tokens of one issuer. `fetch` returns the issuer's JWKS document; it blocks."""

    def __init__(
        self,
        *,
        issuer: str,
        fetch: Callable[[], bytes],
        now: Callable[[], float] = time.time,
        leeway_s: int = TOKEN_LEEWAY_S,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._now = now
        self._leeway_s = leeway_s
        self._keys: KeySet | None = None
        self._fetched = 0.0

    def verify(self, text: str, *, audience: str) -> Mapping[str, Any]:
        """The claims of a token for this audience. Raises `InvalidToken` or `JwksUnavailable`."""
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=self._leeway_s,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = self._decode(text)
            registry.validate(token.claims)
        except (JoseError, ValueError) as error:
            raise InvalidToken(f"the token is invalid ({type(error).__name__})") from error
        return token.claims

    def _decode(self, text: str) -> jwt.Token:
        try:
            return jwt.decode(text, self._key_set(JWKS_CACHE_S), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # The issuer has a new key since the last fetch.
            return jwt.decode(text, self._key_set(JWKS_MIN_REFETCH_S), algorithms=ALGORITHMS)

    def _key_set(self, max_age_s: float) -> KeySet:
        if self._keys is None or self._now() - self._fetched > max_age_s:
            try:
                self._keys = KeySet.import_key_set(json.loads(self._fetch()))
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, JoseError) as error:
                raise JwksUnavailable(f"the issuer's keys cannot be fetched ({type(error).__name__})") from error
            self._fetched = self._now()
        return self._keys
