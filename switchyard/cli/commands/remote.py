"""`switchyard remote`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from switchyard.cli.app.target import Target

RoleArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help="operator, reviewer, auditor, reconciler, retention, eraser or migrate.")
]
CommandArgument = Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The command, without `switchyard`.")]


async def run_in_deployment(role: RoleArgument, command: CommandArgument) -> None:
    """Run a command inside a deployment in AWS, as one role: `switchyard remote auditor -- audit verify --checkpoints`.

    An ECS task runs it; its output and exit code are the command's. Needs SWITCHYARD_OPERATIONS and the IAM policy
    `switchyard-run-as-ROLE`. A command that signs (halt, resume, cancel) is run without this: it signs here.
    """
    from switchyard.cli.app.remote_task import run_remotely

    ended = await run_remotely(Target(os.environ), role, command)
    for line in ended.lines:
        typer.echo(line)
    if ended.exit_code:
        raise typer.Exit(ended.exit_code)
