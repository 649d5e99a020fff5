"""`switchyard operator`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import EnvOption, WaitOption
from switchyard.cli.app.target import Env, Target, resolve_target

app = CommandGroup()


@app.callback()
def operator() -> None:
    """Operators' keys and signed commands."""


@app.command("public-key")
def print_public_key(
    key: Annotated[Path | None, typer.Option(help="The private key's file; else SWITCHYARD_OPERATOR_KEY.")] = None,
) -> None:
    """Print the public half of an operator's key, as SWITCHYARD_OPERATORS and SWITCHYARD_APPROVERS take it."""
    from switchyard.cli.app.keys import load_operator_key
    from switchyard.protocol.signing import derive_public_key

    typer.echo(derive_public_key(load_operator_key(Target(os.environ), key)))


@app.command("hand-in")
async def hand_in_command(
    command: Annotated[str, typer.Argument(metavar="JSON", help="A signed command, as `playbook halt` sends it.")],
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a command that an operator signed elsewhere, and print the case manager's answer."""
    from switchyard.cli.app.handing_in import RESULT, read_signed
    from switchyard.cli.app.operator_commands import hand_in
    from switchyard.protocol.operator_commands import OperatorCommand

    signed = read_signed(OperatorCommand, command, "`playbook halt`")
    result = await hand_in(resolve_target(env), signed, wait)
    typer.echo("stored, not confirmed" if result is None else f"{RESULT}{result}")
