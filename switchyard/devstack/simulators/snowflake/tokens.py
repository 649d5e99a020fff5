"""What Snowflake's external OAuth does at a log-in: the token decides who the user is and which role they may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snowflake.connector.errors import DatabaseError

from switchyard.identity.jwt_verifier import InvalidToken, JwksUnavailable, JwtVerifier

TOKEN_INVALID = 390303
ROLE_NOT_IN_TOKEN = 390317
ROLE_SCOPE = "session:role:"


@dataclass(frozen=True)
class SessionUser:
    """Who a session belongs to, as the query history keeps it."""

    user: str
    agent: str
    role: str
    jti: str


class SessionTokens:
    """Reads tokens of one exchange for this account. `audience` is the account's address."""

    def __init__(self, verifier: JwtVerifier, audience: str) -> None:
        self._verifier = verifier
        self._audience = audience

    def session_user(self, token: str, role: str) -> SessionUser:
        """The user of a log-in in a role. Raises `DatabaseError` with Snowflake's numbers."""
        try:
            claims = self._verifier.verify(token, audience=self._audience)
        except (InvalidToken, JwksUnavailable):
            raise DatabaseError(msg="Invalid OAuth access token.", errno=TOKEN_INVALID) from None
        if ROLE_SCOPE + role not in str(claims.get("scope", "")).split():
            raise DatabaseError(
                msg="Role specified in the connect string is not in the token's scope.", errno=ROLE_NOT_IN_TOKEN
            )
        return SessionUser(str(claims["sub"]), _actor(claims), role, str(claims.get("jti", "")))


def _actor(claims: Mapping[str, Any]) -> str:
    """Who acts for the user; nested actors are joined, nearest first."""
    names, actor = [], claims.get("act")
    while isinstance(actor, dict):
        names.append(str(actor.get("sub", "")))
        actor = actor.get("act")
    return " ".join(names)
