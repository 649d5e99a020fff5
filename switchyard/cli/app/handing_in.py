"""Statements that are signed here and handed in where the databases are: in AWS by a task, and the key stays here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from switchyard.cli.app.errors import CommandFailed, InvalidArgument

if TYPE_CHECKING:
    from switchyard.cli.app.target import Target

Signed = TypeVar("Signed")
RESULT = "result: "
"""Before what became of a statement that was handed in."""


def is_remote(target: Target) -> bool:
    """Whether commands are signed here and handed in by a task of the deployment."""
    return bool(target.environment.get("SWITCHYARD_OPERATIONS"))


async def read_remotely(target: Target, role: str, command: Sequence[str]) -> list[str]:
    """The lines that a command prints when a role runs it. Raises `CommandFailed` with them if it fails."""
    from switchyard.cli.app.remote_task import run_remotely

    ended = await run_remotely(target, role, command)
    if ended.exit_code:
        raise CommandFailed("\n".join(ended.lines) or f"the task ended with {ended.exit_code}")
    return [*ended.lines]


async def hand_in_remotely(target: Target, role: str, command: Sequence[str]) -> str | None:
    """What became of what a command hands in: the last line that it prints; None if it was stored and not confirmed."""
    lines = await read_remotely(target, role, command)
    last = lines[-1] if lines else ""
    return last.removeprefix(RESULT) if last.startswith(RESULT) else None


def read_signed(kind: type[Signed], text: str, command: str) -> Signed:
    """A statement that `command` signed elsewhere. Raises `InvalidArgument`, which names the field."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "it"
        raise InvalidArgument(f"the statement is invalid: {where}", remedy=f"hand in what {command} signed") from error
