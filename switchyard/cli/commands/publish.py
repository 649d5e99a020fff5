"""`switchyard publish`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json


async def publish_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one submission per line; - reads stdin.")],
    source: Annotated[str | None, typer.Option(help="The upstream's name on the bus; upstream.cli without it.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for what the case manager refuses; 0 does not.")] = 10,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Publish each valid line; report each invalid line by number, and what the case manager rejects.

    Rejections come back through the audit log, if SWITCHYARD_AUDIT_DB_URL is set. Exit code 1 if a line was refused.
    """
    from switchyard.cli.app.submissions import DEFAULT_SOURCE, publish_submissions, read_submission

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        from switchyard.protocol.errors import why_unreadable

        remedy = "name a readable file in UTF-8"
        raise InvalidArgument(f"{file} cannot be read: {why_unreadable(error)}", remedy=remedy) from error
    read = {number: read_submission(line) for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    read |= _conflicts(read)
    if not read:
        raise InvalidArgument(f"{file} holds no submission", remedy="write one JSON object per line")
    valid = {number: detail for number, detail in read.items() if not isinstance(detail, str)}
    cases: list[str] = []
    refused: list[str] = []
    if valid:
        target = resolve_target(env)
        publish = partial(publish_submissions, target, [*valid.values()], source=source or DEFAULT_SOURCE)
        cases, refused = await _publish_and_wait(target, valid, publish, wait, source or DEFAULT_SOURCE)
    for number, case_id in zip(valid, cases, strict=True):
        typer.echo(f"line {number}: case {case_id}")
    for number, problem in read.items():
        if isinstance(problem, str):
            typer.secho(f"line {number}: not published: {problem}", fg="red", err=True)
    for rejection in refused:
        typer.secho(rejection, fg="red", err=True)
    came_back = f", {len(refused)} refused" if refused else ""
    typer.echo(f"{len(valid)} published, {len(read) - len(valid)} invalid{came_back}")
    if len(valid) < len(read) or refused:
        raise typer.Exit(1)


async def _publish_and_wait(
    target: Target, valid: Mapping[int, Json], publish: Callable[[], Awaitable[list[str]]], wait_s: float, source: str
) -> tuple[list[str], list[str]]:
    """The ids of the cases, and a line for each rejection that came back."""
    if not valid or wait_s <= 0 or not target.environment.get("SWITCHYARD_AUDIT_DB_URL"):
        return await publish(), []
    from switchyard.cli.app.audit_log import open_audit_reader
    from switchyard.cli.app.rejections import Rejections, wait_for_cases
    from switchyard.cli.app.submissions import case_of

    async with open_audit_reader(target) as log:
        rejections = await Rejections.since_now(log, (str(detail["session_id"]) for detail in valid.values()))
        known = await log.known_cases(case_of(detail, source) for detail in valid.values())
        cases = await publish()
        typer.echo("waiting for the case manager …", err=True)
        waiting, refused = await wait_for_cases(rejections, cases, wait_s, known=known)
        problems = [
            ((await rejections.payload(each)).get("would_be"), (await rejections.explain(each)).message)
            for each in refused
        ]
    if len(waiting) > len(refused):
        typer.echo(f"{len(waiting) - len(refused)} not taken yet: they wait for their turn")
    lines = {case: [number for number, each in zip(valid, cases, strict=True) if each == case] for case in cases}
    return cases, [
        f"line {', '.join(map(str, lines[case]))}: {problem}" if case in lines else problem
        for case, problem in problems
    ]


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
