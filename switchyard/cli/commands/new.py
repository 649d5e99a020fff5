"""`switchyard new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.console import console
from switchyard.cli.app.errors import InvalidArgument


def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="The repository: a folder that does not exist yet.")],
    wheels: Annotated[
        Path | None, typer.Option(help="A folder with the engine's wheels, where no package index has them.")
    ] = None,
) -> None:
    """Write a repository with one playbook, one agent, its simulated model, evals and tests: `make demo` runs it."""
    from switchyard.scaffold.repository import CannotCreate, create_repository

    try:
        created = create_repository(folder, wheels=wheels)
    except CannotCreate as error:
        raise InvalidArgument(str(error), remedy=error.remedy) from error
    console.print(f"{created} is written.")
    console.print(f"next: cd {folder} && make demo", markup=False)
