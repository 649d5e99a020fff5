"""Operators' commands: signed here, handed in as a row, and answered in it by the service that verifies them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.handing_in import hand_in_remotely, is_remote
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.protocol.operator_commands import CommandAction, OperatorCommand

POLL_S = 0.1


async def submit_command(
    target: Target,
    action: CommandAction,
    what: str,
    *,
    operator: str,
    reason: str,
    key_file: Path | None = None,
    wait_s: float = 10.0,
) -> str | None:
    """Sign a command, hand it in and return what the case manager made of it; None without an answer in `wait_s`.
    Raises `CommandFailed` for a command that was refused.

    A deployment in AWS is reached by a task of the role `operator` if SWITCHYARD_OPERATIONS says where: what it gets is
    signed already, and the key stays here."""
    from switchyard.protocol.operator_commands import OperatorCommand
    from switchyard.runtime.core.clock import timestamp

    now = target.clock.now()
    command = OperatorCommand(str(uuid.uuid4()), action, what, operator, reason, timestamp(now))
    command = replace(command, signature=command.sign(load_operator_key(target, key_file)))
    if is_remote(target):
        text = json.dumps(asdict(command))
        return await hand_in_remotely(target, "operator", ["operator", "hand-in", text, "--wait", str(wait_s)])
    return await hand_in(target, command, wait_s)


async def hand_in(target: Target, command: OperatorCommand, wait_s: float) -> str | None:
    """Hand in a signed command; what the case manager made of it, as `submit_command` returns it."""
    from switchyard.runtime.core.clock import moment

    signed_at = moment(command.signed_at)
    async with open_pool(target, "operator") as pool:
        await pool.execute(
            "select command($1, $2, $3, $4, $5, $6, $7)",
            *(command.command_id, command.action, command.target, command.operator, command.reason),
            *(signed_at, command.signature),
        )
        return await await_result(lambda: pool.fetchval("select commanded($1)", command.command_id), wait_s)


async def await_result(read: Callable[[], Awaitable[str | None]], wait_s: float) -> str | None:
    """The answer to what was handed in; None if it has none after `wait_s`. Raises `CommandFailed` for a refusal."""
    import asyncio

    deadline = asyncio.get_running_loop().time() + wait_s
    while (result := await read()) is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - another process answers
        await asyncio.sleep(POLL_S)
    if result is not None and result.startswith("refused"):
        remedy = "name an operator of SWITCHYARD_OPERATORS, and sign with that operator's key"
        raise CommandFailed(result, remedy=remedy if "sign" in result else None)
    return result


def unconfirmed(service: str, consequence: str) -> CommandFailed:
    """What to say of a signed command that has no answer yet."""
    return CommandFailed(
        f"{service} has not confirmed it yet; the signed command is stored: {consequence}",
        remedy=f"check that {service} is running, and that it knows the operator's key (SWITCHYARD_OPERATORS)",
    )
