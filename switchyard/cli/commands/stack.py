"""`switchyard stack`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.audit_log import POLL_INTERVAL_S
from switchyard.cli.app.console import Field, console, print_rows, print_text
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
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    model: Annotated[str | None, typer.Option(help="A real model: its name at --model-url, or bedrock:ID.")] = None,
    model_url: Annotated[
        str | None, typer.Option(help="Any server that speaks OpenAI's API: http://HOST:PORT/v1.")
    ] = None,
    key_env: Annotated[str | None, typer.Option(help="The variable of this shell with that server's key.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="A folder of yours in place of the shipped data.")
    ] = None,
) -> None:
    """Start PostgreSQL, the AWS emulator, the model simulator and every service.

    Agents ask the simulator, or the real model that --model or SWITCHYARD_MODEL_* variables of this shell name.
    """
    load_app()  # what is wrong with it is printed here; the supervisor's own log is a file
    if model is None and (model_url or key_env):
        raise InvalidArgument("the model's name is missing", remedy="give --model NAME with --model-url")
    with use_devstack():
        from switchyard.devstack.stack import daemon, running
        from switchyard.devstack.stack.data_folders import DATA_VARIABLE, data_folders
        from switchyard.devstack.stack.models import choose_model

        if data:
            given = dict(each.partition("=")[::2] for each in data)
            os.environ[DATA_VARIABLE] = json.dumps(
                {name: str(Path(folder).absolute()) for name, folder in given.items()}
            )
        data_folders(load_app())
        if model is not None:
            choose_model(model, url=model_url, key_variable=key_env)

        def ready(endpoints: Endpoints) -> None:
            console.print(f"ready: AWS at {endpoints.aws}")
            _print_in_use(running.running_on())
            if (port := running.running_ports().get("console_http")) is not None:
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
        from switchyard.devstack.stack import daemon, running

        found = daemon.stack_status()
        in_use = running.running_on() if found else {}
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
    if not as_json:
        _print_in_use(in_use)


def _print_in_use(found: Mapping[str, str]) -> None:
    """Which models and data a stack runs on."""
    for name, what in found.items():
        print_text(f"{name}: {what}")


@app.command()
def env() -> None:
    """Print what a shell exports to reach the running stack: eval "$(switchyard stack env)"."""
    with use_devstack("run `switchyard stack up --detach`"):
        from switchyard.devstack.stack.running import running_exports

        exports = running_exports()
    for name, value in sorted(exports.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def logs(
    process: Annotated[str | None, typer.Argument(help="The process; a list of them without it.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines to print.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the log of a process of this stack, whether it is running or not."""
    with use_devstack():
        from switchyard.devstack.stack.home import Home

        home = Home()
    names = sorted(each.stem for each in home.logs.glob("*.log"))
    if not names:
        raise CommandFailed("the local stack has never run", remedy="run `switchyard stack up --detach`")
    if process not in names:
        known = f"name one of {', '.join(names)}"
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
