"""What an ingress signs about who asks: read by the ingress, the case manager and auditors. The statement is a JWS in
compact form (RFC 7515): header `alg`, `kid`, `typ`, payload `PrincipalClaims` as JSON."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Identifier, Json, NonNegativeInt, Sha256, StrictContract, Uuid

PRINCIPAL_ALGORITHM = "Ed25519"
"""RFC 9864, which names the curve; RFC 8037's `EdDSA` left it open."""

PRINCIPAL_TOKEN_TYPE = "switchyard-principal+jwt"  # noqa: S105 - the name of a type
"""The header's `typ`: a token that was signed for anything else is no statement (RFC 8725, 3.11)."""

PRINCIPAL_FIELD = "principal"
"""The submission's field that carries the statement. It cannot be part of what it signs."""

GRANT_FIELD = "grant"
"""The submission's field that carries the user's grant. It is signed by itself; a new log-in has another."""

PRINCIPAL_VALID_S = 3_600
"""How long a statement may lie before intake, in seconds.

Without a bound a submission could be opened three weeks after its user's rights were checked: a queue keeps it for 7
days, dead letters for 14. An hour is what access tokens commonly live, and four times what it takes until the alarm of
a backlog has reached a person. A submission that lay longer is refused by name and may be sent again under its key.
"""

PrincipalStatement = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=4_000)
]
"""A JWS in compact form."""


class PrincipalClaims(StrictContract):
    """Who asks, for whom, what, and until when that holds."""

    iss: Identifier = Field(description="The bus source that signs: a statement counts under no other.")
    sub: Identifier = Field(description="The submission's user_id.")
    tenant: Identifier
    session_id: Identifier
    role: Identifier | None = None
    case_id: Uuid = Field(description="The case that the submission opens: named by tenant, source, user and key.")
    content_sha256: Sha256 = Field(description="Of what is sealed for the case, so that an auditor can compare it.")
    submission: Sha256 = Field(description="`submission_digest` of the whole submission.")
    iat: NonNegativeInt = Field(description="Seconds since 1970.")
    exp: NonNegativeInt


def without_principal_and_grant(submission: Json) -> Json:
    """The submission as it was before statement and grant were put in."""
    return {name: value for name, value in submission.items() if name not in (PRINCIPAL_FIELD, GRANT_FIELD)}


def submission_digest(submission: Json) -> str:
    """SHA-256, in hex, over the canonical JSON of a submission as it is sent, without its statement."""
    return hashlib.sha256(canonical_json(without_principal_and_grant(submission))).hexdigest()


def content_digest(*contents: bytes) -> str:
    """SHA-256, in hex, of what is sealed for a case: of the one content, or of the sorted digests of several."""
    digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
