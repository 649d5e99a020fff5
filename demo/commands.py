"""`switchyard demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, use_devstack


def run(
    figures: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Run the demo and leave its log readable: on a stack of its own, or on a new stack of docker compose."""
    if figures is not None:
        # Minutes before there is something to write.
        try:
            figures.open("a", encoding="utf-8").close()
        except (OSError, ValueError) as error:
            from switchyard.protocol.errors import why_unreadable

            problem = f"--figures {figures} cannot be written: {why_unreadable(error)}"
            raise InvalidArgument(problem, remedy="name a file in a folder that exists") from error
    with use_devstack():
        from demo.demo import run_demo

        succeeded = run_demo(env, figures)
    if not succeeded:
        raise typer.Exit(1)
