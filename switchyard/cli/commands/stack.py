"""`switchyard stack` and `switchyard demo`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, require_local_package

if TYPE_CHECKING:
    from switchyard.devstack.stack.endpoints import Endpoints

app = typer.Typer(no_args_is_help=True)
STACK_PLAN = "switchyard.devstack.stack.local_stack:plan"


@app.command()
def up(detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False) -> None:
    """Start PostgreSQL, the AWS emulator, the model simulator and every service."""
    with require_local_package():
        from switchyard.devstack.stack import daemon

    def ready(endpoints: Endpoints) -> None:
        console.print(f"ready: AWS at {endpoints.aws}, models at {endpoints.simulator}", highlight=False)
        console.print('next: switchyard ask "Which ten wells produced the most oil in June 2026?" --role FIELD_ALL')
        if not detach:
            console.print("Ctrl-C stops it.")

    with _translate_errors():
        daemon.start_stack(STACK_PLAN, detach=detach, on_ready=ready)


@app.command()
def down(force: Annotated[bool, typer.Option(help="Do not wait for the drain.")] = False) -> None:
    """Stop the running stack."""
    with require_local_package():
        from switchyard.devstack.stack import daemon
    with _translate_errors():
        stopped = daemon.stop_stack(force=force)
    console.print("stopped" if stopped else "no stack was running")


@app.command()
def status() -> None:
    """Show every process."""
    with require_local_package():
        from switchyard.devstack.stack import daemon
    rows = daemon.stack_status()
    if not rows:
        raise CommandFailed("no stack is running", remedy="switchyard stack up --detach")
    table = Table("process", "state", "pid", "port", "restarts", "ready for")
    for row in rows:
        uptime = row.uptime(time.time())
        table.add_row(
            row.name,
            str(row.state),
            str(row.pid or ""),
            str(row.port),
            str(row.restarts),
            "" if uptime is None else f"{uptime:.0f} s",
        )
    console.print(table)


def demo(
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Run the demo and leave its log readable: on a stack of its own, or on docker compose's, which must be new."""
    with require_local_package():
        from demo.demo import run_demo
    with _translate_errors():
        ended_well = run_demo(env, json_file)
    if not ended_well:
        raise typer.Exit(1)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """What goes wrong with a stack, as a command says it."""
    from switchyard.devstack.errors import StackError

    try:
        yield
    except StackError as error:
        raise CommandFailed(str(error)) from error
