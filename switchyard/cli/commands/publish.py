"""`switchyard publish`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.submissions import DEFAULT_SOURCE, publish_submissions, read_lines
from switchyard.cli.app.target import Env, EnvOption, resolve_target


def publish_file(
    file: Annotated[Path, typer.Argument(help="JSON lines, a submission each; - reads standard input.")],
    source: Annotated[str, typer.Option(help="Bus source of the upstream.")] = DEFAULT_SOURCE,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Publish every good line; report every bad one by number. Exit code 1 if there was a bad one."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    lines = read_lines(text.splitlines())
    good = [line for line in lines if line.detail is not None]
    bad = [line for line in lines if line.problem is not None]
    cases = asyncio.run(
        publish_submissions(resolve_target(env), [line.detail for line in good if line.detail], source=source)
    )
    for line, case_id in zip(good, cases, strict=True):
        typer.echo(f"line {line.number}: case {case_id}")
    for line in bad:
        typer.secho(f"line {line.number}: not published: {line.problem}", fg="red", err=True)
    typer.echo(f"{len(good)} published, {len(bad)} refused")
    if bad:
        raise typer.Exit(1)
