"""`switchyard stack` and `switchyard demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import console
from cli.errors import CommandFailed
from local import daemon
from local.endpoints import Endpoints
from local.errors import StackError

app = typer.Typer(no_args_is_help=True)
PLAN = "local.laptop:plan"


@app.command()
def up(detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False) -> None:
    """Start PostgreSQL, the AWS emulator, the model simulator and every service."""

    def ready(endpoints: Endpoints) -> None:
        console.print(f"ready: AWS at {endpoints.aws}, models at {endpoints.simulator}", highlight=False)
        console.print('next: switchyard ask "Which ten wells produced the most oil in June 2026?" --role FIELD_ALL')
        if not detach:
            console.print("Ctrl-C stops it.")

    try:
        daemon.up(PLAN, detach=detach, on_ready=ready)
    except StackError as error:
        raise CommandFailed(str(error)) from error


@app.command()
def down(force: Annotated[bool, typer.Option(help="Do not wait for the drain.")] = False) -> None:
    """Stop the running stack."""
    try:
        stopped = daemon.down(force=force)
    except StackError as error:
        raise CommandFailed(str(error)) from error
    console.print("stopped" if stopped else "no stack was running")


@app.command()
def status() -> None:
    """Show every process."""
    rows = daemon.status()
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
) -> None:
    """Run the demo on a stack of its own and leave its log readable."""
    from local.demo import run_demo

    try:
        ended_well = run_demo(json_file)
    except StackError as error:
        raise CommandFailed(str(error)) from error
    if not ended_well:
        raise typer.Exit(1)
