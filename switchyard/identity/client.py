"""An agent's side of the identity service: a token for the task in hand, as the user who asked."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Access
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.core.task import Task

IDENTITY_TIMEOUT_S = 25.0
"""Longer than the service's own calls to the identity provider and the token exchange."""


class ConsentRequired(Exception):
    """The user has to give consent again before this task can go on."""

    def __init__(self, audience: str, scopes: tuple[str, ...]) -> None:
        super().__init__("the user has to give consent again")
        self.audience = audience
        self.scopes = scopes


@dataclass(frozen=True)
class UserToken:
    """A token that acts as the user, and what the log is to say about it. The token is not shown."""

    token: str
    access: Access

    def __repr__(self) -> str:
        return f"UserToken({self.access!r})"


class TokenSource(Protocol):
    """Where agents get tokens; `IdentityClient` is the one."""

    async def token(
        self, task: Task[Any], *, audience: str, scopes: tuple[str, ...], instead_of: UserToken | None = None
    ) -> UserToken:
        """A token for this task; another one than `instead_of`, which the audience did not accept. Raises
        `ConsentRequired`, `PermanentTaskError` or `Unavailable`."""


class IdentityClient:
    """Asks the identity service at `url`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, *, agent: str, tls: ssl.SSLContext) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._agent = agent
        self._tls = tls

    async def token(
        self, task: Task[Any], *, audience: str, scopes: tuple[str, ...], instead_of: UserToken | None = None
    ) -> UserToken:
        """A token for this task, recorded with its outcome.

        Raises `ConsentRequired`, `PermanentTaskError` or `Unavailable`.
        """
        principal = task.envelope.principal
        if principal.grant_ref is None or principal.subject is None:
            message = "the case has no grant of a user"
            raise PermanentTaskError("no_grant", message, "principal", "submit it through an ingress as a user")
        request = {
            "grant": principal.grant_ref,
            "case_id": task.envelope.case_id,
            "task_id": task.envelope.event_id,
            "audience": audience,
            "scopes": list(scopes),
            "instead_of": None if instead_of is None else instead_of.access.jti,
        }
        try:
            async with self._http.post(
                f"{self._url}/token",
                json=request,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=IDENTITY_TIMEOUT_S),
            ) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"the identity service is unreachable ({type(error).__name__})"
            raise Unavailable("identity_unreachable", message) from None
        if status == 401:
            raise ConsentRequired(audience, scopes)
        if status == 403:
            code, message = _describe_error(body)
            raise PermanentTaskError(code, message, "principal", "see the identity service's log")
        if status != 200:
            raise Unavailable("identity_unavailable", f"the identity service answered {status}")
        try:
            answer = parse_foreign_json(body)
            token, jti = str(answer["access_token"]), str(answer["jti"])
        except (InvalidEvent, KeyError, TypeError):
            raise Unavailable("identity_unavailable", "the identity service's answer is invalid") from None
        access = Access(
            subject=principal.subject,
            agent=self._agent,
            grant=principal.grant_ref,
            jti=jti,
            audience=audience,
            scopes=scopes,
        )
        if access not in task.accesses:
            task.accesses.append(access)
        return UserToken(token, access)


def _describe_error(body: bytes) -> tuple[str, str]:
    """Code and message of an error's body."""
    try:
        found = parse_foreign_json(body)
        return str(found["error"])[:60], str(found["message"])[:200]
    except (InvalidEvent, KeyError, TypeError):
        return "unreadable", "the identity service's answer is invalid"
