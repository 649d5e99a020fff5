"""What a user does at the front door: log in, ask, give consent again, revoke. The ingress answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import yaml

from switchyard.app.application import load_app, resource_path
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.settings import TargetSettings, needed
from switchyard.cli.app.target import Target, use_devstack
from switchyard.protocol.fields import Json

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=20)


class UserSettings(TargetSettings):
    """Where users log in and ask."""

    ingress_url: str = needed("the address of the ingress, with its version, such as https://api.example/v1")
    login_url: str = needed("the address of the local stack's identity provider")
    login_client_secret: str = needed("the secret of the client that users log in with there", secret=True)


@dataclass(frozen=True)
class UserSession:
    """A user who has logged in. The tokens are not shown."""

    http: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"UserSession({self.url!r})"

    async def ask(self, question: str, *, key: str, session: str, agent: str | None = None) -> Json:
        """Submit a question; the ids of case, session and grant. Raises `CommandFailed`."""
        body = {"question": question, "idempotency_key": key} | ({"agent": agent} if agent else {})
        return await self._post("cases", body, {"X-Session-Id": session})

    async def consent(self, grant: str) -> Json:
        """Renew a grant with this log-in. Raises `CommandFailed`."""
        return await self._post("consents", {"grant": grant})

    async def revoke(self, grant: str) -> Json:
        """Revoke a grant. Raises `CommandFailed`."""
        return await self._post("revocations", {"grant": grant})

    async def _post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        try:
            async with self.http.post(
                f"{self.url}/{path}", json=body, headers={**self.headers, **(headers or {})}, timeout=REQUEST_TIMEOUT
            ) as response:
                answer = await response.json(content_type=None)
                if response.status >= 400:
                    field = f" (field {answer['field']})" if "field" in answer else ""
                    raise CommandFailed(f"{answer['detail']}{field}", remedy=answer["remedy"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise CommandFailed(
                f"the ingress does not answer ({type(error).__name__})",
                remedy="check that it is running: `stack status`",
            ) from error
        found: dict[str, Any] = answer
        return found


@asynccontextmanager
async def log_in(target: Target, user: str, password: str | None = None) -> AsyncIterator[UserSession]:
    """A session of a user who logs in at the local stack's identity provider. Raises `CommandFailed`."""
    settings = UserSettings.read(target.environment)
    with use_devstack():
        from switchyard.devstack.identity.login import LoginFailed
        from switchyard.devstack.identity.login import log_in as log_in_at

    async with aiohttp.ClientSession() as http:
        try:
            tokens = await log_in_at(
                settings.login_url, settings.login_client_secret, user, password or local_password(user)
            )
        except LoginFailed as error:
            raise CommandFailed(str(error), remedy="check user and password, and that the stack is running") from error
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        if tokens.refresh_token is not None:
            headers["X-Refresh-Token"] = tokens.refresh_token
        yield UserSession(http, settings.ingress_url, headers)


def local_password(user: str) -> str:
    """The public password of a user of the local stack. Raises `InvalidArgument` for an unknown user."""
    identity = load_app().identity
    users = {} if identity is None else yaml.safe_load(resource_path(identity.users).read_text("utf-8"))["users"]
    if user not in users:
        raise InvalidArgument(f"{user} is no user of the local stack", remedy=f"name one of {', '.join(users)}")
    return str(users[user]["password"])
