"""Which deployment a command talks to: `local` (the local stack), `compose`, or `aws` (this shell's environment)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from switchyard.cli.app.errors import CommandFailed, InvalidArgument

if TYPE_CHECKING:
    from switchyard.cli.app.settings import CliSettings
    from switchyard.runtime.core.clock import Clock


STACK_RUN, DEMO_RUN = "stack", "demo"


class Env(StrEnum):
    """The targets."""

    LOCAL = "local"
    COMPOSE = "compose"
    AWS = "aws"


@dataclass(frozen=True)
class Target:
    """Addresses and credentials of a deployment, as environment variables name them."""

    environment: Mapping[str, str]

    @cached_property
    def settings(self) -> CliSettings:
        """The variables that commands read. Raises `CommandFailed` for an invalid one."""
        from switchyard.cli.app.settings import CliSettings

        return CliSettings.read(self.environment)

    @property
    def clock(self) -> Clock:
        """The deployment's clock: that of a local stack may be shifted."""
        from switchyard.runtime.core.clock import ShiftedClock, SystemClock

        file = self.settings.clock_file
        return SystemClock() if file is None else ShiftedClock(file)


def resolve_target(env: Env) -> Target:
    """A running deployment. Raises `CommandFailed` if it should run on this machine and does not."""
    if env is Env.AWS:
        return Target(os.environ)
    start = "run `switchyard stack up --detach`" if env is Env.LOCAL else "docker compose up --build --wait"
    with use_devstack(start):
        if env is Env.LOCAL:
            from switchyard.devstack.stack.running import running_exports

            exports = running_exports()
        else:
            from switchyard.devstack.stack.compose import compose_exports

            exports = compose_exports()
    return Target({**os.environ, **exports})


@contextmanager
def use_devstack(remedy: str | None = None) -> Iterator[None]:
    """Around the use of `switchyard.devstack`, which the image of the CLI does not hold.

    Raises `CommandFailed` if it is not installed, or with this remedy if the local stack cannot do what was asked.
    """
    try:
        from switchyard.devstack.errors import StackError
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("switchyard.devstack"):
            raise
        raise CommandFailed(
            "this installation cannot run a stack: it does not contain switchyard.devstack",
            remedy="use --env aws (or SWITCHYARD_ENV=aws), or run the command from a checkout",
        ) from error
    try:
        yield
    except StackError as error:
        raise CommandFailed(str(error), remedy=remedy) from error


@asynccontextmanager
async def open_readable_target(env: Env, run: str | None = None) -> AsyncIterator[Target]:
    """A target whose log can be read: a running one, or the last local run, whose databases are started.

    `run` names which one: `stack`, `demo`, or a folder. Raises `CommandFailed`.
    """
    if env is not Env.LOCAL:
        if run is not None:
            raise InvalidArgument("--run names a local run", remedy="leave it out, or use --env local")
        yield resolve_target(env)
        return
    with use_devstack():
        from switchyard.devstack.errors import StackError
        from switchyard.devstack.stack.home import DEMO_HOME, default_home
        from switchyard.devstack.stack.running import running_exports

    homes = _run_homes(run, default_home(), default_home() / DEMO_HOME)
    for home in homes:
        with suppress(StackError):
            exports = running_exports(home)
            break
    else:
        ran = [home for home in homes if (home / "stack.json").exists()]
        if not ran:
            remedy = "run `make demo` or `switchyard stack up --detach`"
            what = f"there is no run in {homes[0]}" if run is not None else "the local stack has never run"
            raise CommandFailed(what, remedy=remedy)
        from switchyard.devstack.stack.local_stack import open_databases_only

        latest = max(ran, key=lambda home: (home / "stack.json").stat().st_mtime)
        async with open_databases_only(latest) as exports:
            yield Target({**os.environ, **exports})
        return
    yield Target({**os.environ, **exports})


def _run_homes(run: str | None, stack: Path, demo: Path) -> tuple[Path, ...]:
    """The folders of the local runs that a name stands for."""
    of_name = {STACK_RUN: stack, DEMO_RUN: demo}
    return (stack, demo) if run is None else (of_name.get(run) or Path(run).absolute(),)
