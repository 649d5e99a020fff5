"""`switchyard publish`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json


async def publish_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one submission per line; - reads stdin.")],
    source: Annotated[str | None, typer.Option(help="The upstream's name on the bus; upstream.cli without it.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Publish each valid line; report each invalid line by number. Exit code 1 if there was an invalid line."""
    from switchyard.cli.app.submissions import DEFAULT_SOURCE, publish_submissions, read_submission

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file} cannot be read: {error}", remedy="name a readable file in UTF-8") from error
    read = {number: read_submission(line) for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    read |= _conflicts(read)
    valid = {number: detail for number, detail in read.items() if not isinstance(detail, str)}
    cases = await publish_submissions(resolve_target(env), [*valid.values()], source=source or DEFAULT_SOURCE)
    for number, case_id in zip(valid, cases, strict=True):
        typer.echo(f"line {number}: case {case_id}")
    for number, problem in read.items():
        if isinstance(problem, str):
            typer.secho(f"line {number}: not published: {problem}", fg="red", err=True)
    typer.echo(f"{len(valid)} published, {len(read) - len(valid)} invalid")
    if len(valid) < len(read):
        raise typer.Exit(1)


def _conflicts(read: Mapping[int, Json | str]) -> dict[int, str]:
    """What is wrong with each submission that an earlier line contradicts: the same case with other content."""
    from switchyard.cli.app.submissions import DEFAULT_SOURCE, case_of

    first: dict[str, int] = {}
    found = {}
    for number, detail in read.items():
        if not isinstance(detail, str):
            earlier = first.setdefault(case_of(detail, DEFAULT_SOURCE), number)
            if detail != read[earlier]:
                found[number] = f"idempotency_key: line {earlier} has the same with other content; choose another"
    return found
