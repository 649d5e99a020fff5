"""What a user does at the front door: log in, ask, give consent again, revoke. The API answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import yaml

from switchyard.app.application import load_app, resource_path
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.settings import TargetSettings, needed
from switchyard.cli.app.target import Target, use_devstack
from switchyard.protocol.fields import Json
from switchyard_client import ApiError, Artefact, AsyncClient, Case, Unreachable


class UserSettings(TargetSettings):
    """Where users log in and ask."""

    api_url: str = needed("the address of the API, such as https://api.example")
    login_url: str = needed("the address of the local stack's identity provider")
    login_client_secret: str = needed("the secret of the client that users log in with there", secret=True)


@dataclass(frozen=True)
class UserSession:
    """A user who has logged in."""

    client: AsyncClient

    async def ask(self, question: str, *, key: str, session: str, agent: str | None = None) -> Json:
        """Submit a question; the ids of case, session and grant. Raises `CommandFailed`."""
        with translate_client_errors():
            return asdict(await self.client.submit(question, session=session, key=key, agent=agent))

    async def wait(self, case_id: str, *, timeout_s: float) -> Case:
        """The case once it has ended. Raises `CommandFailed`, and the client's `ConsentNeeded`."""
        with translate_client_errors():
            return await self.client.wait(case_id, timeout_s=timeout_s)

    async def artefact(self, artefact: Artefact) -> bytes:
        """A result of a case. Raises `CommandFailed`."""
        with translate_client_errors():
            return await self.client.artefact(artefact)

    async def consent(self, grant: str) -> None:
        """Renew a grant with this log-in. Raises `CommandFailed`."""
        with translate_client_errors():
            await self.client.consent(grant)

    async def feedback(self, case_id: str, thumb: Literal["up", "down"], reason: str | None = None) -> None:
        """Say whether an answer was good. Raises `CommandFailed`."""
        with translate_client_errors():
            await self.client.feedback(case_id, thumb, reason)

    async def revoke(self, grant: str) -> None:
        """Revoke a grant. Raises `CommandFailed`."""
        with translate_client_errors():
            await self.client.revoke(grant)


@contextmanager
def translate_client_errors() -> Iterator[None]:
    """The client's errors as failures of a command; those that say what the case waits for pass."""
    try:
        yield
    except ApiError as error:
        field = f" (field {error.field})" if error.field else ""
        raise CommandFailed(f"{error.detail}{field}", remedy=error.remedy) from error
    except Unreachable as error:
        raise CommandFailed(str(error), remedy="check that it is running: `stack status`") from error


@asynccontextmanager
async def log_in(target: Target, user: str, password: str | None = None) -> AsyncIterator[UserSession]:
    """A session of a user who logs in at the local stack's identity provider. Raises `CommandFailed`."""
    settings = UserSettings.read(target.environment)
    with use_devstack():
        from switchyard.devstack.identity.login import LoginFailed
        from switchyard.devstack.identity.login import log_in as log_in_at

    try:
        tokens = await log_in_at(
            settings.login_url, settings.login_client_secret, user, password or local_password(user)
        )
    except LoginFailed as error:
        raise CommandFailed(str(error), remedy="check user and password, and that the stack is running") from error
    # Without retries: somebody waits in front of the command, and can type it again.
    async with AsyncClient(
        settings.api_url, tokens.access_token, refresh_token=tokens.refresh_token, retries=0
    ) as client:
        yield UserSession(client)


def local_password(user: str) -> str:
    """The public password of a user of the local stack. Raises `InvalidArgument` for an unknown user."""
    identity = load_app().identity
    users = {} if identity is None else yaml.safe_load(resource_path(identity.users).read_text("utf-8"))["users"]
    if user not in users:
        raise InvalidArgument(f"{user} is not a user of the local stack", remedy=f"name one of {', '.join(users)}")
    return str(users[user]["password"])
