"""The ingress function's environment, which terraform sets. Its variables have no prefix."""

from __future__ import annotations

import os
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Json

from switchyard.protocol.fields import Identifier, Name

IdentityUrl = Annotated[str, Field(pattern=r"^https://")]
"""https only: users' tokens go there."""

JwksUrl = Annotated[str, Field(pattern=r"^(https://|http://127\.0\.0\.1:|http://[a-z-]+:)")]
"""https only, but for a local stack and for a container beside: these keys authenticate every user."""


class GrantPolicy(BaseModel):
    """What every user's grant covers: the scopes of the user's own roles are added to `scopes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: tuple[Name, ...]
    audiences: tuple[Identifier, ...]
    scopes: tuple[Identifier, ...] = ()
    role_scope: str = "session:role:"
    """Text before a role's name in a scope."""
    hours: Annotated[int, Field(ge=1, le=30 * 24)] = 8
    """How long after its log-in a grant may be redeemed, if the user's credential lives as long."""


class IngressSettings(BaseModel):
    """The identity provider, the identity service, and what the function publishes as."""

    issuer: str = Field(description="The identity provider, as its tokens name it (`iss`).")
    audience: str = Field(description="The API, as the tokens name it (`aud`).")
    jwks_url: JwksUrl = Field(description="The identity provider's public keys, over https.")
    tenant_claim: str = Field(description="The claim that holds the tenant.")
    role_claim: str = Field(description="The claim that holds the user's roles: text, or a list of texts.")
    principal_key_secret_arn: str = Field(description="The secret with the key that signs principals and grants.")
    identity_url: IdentityUrl | None = Field(
        default=None, description="The identity service, over https, where agents act in a user's name."
    )
    identity_files_secret_arn: str | None = Field(
        default=None,
        description="The secret with the function's certificate for the identity service, as JSON "
        '{"ca": "..", "certificate": "..", "key": ".."}.',
    )
    grant_policy: Json[GrantPolicy] | None = Field(
        default=None,
        description='What each grant covers, as JSON {"agents": [..], "audiences": [..], "scopes": [..], "hours": 8}; '
        "the scopes of the user's roles are added.",
    )
    reviewer_roles: Json[tuple[Identifier, ...]] = Field(
        default=(), description="Roles whose holders give feedback on every case of their tenant, as JSON."
    )
    user_requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=300, description="Requests of one user in a minute to one instance of the function."
    )
    tenant_requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=3_000, description="Requests of all users of a tenant in a minute to one instance of the function."
    )
    bus: str = Field(description="The EventBridge bus.")
    source: str = Field(description="The source of the function's events.")

    @classmethod
    def read(cls) -> Self:
        """The settings of this process. Raises `ValidationError` for a variable that is missing or invalid."""
        given = {name: os.environ.get(name.upper()) for name in cls.model_fields}
        required = {name for name, each in cls.model_fields.items() if each.is_required()}
        return cls.model_validate({name: value for name, value in given.items() if value or name in required})
