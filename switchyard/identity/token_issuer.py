"""Issues tokens for tasks: checks grant and task, exchanges the user's credential, and records what it issued."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeAlias

import structlog
from joserfc.jwk import OKPKey

from switchyard.identity.grant_store import GrantStore, RegisteredGrant
from switchyard.identity.jwt_verifier import JwksUnavailable
from switchyard.identity.permissions import (
    AgentCeiling,
    AgentCeilings,
    Denied,
    OpenTask,
    ServiceGrant,
    TokenRequest,
    check_request,
)
from switchyard.identity.token_exchange import (
    ExchangeDenied,
    IdentityProvider,
    IssuedToken,
    SubjectTokenRejected,
    TokenExchange,
    UserCredential,
)
from switchyard.protocol.grants import GrantClaims, service_grant_id
from switchyard.protocol.principal_jws import PrincipalStatementInvalid, verify_grant
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import Unavailable

log = structlog.get_logger(__name__)
MIN_REMAINING_S = 60
"""A cached token with less time to live than this is not handed out again."""

REFRESH_BEFORE_S = 30
"""A user's token with less time to live than this is refreshed before it is exchanged."""

MAX_REFRESHES = 2
"""At a time: other requests need the rest of the connections."""

MAX_CACHED_TOKENS = 10_000
GrantKeys: TypeAlias = Mapping[str, Mapping[str, OKPKey]]
"""Public keys of those who sign grants, by source and key id."""

_CacheKey: TypeAlias = tuple[str, datetime | None, str, str, tuple[str, ...]]
_UNKNOWN = Denied("grant_unknown", "no grant of that id is registered")


class TokenDenied(Exception):
    """No token is issued; `denied` says why."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.message)
        self.denied = denied


class TaskEvidence(Protocol):
    """What others recorded about a task: at intake and at its claim."""

    async def open_task(self, agent: str, case_id: str, task_id: str) -> OpenTask | None:
        """The task, if this agent holds it now and its case is open. Raises `Unavailable`."""


class UserRights(Protocol):
    """What users' tokens permit."""

    def permits(self, claims: GrantClaims, token: str) -> bool:
        """Whether a token permits a grant; it blocks. Raises `JwksUnavailable`."""


@dataclass
class TokenIssuer:
    """What issuing depends on. `ceilings` has the agents' limits by name, `services` the grants of sources that act for
    themselves, by source; `role_scope` is what a scope that names a role begins with."""

    store: GrantStore
    evidence: TaskEvidence
    exchange: TokenExchange
    provider: IdentityProvider
    users: UserRights
    keys: GrantKeys
    ceilings: AgentCeilings
    services: Mapping[str, ServiceGrant]
    role_scope: str
    clock: Clock
    _cache: OrderedDict[_CacheKey, IssuedToken] = field(default_factory=OrderedDict)
    _running: dict[_CacheKey, asyncio.Task[IssuedToken]] = field(default_factory=dict)
    _refreshing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_REFRESHES))

    async def issue(self, agent: str, request: TokenRequest) -> IssuedToken:
        """A token for a task. Raises `TokenDenied` or `Unavailable`."""
        registered, claims = await self._decided(agent, request)
        version, now = _version(registered), self.clock.now().timestamp()
        key = request.grant, version, agent, request.audience, tuple(sorted(request.scopes))
        token = self._cache.get(key)
        if token is None or token.expires_at - now <= MIN_REMAINING_S or token.jti == request.instead_of:
            token = await self._exchanged_once(key, agent, request, registered, claims)
            # The exchange took time: the grant may have been revoked or renewed since, or the task may be over.
            if _version((await self._decided(agent, request))[0]) != version:
                return await self.issue(agent, request)
        # Before it leaves: a token that somebody holds is in this table.
        await self.store.record_issue(request, agent, token)
        log.info("token.issued", agent=agent, grant=request.grant, case_id=request.case_id, jti=token.jti)
        return token

    async def _decided(self, agent: str, request: TokenRequest) -> tuple[RegisteredGrant | None, GrantClaims]:
        """The grant as it is now, if the token may be issued; a service's is in no table. Raises `TokenDenied` or
        `Unavailable`."""
        now = self.clock.now().timestamp()
        task = await self.evidence.open_task(agent, request.case_id, request.task_id)
        service = next((each for each in self.services if service_grant_id(each) == request.grant), None)
        registered = None if service else await self.store.find(request.grant)
        if service:
            claims = None if task is None else self.services[service].claims(service, task.tenant, now)
        else:
            claims = None if registered is None else read_grant(registered.statement, self.keys)
        denied = check_request(
            request,
            agent=agent,
            grant=claims,
            revoked=registered is not None and registered.revoked,
            task=task,
            ceiling=self.ceilings.get(agent, AgentCeiling()),
            role_scope=self.role_scope,
            now=now,
        )
        if denied is not None or claims is None:
            raise TokenDenied(denied or _UNKNOWN)
        return registered, claims

    async def _exchanged_once(
        self,
        key: _CacheKey,
        agent: str,
        request: TokenRequest,
        registered: RegisteredGrant | None,
        claims: GrantClaims,
    ) -> IssuedToken:
        """A new token, kept in the cache. Requests for the same at the same time share one exchange and its failure."""
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(self._exchanged(agent, request, registered, claims))
            self._running[key] = running

            def finish(done: asyncio.Task[IssuedToken]) -> None:
                del self._running[key]
                # The exception is read here, because all who wait may have gone.
                if not done.cancelled() and done.exception() is None:
                    self._keep(key, done.result(), claims.exp)

            running.add_done_callback(finish)
        return await asyncio.shield(running)

    def _keep(self, key: _CacheKey, token: IssuedToken, grant_ends: int) -> None:
        self._cache[key] = replace(token, expires_at=min(token.expires_at, grant_ends))
        if len(self._cache) > MAX_CACHED_TOKENS:
            self._cache.popitem(last=False)

    async def _exchanged(
        self, agent: str, request: TokenRequest, registered: RegisteredGrant | None, claims: GrantClaims
    ) -> IssuedToken:
        try:
            if registered is None:
                return await self._exchange_for_service(agent, request, claims)
            return await self._exchange_for_user(agent, request, registered, claims)
        except SubjectTokenRejected as error:
            if registered is None:
                # A service's own: no user could renew it.
                raise TokenDenied(
                    Denied("exchange_denied", "the token exchange does not accept its own token")
                ) from None
            raise TokenDenied(Denied("needs_reauth", str(error), reauth=True)) from None
        except ExchangeDenied as error:
            raise TokenDenied(Denied("exchange_denied", str(error))) from None

    async def _exchange_for_service(self, agent: str, request: TokenRequest, claims: GrantClaims) -> IssuedToken:
        client = self.exchange.client_of(claims.sub)
        credential = await self.exchange.service_credential(client, request.scopes, now=self.clock.now().timestamp())
        return await self._exchange(credential, client.id, agent, request)

    async def _exchange_for_user(
        self, agent: str, request: TokenRequest, grant: RegisteredGrant, claims: GrantClaims
    ) -> IssuedToken:
        credential = await self.store.open(request.grant, grant)
        if credential is None:
            raise SubjectTokenRejected("the user's credential was deleted")
        if credential.expires_at - self.clock.now().timestamp() > REFRESH_BEFORE_S:
            try:
                return await self._exchange_permitted(credential, claims, agent, request)
            except SubjectTokenRejected:
                if credential.refresh_token is None:
                    raise
        fresh = await self._refreshed(request.grant, credential)
        return await self._exchange_permitted(fresh, claims, agent, request)

    async def _exchange_permitted(
        self, credential: UserCredential, claims: GrantClaims, agent: str, request: TokenRequest
    ) -> IssuedToken:
        """Exchange a user's credential, unless a refresh showed that the user may no longer do what the grant says."""
        if credential.refreshed:
            try:
                permitted = await asyncio.to_thread(self.users.permits, claims, credential.token)
            except JwksUnavailable as error:
                raise Unavailable("identity_provider", str(error)) from error
            if not permitted:
                raise SubjectTokenRejected("the user's refreshed token does not permit the grant any more")
        return await self._exchange(credential, claims.sub, agent, request)

    async def _refreshed(self, grant_id: str, used: UserCredential) -> UserCredential:
        """A fresh credential: another process's, if it has just refreshed this grant's."""
        # Each holds a connection while the identity provider answers.
        async with self._refreshing, self.store.locked(grant_id) as (store, grant):
            current = None if grant is None else await store.open(grant_id, grant)
            if current is None:
                raise SubjectTokenRejected("the user's credential was deleted")
            if current.token != used.token:
                return current
            if current.refresh_token is None:
                raise SubjectTokenRejected("the user's token has expired and cannot be refreshed")
            fresh = await self.provider.refresh(current.refresh_token, now=self.clock.now().timestamp())
            await store.replace_credential(grant_id, fresh)
            return fresh

    async def _exchange(self, credential: UserCredential, user: str, agent: str, request: TokenRequest) -> IssuedToken:
        return await self.exchange.exchange(
            credential,
            user=user,
            agent=agent,
            audience=request.audience,
            scopes=request.scopes,
            now=self.clock.now().timestamp(),
        )


def _version(grant: RegisteredGrant | None) -> datetime | None:
    return None if grant is None else grant.registered_at


def read_grant(statement: str, keys: GrantKeys) -> GrantClaims | None:
    """The claims of a grant that its own source signed, else None."""
    for source, own in keys.items():
        try:
            _, claims = verify_grant(statement, own)
        except PrincipalStatementInvalid:
            continue
        if claims.iss == source:
            return claims
    return None
