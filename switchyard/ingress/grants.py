"""The grant of a user who has logged in: signed here, and registered with the user's token at the identity service."""

from __future__ import annotations

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from joserfc.jwk import OKPKey

from switchyard.api.problems import LoginRequired
from switchyard.api.user_tokens import AuthenticatedUser
from switchyard.ingress.settings import GrantPolicy
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import sign_grant

GRANT_NAMESPACE = uuid.UUID("5b1c7a1e-6f0d-5c55-9c39-6c4d6a9c2f10")
MAX_KNOWN_GRANTS = 1_000


@dataclass(frozen=True)
class SignedGrant:
    """A grant and its statement, which goes on the bus."""

    claims: GrantClaims
    statement: str


class GrantRegistry(Protocol):
    """The identity service, as the ingress uses it."""

    def register(self, statement: str, user: AuthenticatedUser, *, refresh_token: str | None, renewal: bool) -> None:
        """Keep a grant with the user's credential. Raises `Problem`."""

    def revoke(self, grant: str, user: AuthenticatedUser) -> None:
        """Delete the credential of a user's own grant. Raises `Problem`."""


def grant_claims(source: str, user: AuthenticatedUser, policy: GrantPolicy, *, jti: str | None = None) -> GrantClaims:
    """The grant of a verified token: the same for every use of it, also with another signature. `jti` is the
    grant that it renews, if it renews one."""
    issued: int = user.claims["iat"]
    name = json.dumps([source, user.claims], sort_keys=True)
    return GrantClaims(
        iss=source,
        jti=jti or str(uuid.uuid5(GRANT_NAMESPACE, name)),
        sub=user.user_id,
        tenant=user.tenant,
        agents=policy.agents,
        scopes=(*(policy.role_scope + role for role in user.roles), *policy.scopes),
        audiences=policy.audiences,
        iat=issued,
        exp=issued + policy.hours * 3_600,
    )


class Grants:
    """Signs the grant of each token, and registers it once per process."""

    def __init__(
        self, registry: GrantRegistry, policy: GrantPolicy, source: str, *, now: Callable[[], float] = time.time
    ) -> None:
        """`now` is the identity provider's time, in seconds since 1970."""
        self._registry = registry
        self._now = now
        self._policy = policy
        self._source = source
        self._known: OrderedDict[str, SignedGrant] = OrderedDict()

    def grant_of(self, user: AuthenticatedUser, key: tuple[str, OKPKey], refresh_token: str | None) -> SignedGrant:
        """The grant of the user's log-in, registered. Raises `Problem`."""
        claims = self._current(grant_claims(self._source, user, self._policy))
        known = self._known.get(claims.jti)
        if known is not None:
            return known
        grant = SignedGrant(claims, sign_grant(claims, *key))
        self._registry.register(grant.statement, user, refresh_token=refresh_token, renewal=False)
        self._known[claims.jti] = grant
        if len(self._known) > MAX_KNOWN_GRANTS:
            self._known.popitem(last=False)
        return grant

    def renew(
        self, jti: str, user: AuthenticatedUser, key: tuple[str, OKPKey], refresh_token: str | None
    ) -> SignedGrant:
        """A grant of this user with what the new log-in permits. Raises `Problem`."""
        claims = self._current(grant_claims(self._source, user, self._policy, jti=jti))
        grant = SignedGrant(claims, sign_grant(claims, *key))
        self._registry.register(grant.statement, user, refresh_token=refresh_token, renewal=True)
        return grant

    def revoke(self, jti: str, user: AuthenticatedUser) -> None:
        """Revoke a grant of this user. Raises `Problem`."""
        self._registry.revoke(jti, user)

    def _current(self, claims: GrantClaims) -> GrantClaims:
        if claims.exp <= self._now():
            raise LoginRequired(f"the log-in is older than {self._policy.hours} hours")
        return claims
