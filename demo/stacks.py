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

from demo.clock import restore_true_time, start_clock
from demo.figures import count_progress, count_published
from demo.settings import DemoSettings
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, Target, resolve_target
from switchyard.devstack.errors import AlreadyRunning
from switchyard.devstack.stack.data_folders import DATA_VARIABLE
from switchyard.devstack.stack.home import DEMO_HOME, Home, default_home
from switchyard.devstack.stack.local_stack import CLOCK_VARIABLE, build_stack
from switchyard.devstack.stack.models import given_model_variables
from switchyard.devstack.supervisor.ports import LOOPBACK

NEXT_COMMANDS = (
    ".venv/bin/switchyard case show {case} --open",
    ".venv/bin/switchyard case list --outcome failed",
    ".venv/bin/switchyard audit verify --checkpoints",
    ".venv/bin/switchyard audit export {case}",
    ".venv/bin/switchyard audit replay",
)
ASK_COMMAND = '.venv/bin/switchyard ask "Which ten wells produced the most oil in June 2026?"'


@dataclass(frozen=True)
class DemoStack:
    """A stack without cases. `clock` is the file by which all its clocks are moved."""

    target: Target
    clock: Path
    opt_out_address: str
    outbox_address: str
    next_commands: tuple[str, ...]
    """What to do with it afterwards; `{case}` is a case that failed over."""


@asynccontextmanager
async def open_demo_stack(env: Env) -> AsyncIterator[DemoStack]:
    """A stack whose clock the demo has set. Raises StackError and `CommandFailed` without one."""
    if env is Env.AWS:
        raise CommandFailed("the demo runs on emulators only", remedy="--env local or --env compose")
    async with _embedded() if env is Env.LOCAL else _composed() as stack:
        yield stack


@asynccontextmanager
async def _embedded() -> AsyncIterator[DemoStack]:
    home = Home(default_home() / DEMO_HOME)
    _forget_last_run(home)
    started = time.monotonic()
    clock = home.folder / "clock"
    home.prepare()
    start_clock(clock)
    os.environ[CLOCK_VARIABLE] = str(clock)
    for name in (*given_model_variables(), DATA_VARIABLE):
        if os.environ.pop(name, None):
            console.print(f"{name} of this shell is not used: the demo is scripted. See `switchyard stack up`.")
    console.print("Starting PostgreSQL, the AWS emulator, the simulators and every service …")
    async with build_stack(home.folder) as stack:
        console.print(f"{len(stack.status())} processes are ready after {time.monotonic() - started:.1f} s.")
        console.print(f"Console, while the demo runs: http://{LOOPBACK}:{stack.ports()['console_http']}")
        yield DemoStack(
            Target(stack.exports),
            clock,
            opt_out_address=f"http://{LOOPBACK}:{stack.ports()['email_feedback_http']}",
            outbox_address=f"http://{LOOPBACK}:{stack.ports()['ses_simulator']}",
            next_commands=(*NEXT_COMMANDS, ".venv/bin/switchyard stack up --detach", ASK_COMMAND),
        )


def _forget_last_run(home: Home) -> None:
    if home.in_use():
        holder = home.supervisor()
        raise AlreadyRunning(home.folder, holder or 0)
    if home.folder.exists():
        shutil.rmtree(home.folder)


@asynccontextmanager
async def _composed() -> AsyncIterator[DemoStack]:
    target = resolve_target(Env.COMPOSE)
    await require_empty_stack(target)
    settings = DemoSettings.read(target.environment)
    clock = target.settings.clock_file
    if clock is None:
        raise CommandFailed("SWITCHYARD_CLOCK_FILE is not set", remedy="start the stack with `make compose-up`")
    start_clock(clock)
    try:
        yield DemoStack(
            target,
            clock,
            opt_out_address=settings.demo_optout_url,
            outbox_address=settings.demo_outbox_url,
            next_commands=(
                *(f"{command} --env compose" for command in (*NEXT_COMMANDS, ASK_COMMAND)),
                "make compose-down",
            ),
        )
    finally:
        # Forward to the true time, for all later use of the stack.
        restore_true_time(clock)


async def require_empty_stack(target: Target) -> None:
    """Raise `CommandFailed` unless the stack is new: the demo counts everything that there is."""
    log = await asyncpg.connect(target.settings.audit_db_owner_url)
    work = await asyncpg.connect(target.settings.work_db_owner_url)
    try:
        used = (await count_progress(log))[2] or await count_published(work)
    finally:
        await log.close()
        await work.close()
    if used:
        raise CommandFailed("this stack has cases already", remedy="make compose-down compose-demo")
