"""What Snowflake's external OAuth does at a log-in: the token decides who the user is and which role they may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import ExpiredTokenError
from snowflake.connector.errors import DatabaseError

from switchyard.identity.jwt_verifier import InvalidJwt, JwtVerifier

TOKEN_INVALID = 390303
TOKEN_EXPIRED = 390318
ROLE_NOT_IN_TOKEN = 390317
ROLE_SCOPE = "session:role:"


@dataclass(frozen=True)
class SessionUser:
    """Who a session belongs to, as the query history keeps it."""

    user: str
    actor: str
    """Who acts for the user: the client of the token exchange; nested actors are joined, nearest first."""
    role: str
    jti: str


@dataclass(frozen=True)
class SessionTokens:
    """Reads tokens of one exchange for this account. `audience` is the account, as they name it."""

    verifier: JwtVerifier
    audience: str

    def session_user(self, token: str, role: str) -> SessionUser:
        """The user of a log-in in a role.

        Raises `DatabaseError` with Snowflake's numbers, or `JwksUnavailable`.
        """
        try:
            claims = self.verifier.verify(token, audience=self.audience)
        except InvalidJwt as error:
            if isinstance(error.__cause__, ExpiredTokenError):
                raise DatabaseError(msg="OAuth access token expired.", errno=TOKEN_EXPIRED) from None
            raise DatabaseError(msg="Invalid OAuth access token.", errno=TOKEN_INVALID) from None
        scopes = {scope.upper() for scope in str(claims.get("scope", "")).split()}
        if (ROLE_SCOPE + role).upper() not in scopes:
            message = "The role requested in the connection is not listed in the Access Token."
            raise DatabaseError(msg=message, errno=ROLE_NOT_IN_TOKEN)
        return SessionUser(claims["sub"], _actor(claims), role, str(claims.get("jti", "")))


def _actor(claims: Mapping[str, Any]) -> str:
    names, actor = [], claims.get("act")
    while isinstance(actor, dict):
        names.append(str(actor.get("sub", "")))
        actor = actor.get("act")
    return " ".join(names)
