"""Where the demo runs: on a stack of its own, or on docker compose's."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from demo.clock import start_clock, true_time
from demo.figures import progress, published
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, Target, running
from switchyard.devstack.errors import AlreadyRunning
from switchyard.devstack.stack.home import Home, default_home
from switchyard.devstack.stack.local_stack import CLOCK_VARIABLE, DEMO_HOME, prepare, services, simulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK

READ = (
    ".venv/bin/switchyard case show {case} --open",
    ".venv/bin/switchyard case list --outcome failed",
    ".venv/bin/switchyard audit verify --checkpoints",
    ".venv/bin/switchyard audit export {case}",
    ".venv/bin/switchyard audit replay",
)
QUESTION = '.venv/bin/switchyard ask "Which ten wells produced the most oil in June 2026?"'


@dataclass(frozen=True)
class Place:
    """A stack without cases. `clock` is the file by which all its clocks are moved."""

    target: Target
    clock: Path
    opt_out_address: str
    outbox_address: str
    next_commands: tuple[str, ...]
    """What to do with it afterwards; `{case}` is a case that failed over."""


@asynccontextmanager
async def demo_place(env: Env) -> AsyncIterator[Place]:
    """A place whose clock the demo has set. Raises StackError and `CommandFailed` if there is none."""
    if env is Env.AWS:
        raise CommandFailed("the demo runs on emulators only", remedy="--env local or --env compose")
    async with _embedded() if env is Env.LOCAL else _composed() as place:
        yield place


@asynccontextmanager
async def _embedded() -> AsyncIterator[Place]:
    home = Home(default_home() / DEMO_HOME)
    _forget_last_run(home)
    started = time.monotonic()
    clock = home.folder / "clock"
    home.prepare()
    start_clock(clock)
    os.environ[CLOCK_VARIABLE] = str(clock)
    console.print(
        "Starting PostgreSQL, the AWS emulator, the model simulator and every service, each its own process …"
    )
    async with EmbeddedStack(home.folder, services=services, prepare=prepare, simulator=simulator()) as stack:
        console.print(f"{len(stack.status())} processes ready after {time.monotonic() - started:.1f} s")
        yield Place(
            Target(stack.exports),
            clock,
            opt_out_address=f"http://{LOOPBACK}:{stack.ports()['optout']}",
            outbox_address=f"http://{LOOPBACK}:{stack.ports()['ses_simulator']}",
            next_commands=(*READ, ".venv/bin/switchyard stack up --detach", QUESTION),
        )


def _forget_last_run(home: Home) -> None:
    if home.in_use():
        holder = home.supervisor()
        raise AlreadyRunning(home.folder, holder.pid if holder else 0)
    if home.folder.exists():
        shutil.rmtree(home.folder)


@asynccontextmanager
async def _composed() -> AsyncIterator[Place]:
    target = running(Env.COMPOSE)
    await refuse_cases(target)
    clock = Path(target.need("SWITCHYARD_CLOCK_FILE"))
    start_clock(clock)
    try:
        yield Place(
            target,
            clock,
            opt_out_address=target.need("SWITCHYARD_DEMO_OPTOUT_URL"),
            outbox_address=target.need("SWITCHYARD_DEMO_OUTBOX_URL"),
            next_commands=(*(f"{command} --env compose" for command in (*READ, QUESTION)), "make compose-down"),
        )
    finally:
        # Forward to the true time: whoever uses the stack from here on lives in it.
        true_time(clock)


async def refuse_cases(target: Target) -> None:
    """Raise `CommandFailed` unless the stack is new: the demo counts everything that there is."""
    log = await asyncpg.connect(target.need("SWITCHYARD_AUDIT_DB_OWNER_URL"))
    work = await asyncpg.connect(target.need("SWITCHYARD_WORK_DB_OWNER_URL"))
    try:
        used = (await progress(log))[2] or await published(work)
    finally:
        await log.close()
        await work.close()
    if used:
        raise CommandFailed("this stack has cases already", remedy="make compose-down compose-demo")
