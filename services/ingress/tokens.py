"""The user of a request, from a signed JWT of the company's identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switchyard.identity.jwt_verifier import InvalidToken, JwtVerifier


@dataclass(frozen=True)
class AuthenticatedUser:
    """The user, as the identity provider states: `token` and `claims` are what the grant is made of."""

    user_id: str
    tenant: str
    roles: tuple[str, ...]
    token: str
    claims: Mapping[str, Any]

    @property
    def role(self) -> str | None:
        """The role to query with: the first that the user has."""
        return self.roles[0] if self.roles else None

    def __repr__(self) -> str:
        return f"AuthenticatedUser({self.user_id!r}, {self.tenant!r}, {self.roles!r})"


class TokenVerifier:
    """Reads users' tokens with the claims that this identity provider has for tenant and roles."""

    def __init__(self, verifier: JwtVerifier, *, audience: str, tenant_claim: str, role_claim: str) -> None:
        self._verifier = verifier
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim

    def authenticated_user(self, authorization: str | None) -> AuthenticatedUser:
        """The user of an Authorization header. Raises `InvalidToken` or `JwksUnavailable`."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise InvalidToken("send the header Authorization: Bearer TOKEN")
        claims = self._verifier.verify(text.strip(), audience=self._audience)
        tenant, roles = claims.get(self._tenant_claim), claims.get(self._role_claim)
        if not isinstance(tenant, str) or not tenant:
            raise InvalidToken(f"the claim {self._tenant_claim} is missing")
        listed = [] if roles is None else roles if isinstance(roles, list) else [roles]
        if not all(isinstance(role, str) for role in listed):
            raise InvalidToken(f"the claim {self._role_claim} is invalid: it must be text or a list of texts")
        return AuthenticatedUser(claims["sub"], tenant, tuple(listed), text.strip(), claims)
