"""Feedback of a user on a case of theirs: the ingress signs it, the case manager checks it and puts it into the log. A
statement is a compact JWS, as a grant is."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from switchyard.protocol.canonical import canonical_json
from switchyard.protocol.fields import Identifier, NonNegativeInt, Sha256, StrictContract, Uuid

FEEDBACK_TOKEN_TYPE = "switchyard-feedback+jwt"  # noqa: S105 - the name of a type
"""The header's `typ` (RFC 8725, 3.11)."""

FEEDBACK_VALID_S = 3_600
"""How long a statement may be under way, in seconds."""

MAX_FEEDBACK_CHARS = 2_000
Thumb = Literal["up", "down"]


class FeedbackClaims(StrictContract):
    """Who says what about which case, and until when that holds."""

    iss: Identifier = Field(description="The bus source that signs: a statement counts under no other.")
    sub: Identifier = Field(description="The user, as the identity provider names them.")
    tenant: Identifier
    case_id: Uuid
    reviewer: bool = Field(description="Whether a role of the user's reads, and judges, every case of their tenant.")
    content_sha256: Sha256 = Field(description="`feedback_digest` of thumb and reason.")
    iat: NonNegativeInt = Field(description="Seconds since 1970.")
    exp: NonNegativeInt


def feedback_digest(thumb: str, reason: str | None) -> str:
    """SHA-256, in hex, over the canonical JSON of what was said."""
    return hashlib.sha256(canonical_json({"thumb": thumb, "reason": reason})).hexdigest()
