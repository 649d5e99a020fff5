"""Forgetting at a user's own request: the ingress signs it, the case manager checks who asks, memory deletes.

The log keeps the signed statement. It names the person by a commitment, so that the log holds no name: the case manager
checks it by the nonce, which is kept nowhere.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from switchyard.protocol.canonical import canonical_json

ForgettingScope = Literal["one", "all"]
FORGETTING_VALID_S = 3_600
"""How long a request may be under way, in seconds."""


def person_commitment(nonce: str, tenant: str, user_id: str) -> str:
    """SHA-256, in hex, over a nonce of 32 random bytes in hex, the tenant and the user."""
    return hashlib.sha256(canonical_json({"nonce": nonce, "tenant": tenant, "user": user_id})).hexdigest()


def forgetting_statement(
    *, request_id: str, tenant: str, scope: ForgettingScope, memory: str | None, person: str, signed_by: str,
    signed_at: str,
) -> bytes:  # fmt: skip
    """What the ingress signs with its key `signed_by`, a source and the id of a key of its: a user who is logged in
    wants one memory forgotten, and nothing besides, or all of theirs."""
    return canonical_json(
        {
            "purpose": "switchyard/forgetting/1",
            "request_id": request_id,
            "tenant": tenant,
            "scope": scope,
            "memory": memory or "",
            "besides": "",
            "person": person,
            "signed_by": signed_by,
            "signed_at": signed_at,
        }
    )
