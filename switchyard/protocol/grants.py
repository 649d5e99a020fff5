"""Grants: what a user allows agents to do in their name. The ingress signs one per verified log-in; the identity
service redeems it, step by step, for short tokens. A grant is a compact JWS and never contains a token."""

from __future__ import annotations

import uuid
from typing import Annotated

from pydantic import Field

from switchyard.protocol.fields import Identifier, Name, NonNegativeInt, StrictContract, Uuid

GRANT_TOKEN_TYPE = "switchyard-grant+jwt"  # noqa: S105 - the name of a type
"""The header's `typ` (RFC 8725, 3.11)."""

GrantStatement = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=8_000)]
"""A JWS in compact form."""


class GrantClaims(StrictContract):
    """Who allows which agents what, for which audiences, and until when."""

    iss: Identifier = Field(description="The bus source that signs.")
    jti: Uuid = Field(description="The grant's id; a renewal keeps it.")
    sub: Identifier = Field(description="The user, as the identity provider names them.")
    tenant: Identifier
    agents: tuple[Name, ...] = Field(description="The agents that may redeem it.")
    scopes: tuple[Identifier, ...] = Field(description="The widest scopes of any token.")
    audiences: tuple[Identifier, ...] = Field(description="The services that a token may be for.")
    iat: NonNegativeInt = Field(description="Seconds since 1970.")
    exp: NonNegativeInt


SERVICE_GRANTS = uuid.UUID("0c1d6a55-88f5-5f0e-8f2e-7a0c2b6d1f43")


def service_grant_id(source: str) -> str:
    """The grant of a source that acts for itself: configuration says what it covers, if anything."""
    return str(uuid.uuid5(SERVICE_GRANTS, source))
