"""`switchyard stack`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup, load_app
from switchyard.cli.app.options import JsonOption
from switchyard.cli.app.target import use_devstack

if TYPE_CHECKING:
    from switchyard.devstack.stack.endpoints import Endpoints

app = CommandGroup()
STACK_PLAN = "switchyard.devstack.stack.local_stack:build_stack"
_FIELDS = (
    Field("process"),
    Field("state"),
    Field("pid"),
    Field("port"),
    Field("restarts"),
    Field("ready_s", "ready for (s)"),
)


@app.command()
def up(detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False) -> None:
    """Start PostgreSQL, the AWS emulator, the model simulator and every service."""
    with use_devstack():
        from switchyard.devstack.stack import daemon

        def ready(endpoints: Endpoints) -> None:
            console.print(f"ready: AWS at {endpoints.aws}, models at {endpoints.simulator}")
            if (port := daemon.running_ports().get("console_http")) is not None:
                console.print(f"console: http://127.0.0.1:{port}")
            console.print(f"next: {load_app().first_command}")
            if not detach:
                console.print("Ctrl-C stops the stack.")

        daemon.start_stack(STACK_PLAN, detach=detach, on_ready=ready)


@app.command()
def down(force: Annotated[bool, typer.Option(help="Do not wait for the drain.")] = False) -> None:
    """Stop the running stack."""
    with use_devstack():
        from switchyard.devstack.stack import daemon

        stopped = daemon.stop_stack(force=force)
    console.print("stopped" if stopped else "no stack was running")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show each process of the running stack."""
    with use_devstack():
        from switchyard.devstack.stack import daemon

        found = daemon.stack_status()
    if not found:
        raise CommandFailed("no stack is running", remedy="run `switchyard stack up --detach`")
    now = time.time()
    rows = [
        {
            "process": each.name,
            "state": str(each.state),
            "pid": each.pid,
            "port": each.port,
            "restarts": each.restarts,
            "ready_s": None if (uptime := each.uptime(now)) is None else round(uptime),
        }
        for each in found
    ]
    print_rows(rows, _FIELDS, as_json=as_json)
