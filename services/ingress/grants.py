"""The grant of a user who has logged in: signed here, and registered with the user's token at the identity service."""

from __future__ import annotations

import json
import ssl
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict

from services.ingress.tokens import AuthenticatedUser
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import sign_grant

GRANT_NAMESPACE = uuid.UUID("5b1c7a1e-6f0d-5c55-9c39-6c4d6a9c2f10")
IDENTITY_TIMEOUT_S = 4
MAX_KNOWN_GRANTS = 1_000


class GrantRefused(Exception):
    """The identity service does not accept the user's token for a grant: log in again."""


class IdentityUnavailable(Exception):
    """The identity service is unreachable: send the request again; check the service and the network's rules."""


class GrantPolicy(BaseModel):
    """What every user's grant covers beside the scopes of their role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: tuple[str, ...]
    audiences: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    role_scope: str = "session:role:"


def grant_claims(source: str, user: AuthenticatedUser, policy: GrantPolicy) -> GrantClaims:
    """The grant of a verified token: the same for every use of it."""
    token = user.claims
    name = json.dumps([token["iss"], token["sub"], token.get("jti") or [token.get("iat"), token["exp"]]])
    return GrantClaims(
        iss=source,
        jti=str(uuid.uuid5(GRANT_NAMESPACE, name)),
        sub=user.user_id,
        tenant=user.tenant,
        agents=policy.agents,
        scopes=(*(policy.role_scope + role for role in user.roles), *policy.scopes),
        audiences=policy.audiences,
        iat=int(token.get("iat", 0)),
        exp=int(token["exp"]),
    )


Register = Callable[[str, str], None]
"""Registers a grant's statement and a token. Raises `GrantRefused` or `IdentityUnavailable`."""


@dataclass(frozen=True)
class IdentityService:
    """The identity service at `url`, reached with this function's own certificate."""

    url: str
    tls: ssl.SSLContext

    def register(self, statement: str, token: str) -> None:
        """Register a grant. Raises `GrantRefused` or `IdentityUnavailable`."""
        body = json.dumps({"grant": statement, "token": token}).encode()
        request = Request(f"{self.url}/grants", body, {"Content-Type": "application/json"})  # noqa: S310 - https only
        try:
            urlopen(request, timeout=IDENTITY_TIMEOUT_S, context=self.tls).close()  # noqa: S310 - see above
        except HTTPError as error:
            if error.code in (400, 403):
                raise GrantRefused(_code_of(error)) from None
            raise IdentityUnavailable(f"the identity service answered {error.code}; send it again") from None
        except OSError as error:
            raise IdentityUnavailable(f"the identity service is unreachable ({type(error).__name__})") from None


class Grants:
    """Signs the grant of each token once and registers it once per process."""

    def __init__(self, register: Register, policy: GrantPolicy, source: str) -> None:
        self._register = register
        self._policy = policy
        self._source = source
        self._known: OrderedDict[str, str] = OrderedDict()

    def grant_of(self, user: AuthenticatedUser, key: tuple[str, OKPKey]) -> str:
        """The statement of the user's grant, registered. Raises `GrantRefused` or `IdentityUnavailable`."""
        granted = grant_claims(self._source, user, self._policy)
        statement = self._known.get(granted.jti)
        if statement is None:
            statement = sign_grant(granted, *key)
            self._register(statement, user.token)
            self._known[granted.jti] = statement
            if len(self._known) > MAX_KNOWN_GRANTS:
                self._known.popitem(last=False)
        return statement


def _code_of(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read(4_096))["error"])[:60]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "grant_refused"
