"""Which deployment a command talks to: `local` (the local stack), `compose`, or `aws` (this shell's environment)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.errors import CommandFailed
from switchyard.runtime.core.clock import Clock, ShiftedClock, SystemClock


class Env(StrEnum):
    """The targets."""

    LOCAL = "local"
    COMPOSE = "compose"
    AWS = "aws"


EnvOption = Annotated[Env, typer.Option(envvar="SWITCHYARD_ENV", help="Which deployment.")]
"""Every command's `--env`."""


@dataclass(frozen=True)
class Target:
    """Addresses and credentials, as environment variables name them."""

    environment: Mapping[str, str]

    def need(self, name: str) -> str:
        """A variable that the command cannot do without. Raises `CommandFailed` naming it."""
        value = self.environment.get(name)
        if not value:
            raise CommandFailed(f"{name} is not set", remedy=f"export {name}, or use --env local with a running stack")
        return value

    def get(self, name: str) -> str | None:
        """A variable that may be absent."""
        return self.environment.get(name) or None

    @property
    def clock(self) -> Clock:
        """The clock that the deployment lives by: a laptop's may be set forward."""
        file = self.get("SWITCHYARD_CLOCK_FILE")
        return SystemClock() if file is None else ShiftedClock(Path(file))


def resolve_target(env: Env) -> Target:
    """A target that can take events. Raises `CommandFailed` if it is this machine's and does not run."""
    match env:
        case Env.AWS:
            return Target(os.environ)
        case Env.COMPOSE:
            return Target({**os.environ, **_compose_exports()})
        case Env.LOCAL:
            return Target({**os.environ, **_local_stack_exports()})


def _local_stack_exports() -> dict[str, str]:
    with require_local_package():
        from switchyard.devstack.errors import StackError
        from switchyard.devstack.stack.daemon import running_exports
    try:
        return running_exports()
    except StackError as error:
        raise CommandFailed(str(error), remedy="switchyard stack up --detach") from error


def _compose_exports() -> dict[str, str]:
    with require_local_package():
        from switchyard.devstack.errors import StackError
        from switchyard.devstack.stack.compose import compose_exports
    try:
        return compose_exports()
    except StackError as error:
        raise CommandFailed(str(error), remedy="docker compose up --build --wait") from error


@contextmanager
def require_local_package() -> Iterator[None]:
    """Imports from the package `local`, which an image of the command line does not hold. Raises `CommandFailed`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("switchyard.devstack"):
            raise
        raise CommandFailed(
            "there is no stack to talk to in here: this installation has no stacks of its own",
            remedy="--env aws (or SWITCHYARD_ENV=aws), or run the command from a checkout",
        ) from error


@asynccontextmanager
async def open_readable_target(env: Env) -> AsyncIterator[Target]:
    """A target whose log can be read: as `running`, or the laptop's last run, whose database is started for that."""
    if env is not Env.LOCAL:
        yield resolve_target(env)
        return
    with require_local_package():
        from switchyard.devstack.errors import StackError
        from switchyard.devstack.stack.daemon import running_exports
        from switchyard.devstack.stack.home import default_home
        from switchyard.devstack.stack.local_stack import DEMO_HOME, open_databases_only

    homes = (default_home(), default_home() / DEMO_HOME)
    for home in homes:
        try:
            found = running_exports(home)
        except StackError:
            continue
        yield Target({**os.environ, **found})
        return
    ran = [home for home in homes if (home / "stack.json").exists()]
    if not ran:
        raise CommandFailed("there is no run to read", remedy="make demo, or switchyard stack up --detach")
    latest = max(ran, key=lambda home: (home / "stack.json").stat().st_mtime)
    async with open_databases_only(latest) as environment:
        yield Target({**os.environ, **environment})
