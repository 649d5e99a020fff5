"""The user of a request, from a signed JWT of the company's identity provider."""

from __future__ import annotations

from dataclasses import dataclass

from switchyard.identity.jwt_verifier import InvalidJwt, JwtVerifier


@dataclass(frozen=True)
class AuthenticatedUser:
    """The user, as the identity provider states."""

    user_id: str
    tenant: str
    role: str | None


class TokenVerifier:
    """Reads users' tokens with the claims that this identity provider has for tenant and role."""

    def __init__(self, verifier: JwtVerifier, *, audience: str, tenant_claim: str, role_claim: str) -> None:
        self._verifier = verifier
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim

    def authenticated_user(self, authorization: str | None) -> AuthenticatedUser:
        """The user of an Authorization header. Raises `InvalidJwt` or `JwksUnavailable`."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise InvalidJwt("send the header Authorization: Bearer TOKEN")
        claims = self._verifier.verify(text.strip(), audience=self._audience)
        tenant, role = claims.get(self._tenant_claim), claims.get(self._role_claim)
        if not isinstance(tenant, str) or not tenant:
            raise InvalidJwt(f"the claim {self._tenant_claim} is missing")
        if role is not None and not isinstance(role, str):
            raise InvalidJwt(f"the claim {self._role_claim} is invalid: it must be text")
        return AuthenticatedUser(user_id=claims["sub"], tenant=tenant, role=role)
