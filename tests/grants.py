"""Grants as the ingress signs them."""

from __future__ import annotations

import uuid

from contracts.events.upstream import CaseSubmitted
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import import_private_key, sign_grant


def granted(submitted: CaseSubmitted, *, source: str, seed: bytes, kid: str, at: int) -> str:
    """The grant of the submission's user, for the role that it is submitted in."""
    claims = GrantClaims(
        iss=source,
        jti=str(uuid.UUID(int=7)),
        sub=submitted.user_id,
        tenant=submitted.tenant,
        agents=("text_to_sql",),
        scopes=(f"session:role:{submitted.role}",),
        audiences=("https://warehouse.example",),
        iat=at,
        exp=at + 3_600,
    )
    return sign_grant(claims, kid, import_private_key(seed))
