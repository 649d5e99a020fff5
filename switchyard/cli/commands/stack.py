"""`switchyard stack`."""

from __future__ import annotations

import shlex
import shutil
import time
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.audit_log import POLL_INTERVAL_S
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
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
    load_app()  # what is wrong with it is printed here; the supervisor's own log is a file
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


@app.command()
def env() -> None:
    """Print what a shell exports to reach the running stack: eval "$(switchyard stack env)"."""
    with use_devstack("run `switchyard stack up --detach`"):
        from switchyard.devstack.stack.daemon import running_exports

        exports = running_exports()
    for name, value in sorted(exports.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def logs(
    process: Annotated[str | None, typer.Argument(help="The process; a list of them without it.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="The last so many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the log of a process of this stack, whether it is running or not."""
    with use_devstack():
        from switchyard.devstack.stack.home import Home

        home = Home()
    names = sorted(each.stem for each in home.logs.glob("*.log"))
    if process not in names:
        known = f"name one of {', '.join(names)}" if names else "run `switchyard stack up --detach`"
        raise InvalidArgument(f"no process is named {process}" if process else "no process is named", remedy=known)
    with home.log(process).open(encoding="utf-8", errors="replace") as log:
        for line in deque(log, maxlen=lines):
            typer.echo(line, nl=False)
        while follow:
            if line := log.readline():
                typer.echo(line, nl=False)
            else:
                time.sleep(POLL_INTERVAL_S)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete everything that this folder's stack has stored: cases, log, queues and keys. Not the demo's run."""
    with use_devstack():
        from switchyard.devstack.stack.home import Home

        home = Home()
        if home.in_use():
            raise CommandFailed("the stack is running", remedy="run `switchyard stack down`")
        stored = home.stored()
    if not stored:
        console.print("nothing is stored")
        return
    if not yes:
        typer.confirm(f"Delete {', '.join(each.name for each in stored)} in {home.folder}?", abort=True)
    for each in stored:
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()
    console.print(f"deleted: {', '.join(each.name for each in stored)}")
