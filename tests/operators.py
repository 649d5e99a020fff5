"""Operators of the tests: their keys, and the commands that they sign."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from switchyard.protocol.operator_commands import CommandAction, OperatorCommand
from switchyard.protocol.signing import OperatorKeys, derive_public_key
from switchyard.runtime.core.clock import moment, timestamp

OPERATOR, OPERATOR_KEY = "a.lindqvist", b"\x07" * 32
OPERATOR_PUBLIC_KEYS = {OPERATOR: derive_public_key(OPERATOR_KEY)}
OPERATORS = OperatorKeys({OPERATOR: bytes.fromhex(OPERATOR_PUBLIC_KEYS[OPERATOR])})


def signed_command(action: CommandAction, target: str, *, key: bytes = OPERATOR_KEY, **changes: Any) -> OperatorCommand:
    """A command that the operator has just signed."""
    now = timestamp(datetime.now(UTC))
    command = OperatorCommand(str(uuid.uuid4()), action, target, OPERATOR, "a bad prompt", now)
    command = replace(command, **changes)
    return replace(command, signature=command.sign(key))


async def hand_in(connection: Any, command: OperatorCommand) -> str:
    """Hand a command in, as the command line does; its id."""
    await connection.execute(
        "select case_manager.command($1, $2, $3, $4, $5, $6, $7)",
        *(command.command_id, command.action, command.target, command.operator, command.reason),
        *(moment(command.signed_at), command.signature),
    )
    return command.command_id


async def result_of(connection: Any, command_id: str) -> str | None:
    """What the case manager made of a command."""
    result: str | None = await connection.fetchval("select case_manager.commanded($1)", command_id)
    return result
