"""The identity service's HTTP interface. The caller is the common name of its TLS client certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from switchyard.identity.grant_store import GrantStore
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier
from switchyard.identity.permissions import TokenRequest
from switchyard.identity.token_exchange import UserCredential
from switchyard.identity.token_issuer import GrantKeys, TokenDenied, TokenIssuer, read_grant
from switchyard.protocol.fields import Identifier, StrictContract, Uuid
from switchyard.protocol.grants import GrantClaims, GrantStatement
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import TaskError, Unavailable
from switchyard.runtime.process.web import peer_name

log = structlog.get_logger(__name__)
MAX_BODY_BYTES = 65_536
MAX_GRANT_S = 30 * 86_400
B = TypeVar("B", bound=BaseModel)


class GrantRegistration(BaseModel):
    """A grant and the credential that it is redeemed with."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    grant: GrantStatement
    token: SecretStr
    refresh_token: SecretStr | None = None
    renewal: bool = False
    """Whether the grant is known already, and its user has logged in again."""


class GrantRevocation(StrictContract):
    """The grant whose credential is deleted, and its user: no user revokes another's."""

    grant: Uuid
    sub: Identifier
    tenant: Identifier


class _Rejected(Exception):
    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": code, "message": message, "field": field}, status_code=status)


def _unknown_grant() -> _Rejected:
    return _Rejected(404, "grant_unknown", "no grant of that id is registered", "grant")


def _foreign_grant() -> _Rejected:
    return _Rejected(403, "grant_foreign", "the grant is another user's", "grant")


@dataclass(frozen=True)
class UserTokens:
    """How users' tokens are read: the identity provider's claims, and the scopes that they permit."""

    verifier: JwtVerifier
    audience: str
    tenant_claim: str
    role_claim: str
    role_scope: str
    """Text before a role's name in a scope."""
    base_scopes: frozenset[str]
    """Scopes that every user of the identity provider has."""

    def check(self, claims: GrantClaims, token: str) -> tuple[int, int]:
        """When the token was issued and until when it is valid, in seconds since 1970. Raises `_Rejected` unless it
        permits the grant."""
        try:
            found = self.verifier.verify(token, audience=self.audience)
        except InvalidJwt as error:
            raise _Rejected(403, "token_invalid", str(error), "token") from None
        exceeding = self._exceeding(claims, found)
        if exceeding is None and found.get("iat") != claims.iat:
            exceeding = "iat"
        if exceeding is not None:
            message = f"the user's token does not permit the grant's {exceeding}"
            raise _Rejected(403, "grant_exceeds_token", message, exceeding)
        return claims.iat, int(found["exp"])

    def permits(self, claims: GrantClaims, token: str) -> bool:
        """Whether a refreshed token permits the grant still. Raises `JwksUnavailable`."""
        try:
            found = self.verifier.verify(token, audience=self.audience)
        except InvalidJwt:
            return False
        return self._exceeding(claims, found) is None

    def _exceeding(self, claims: GrantClaims, found: Mapping[str, Any]) -> str | None:
        """The first field of the grant that goes beyond the claims of the user's token."""
        roles = found.get(self.role_claim)
        names = [roles] if isinstance(roles, str) else roles if isinstance(roles, list) else []
        allowed = self.base_scopes | {self.role_scope + name for name in names if isinstance(name, str)}
        same = {
            "sub": found["sub"] == claims.sub,
            "tenant": found.get(self.tenant_claim) == claims.tenant,
            "scopes": set(claims.scopes) <= allowed,
        }
        return next((field for field, holds in same.items() if not holds), None)


@dataclass(frozen=True)
class IdentityApi:
    """What the interface depends on. `registrars` are the callers that may register and revoke grants; `agents` those
    that may redeem them."""

    issuer: TokenIssuer
    store: GrantStore
    users: UserTokens
    keys: GrantKeys
    registrars: frozenset[str]
    agents: frozenset[str]
    clock: Clock

    def app(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/grants", self._answering(self.registrars, self.register), methods=["POST"]),
                Route("/revocations", self._answering(self.registrars, self.revoke), methods=["POST"]),
                Route("/token", self._answering(self.agents, self.token), methods=["POST"]),
            ]
        )

    async def register(self, caller: str, body: bytes) -> Response:
        """Keep a grant with its credential."""
        registration = _read(GrantRegistration, body)
        claims = read_grant(registration.grant, self.keys)
        if claims is None:
            raise _Rejected(403, "grant_forged", "no known source signed the grant", "grant")
        now = self.clock.now().timestamp()
        if not now < claims.exp <= now + MAX_GRANT_S:
            raise _Rejected(403, "grant_period", f"the grant must end within {MAX_GRANT_S // 86_400} days", "exp")
        token = registration.token.get_secret_value()
        try:
            issued, expires = await asyncio.to_thread(self.users.check, claims, token)
        except JwksUnavailable as error:
            raise Unavailable("identity_provider", str(error)) from error
        if registration.renewal and await self.store.find(claims.jti) is None:
            raise _unknown_grant()
        refresh = registration.refresh_token
        credential = UserCredential(token, expires, None if refresh is None else refresh.get_secret_value())
        match await self.store.register(claims, registration.grant, credential, issued_at=issued):
            case "foreign":
                raise _foreign_grant()
            case "revoked":
                message = "the grant was revoked after this log-in: log in again to renew it"
                raise _Rejected(409, "grant_revoked", message, "grant")
        log.info("grant.registered", grant=claims.jti, registered_by=caller, renewal=registration.renewal)
        return JSONResponse({"grant": claims.jti, "expires_at": claims.exp}, status_code=201)

    async def revoke(self, caller: str, body: bytes) -> Response:
        """Delete a grant's credential: no token is issued for it any more."""
        revocation = _read(GrantRevocation, body)
        grant = revocation.grant
        known = await self.store.find(grant)
        if known is None:
            raise _unknown_grant()
        if (known.sub, known.tenant) != (revocation.sub, revocation.tenant):
            raise _foreign_grant()
        await self.store.revoke(grant)
        log.info("grant.revoked", grant=grant, revoked_by=caller)
        return Response(status_code=204)

    async def token(self, caller: str, body: bytes) -> Response:
        """A token for a task of the calling agent."""
        request = _read(TokenRequest, body)
        try:
            issued = await self.issuer.issue(caller, request)
        except TokenDenied as error:
            denied = error.denied
            log.warning("token.denied", agent=caller, code=denied.code, case_id=request.case_id, grant=request.grant)
            raise _Rejected(401 if denied.reauth else 403, denied.code, denied.message) from None
        return JSONResponse({"access_token": issued.token, "jti": issued.jti, "expires_at": issued.expires_at})

    def _answering(
        self, callers: frozenset[str], handle: Callable[[str, bytes], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            caller = peer_name(request.scope)
            if caller not in callers:
                log.warning("identity.caller_not_allowed", alarm="integrity", caller=caller, path=request.url.path)
                return _Rejected(403, "caller_not_allowed", "this certificate may not call this").response
            try:
                return await handle(caller, await _body(request))
            except _Rejected as rejected:
                return rejected.response
            except Unavailable as error:
                return _Rejected(503, error.code, error.message).response
            except TaskError as error:
                log.error("identity.failed", alarm="integrity", code=error.code)  # noqa: TRY400 - the code is all
                return _Rejected(500, error.code, error.message).response
            except Exception:
                log.exception("identity.failed", alarm="tick", path=request.url.path)
                return _Rejected(500, "failed", "the identity service failed: see its log").response

        return answer


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        if len(body := body + chunk) > MAX_BODY_BYTES:
            raise _Rejected(413, "too_large", f"the body is over {MAX_BODY_BYTES} bytes: shorten it")
    return body


def _read(model: type[B], body: bytes) -> B:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise _Rejected(400, "invalid_request", f"{where or 'the body'}: {problem['msg']}", where or None) from None
