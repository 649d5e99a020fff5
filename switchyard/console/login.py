"""Log-in by OpenID Connect: authorization code with PKCE (RFC 7636), state and nonce."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import aiohttp

from switchyard.console.access import ROLES, ConsoleRole
from switchyard.console.tenants import Tenants, read_tenants
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.runtime.core.errors import Unavailable

HTTP_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 100_000


class LoginFailed(Exception):
    """Nobody is logged in. The message is for the person who tried."""


@dataclass(frozen=True)
class LoginAttempt:
    """What is remembered in the browser between the two legs."""

    url: str
    remembered: dict[str, str]


@dataclass(frozen=True)
class Login:
    """A client of one identity provider. `role_claim` holds the roles; names that are no roles of the console are left
    out."""

    http: aiohttp.ClientSession
    verifier: JwtVerifier
    client_id: str
    client_secret: str
    authorize_url: str
    token_url: str
    redirect_url: str
    role_claim: str
    tenant_claim: str | None = None
    """The claim with the tenants whose cases the person may see; without one, everybody sees every tenant's."""

    def start(self, then: str) -> LoginAttempt:
        """Where to send the browser; `then` is the page to come back to."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_url,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            # OpenID Connect Core 5.5: the roles are wanted in the ID token.
            "claims": json.dumps({"id_token": dict.fromkeys(filter(None, (self.role_claim, self.tenant_claim)))}),
        }
        remembered = {"state": state, "nonce": nonce, "verifier": verifier, "then": then}
        return LoginAttempt(f"{self.authorize_url}?{urlencode(query)}", remembered)

    async def finish(
        self, answer: Mapping[str, str], remembered: Mapping[str, str] | None
    ) -> tuple[str, tuple[ConsoleRole, ...], Tenants]:
        """The user's name, roles and tenants. Raises `LoginFailed`, or `Unavailable` if the provider cannot be
        reached."""
        if remembered is None:
            raise LoginFailed("the log-in took too long, or began in another browser: start again")
        if not secrets.compare_digest(answer.get("state", "").encode(), remembered.get("state", "").encode()):
            raise LoginFailed("the answer belongs to another log-in: start again")
        if "code" not in answer:
            raise LoginFailed("the identity provider refused the log-in")
        token = await self._redeem(answer["code"], remembered["verifier"])
        try:
            claims = await asyncio.to_thread(self.verifier.verify, token, audience=self.client_id)
        except InvalidJwt as error:
            raise LoginFailed(f"the identity provider's token is not accepted: {error}") from error
        except JwksUnavailable as error:
            raise Unavailable("identity_provider", str(error)) from error
        if claims.get("nonce") != remembered["nonce"]:
            raise LoginFailed("the token belongs to another log-in: start again")
        return str(claims["sub"]), self._roles(claims), self._tenants(claims)

    def _tenants(self, claims: Mapping[str, Any]) -> Tenants:
        if self.tenant_claim is None:
            return None
        try:
            return read_tenants(claims.get(self.tenant_claim))
        except ValueError:
            raise LoginFailed("your account names no tenant whose cases you may see: ask for one") from None

    def _roles(self, claims: Mapping[str, Any]) -> tuple[ConsoleRole, ...]:
        found = claims.get(self.role_claim)
        names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        roles = tuple(role for role in ROLES if role in names)
        if not roles:
            raise LoginFailed("your account has no role of the console: ask for viewer, operator, approver or auditor")
        return roles

    async def _redeem(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "code_verifier": verifier,
        }
        # RFC 6749, 2.3.1: both are form-encoded first.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
        try:
            # A redirect would take the client's secret and the code elsewhere.
            options: dict[str, Any] = {"headers": headers, "timeout": timeout, "allow_redirects": False}
            async with self.http.post(self.token_url, data=form, **options) as response:
                body = await _read_all(response.content)
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"the identity provider cannot be reached ({type(error).__name__})"
            raise Unavailable("identity_provider", why) from error
        if status >= 500:
            raise Unavailable("identity_provider", f"the identity provider answers {status}")
        try:
            found = parse_foreign_json(body) if status == 200 else None
        except InvalidEvent:
            found = None
        token = found.get("id_token") if isinstance(found, dict) else None
        if not isinstance(token, str):
            raise LoginFailed("the identity provider does not accept the code: start again")
        return token


async def _read_all(content: aiohttp.StreamReader) -> bytes:
    """The whole answer, in however many parts it comes. Raises `LoginFailed` if it is too long."""
    body = bytearray()
    async for part in content.iter_any():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise LoginFailed("the identity provider's answer is too long")
    return bytes(body)
