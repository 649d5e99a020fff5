"""`switchyard operator`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.target import Target

app = CommandGroup()


@app.callback()
def operator() -> None:
    """Operators' keys."""


@app.command("public-key")
def print_public_key(
    key: Annotated[Path | None, typer.Option(help="The private key's file; else SWITCHYARD_OPERATOR_KEY.")] = None,
) -> None:
    """Print the public half of an operator's key, as SWITCHYARD_OPERATORS and SWITCHYARD_APPROVERS take it."""
    from switchyard.cli.app.keys import load_operator_key
    from switchyard.protocol.signing import derive_public_key

    typer.echo(derive_public_key(load_operator_key(Target(os.environ), key)))
