"""The user of a request, from a signed JWT of the company's identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from switchyard.identity.jwt_verifier import InvalidJwt, JwtVerifier
from switchyard.protocol.fields import Identifier

_NAME: TypeAdapter[str] = TypeAdapter(Annotated[Identifier, Field(max_length=100)], config=ConfigDict(strict=True))


def _is_name(value: object) -> bool:
    try:
        _NAME.validate_python(value)
    except ValidationError:
        return False
    return True


@dataclass(frozen=True)
class AuthenticatedUser:
    """The user, as the identity provider states. The token is not shown."""

    user_id: str
    tenant: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def role(self) -> str | None:
        """The role to read with: the first that the user has."""
        return self.roles[0] if self.roles else None


class TokenVerifier:
    """Reads users' tokens with the claims that this identity provider has for tenant and roles."""

    def __init__(self, verifier: JwtVerifier, *, audience: str, tenant_claim: str, role_claim: str) -> None:
        self._verifier = verifier
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim

    def authenticated_user(self, authorization: str | None) -> AuthenticatedUser:
        """The user of an Authorization header. Raises `InvalidJwt` or `JwksUnavailable`."""
        scheme, _, text = (authorization or "").partition(" ")
        token = text.strip()
        if scheme.lower() != "bearer" or not token:
            raise InvalidJwt("send the header Authorization: Bearer TOKEN")
        claims = self._verifier.verify(token, audience=self._audience)
        tenant, roles, issued = claims.get(self._tenant_claim), claims.get(self._role_claim), claims.get("iat")
        listed = [] if roles is None else roles if isinstance(roles, list) else [roles]
        named = (("sub", claims["sub"]), (self._tenant_claim, tenant), *((self._role_claim, role) for role in listed))
        for claim, value in named:
            if not _is_name(value):
                raise InvalidJwt(f"the claim {claim} is missing or invalid: visible ASCII without blanks is expected")
        if not isinstance(issued, int) or isinstance(issued, bool) or issued < 0:
            raise InvalidJwt("the claim iat is missing: it says since when the user is logged in")
        return AuthenticatedUser(claims["sub"], str(tenant), tuple(listed), token, claims)
