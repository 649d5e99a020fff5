"""`switchyard publish`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, resolve_target


def publish_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one submission per line; - reads stdin.")],
    source: Annotated[str | None, typer.Option(help="The upstream's name on the bus; upstream.cli without it.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Publish each valid line; report each invalid line by number. Exit code 1 if there was an invalid line."""
    from switchyard.cli.app.submissions import DEFAULT_SOURCE, publish_submissions, read_lines

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file} cannot be read: {error}", remedy="name a readable file in UTF-8") from error
    lines = read_lines(text.splitlines())
    valid = [line for line in lines if line.detail is not None]
    invalid = [line for line in lines if line.problem is not None]
    details = [line.detail for line in valid if line.detail]
    cases = asyncio.run(publish_submissions(resolve_target(env), details, source=source or DEFAULT_SOURCE))
    for line, case_id in zip(valid, cases, strict=True):
        typer.echo(f"line {line.number}: case {case_id}")
    for line in invalid:
        typer.secho(f"line {line.number}: not published: {line.problem}", fg="red", err=True)
    typer.echo(f"{len(valid)} published, {len(invalid)} invalid")
    if invalid:
        raise typer.Exit(1)
