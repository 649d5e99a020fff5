"""Client of the token exchange (RFC 8693) and of the identity provider's token endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.runtime.core.errors import Unavailable

EXCHANGE_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
HTTP_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 65_536
MAX_TOKEN_LIFE_S = 900
"""A token that lives longer is not handed on."""


class SubjectTokenRejected(Exception):
    """The user's credential is not accepted any more: the user has to give consent again."""


class ExchangeDenied(Exception):
    """The token exchange does not permit this token: check the agent's registration there."""


class OAuthClient(BaseModel):
    """A client registration. `id` is what the exchange writes into `act`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    secret: SecretStr


@dataclass(frozen=True)
class IssuedToken:
    """A token and what it was issued for."""

    token: str
    jti: str
    expires_at: int
    """Seconds since 1970."""


@dataclass(frozen=True)
class UserCredential:
    """What the identity provider gave the user: the token to exchange, and what renews it, if anything."""

    token: str
    expires_at: int
    refresh_token: str | None = None
    service: bool = False
    """Whether it is a service's own, issued by the token exchange itself."""
    refreshed: bool = False
    """Whether it came from a refresh: it is compared with the grant before each exchange."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: str
    expires_in: int | None = None
    refresh_token: str | None = None


class TokenExchange:
    """The token exchange, asked as one client per agent so that `act` names the agent."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        endpoint: str,
        clients: Mapping[str, OAuthClient],
        verifier: JwtVerifier,
        subject_token_type: str,
        subject_prefix: str,
    ) -> None:
        """`subject_prefix` is what the exchange puts before the user's name in `sub`."""
        self._http = http
        self._endpoint = endpoint
        self._clients = clients
        self._verifier = verifier
        self._subject_token_type = subject_token_type
        self._subject_prefix = subject_prefix

    def client_of(self, name: str) -> OAuthClient:
        """The registration of an agent, or of a source. Raises `ExchangeDenied` or `Unavailable`."""
        client = self._clients.get(name)
        if client is None:
            raise ExchangeDenied(f"{name} is not registered with the token exchange")
        return client

    async def service_credential(self, client: OAuthClient, scopes: tuple[str, ...], *, now: float) -> UserCredential:
        """A service's own credential (RFC 6749, 4.4), to exchange. Raises `ExchangeDenied` or `Unavailable`."""
        form = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        status, answer = await _post(self._http, self._endpoint, form, client)
        if status != 200:
            raise ExchangeDenied(f"the token exchange denied the service ({str(answer.get('error'))[:60]})")
        try:
            found = _Answer.model_validate(answer)
        except ValidationError:
            raise Unavailable("token_endpoint", "the token exchange's answer is invalid") from None
        return UserCredential(found.access_token, int(now) + (found.expires_in or 0), service=True)

    async def exchange(
        self, credential: UserCredential, *, user: str, agent: str, audience: str, scopes: tuple[str, ...], now: float
    ) -> IssuedToken:
        """A token for this audience, in the user's name with this agent as actor. `user` is a service's client id for
        a service's credential.

        Raises `SubjectTokenRejected`, `ExchangeDenied`, or `Unavailable`.
        """
        client = self.client_of(agent)
        status, answer = await _post(
            self._http,
            self._endpoint,
            {
                "grant_type": EXCHANGE_GRANT_TYPE,
                "subject_token": credential.token,
                "subject_token_type": ACCESS_TOKEN_TYPE if credential.service else self._subject_token_type,
                "audience": audience,
                "resource": audience,
                "scope": " ".join(scopes),
            },
            client,
        )
        if status != 200:
            error = answer.get("error")
            if error == "invalid_grant":
                raise SubjectTokenRejected("the token exchange does not accept the user's token")
            raise ExchangeDenied(f"the token exchange denied the token ({str(error)[:60]})")
        try:
            text = _Answer.model_validate(answer).access_token
            claims = await asyncio.to_thread(self._verifier.verify, text, audience=audience)
        except (ValidationError, InvalidJwt):
            raise ExchangeDenied("the token exchange answered with an invalid token") from None
        except JwksUnavailable as error:
            raise Unavailable("token_exchange", str(error)) from error
        prefix = "client:" if credential.service else self._subject_prefix
        self._check(claims, prefix + user, client, scopes, now)
        return IssuedToken(text, str(claims["jti"]), int(claims["exp"]))

    def _check(
        self, claims: Mapping[str, Any], subject: str, client: OAuthClient, scopes: tuple[str, ...], now: float
    ) -> None:
        """Raise `ExchangeDenied` unless the token is no more than was asked for."""
        actor = claims.get("act")
        got = {
            "sub": claims.get("sub") == subject,
            "act": isinstance(actor, dict) and str(actor.get("sub", "")).rpartition(":")[2] == client.id,
            "scope": set(str(claims.get("scope", "")).split()) == set(scopes),
            "jti": isinstance(claims.get("jti"), str) and bool(claims.get("jti")),
            "exp": int(claims["exp"]) - now <= MAX_TOKEN_LIFE_S,
        }
        for claim, holds in got.items():
            if not holds:
                raise ExchangeDenied(f"the token exchange answered with a token whose {claim} is not what was asked")


class IdentityProvider:
    """The identity provider's token endpoint, for renewing a user's credential."""

    def __init__(self, http: aiohttp.ClientSession, *, endpoint: str, client: OAuthClient | None) -> None:
        self._http = http
        self._endpoint = endpoint
        self._client = client

    async def refresh(self, refresh_token: str, *, now: float) -> UserCredential:
        """A new credential (RFC 6749, 6). Raises `SubjectTokenRejected` or `Unavailable`."""
        if self._client is None:
            raise SubjectTokenRejected("no client is configured that may refresh")
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        status, answer = await _post(self._http, self._endpoint, form, self._client)
        if status != 200:
            error = str(answer.get("error"))[:60]
            if error == "invalid_grant":
                raise SubjectTokenRejected("the identity provider does not accept the user's refresh token")
            # Of this client, or of the moment: the user could change nothing.
            raise Unavailable("identity_provider", f"the identity provider answered {status} ({error})")
        try:
            found = _Answer.model_validate(answer)
        except ValidationError:
            raise Unavailable("identity_provider", "the identity provider's answer is invalid") from None
        expires = int(now) + (found.expires_in or 0)
        return UserCredential(found.access_token, expires, found.refresh_token or refresh_token, refreshed=True)


async def _post(
    http: aiohttp.ClientSession, url: str, form: Mapping[str, str], client: OAuthClient
) -> tuple[int, Mapping[str, Any]]:
    """The status and the JSON object of an answer. Raises `Unavailable`, also for 429 and 5xx."""
    headers = {"Authorization": aiohttp.encode_basic_auth(client.id, client.secret.get_secret_value())}
    try:
        async with http.post(
            url, data=form, headers=headers, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
        ) as response:
            status, body = response.status, b""
            async for chunk in response.content.iter_chunked(MAX_ANSWER_BYTES):
                if len(body := body + chunk) > MAX_ANSWER_BYTES:
                    raise Unavailable("token_endpoint", "the token endpoint's answer is too long")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("token_endpoint", f"the token endpoint is unreachable ({type(error).__name__})") from None
    if status == 429 or status >= 500:
        raise Unavailable("token_endpoint", f"the token endpoint answered {status}")
    try:
        answer = parse_foreign_json(body)
    except InvalidEvent:
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable("token_endpoint", f"the token endpoint answered {status} without a JSON object")
    return status, answer
