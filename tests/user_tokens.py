"""Tokens of users for tests in which no server reads them."""

from __future__ import annotations

import uuid

from switchyard.identity.client import UserToken
from switchyard.protocol.fields import Access

AUDIENCE = "https://warehouse.example"


def user_token(text: str = "none", *, jti: str = "jti-1", subject: str | None = None) -> UserToken:
    """A token with this text, of this user."""
    return UserToken(
        text,
        Access(
            subject=subject or str(uuid.uuid4()),
            agent="text_to_sql",
            grant=str(uuid.uuid4()),
            jti=jti,
            audience=AUDIENCE,
            scopes=("session:role:FIELD_ALL",),
        ),
    )
