"""The operator's hand on the case manager.

Its own database role, which may call a few functions and read what waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from switchyard.app.application import load_app
from switchyard.cli.app.audit_log import open_pool
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.database.connections import Pool
from switchyard.runtime.database.queries import load_queries

_SQL = load_queries(__file__)

OperatorOption = Annotated[str, typer.Option("--as", help="Who does it; stands in the audit log.")]
ReasonOption = Annotated[str, typer.Option(help="Why; stands in the audit log.")]
PlaybookOption = Annotated[str, typer.Option(help="Which playbook.")]


@asynccontextmanager
async def open_operator_pool(target: Target) -> AsyncIterator[Pool]:
    """The case manager's database with the operator's few rights.

    Raises `CommandFailed` if it is out of reach or forbidden.
    """
    async with open_pool(target, "SWITCHYARD_OPERATOR_DB_URL", CASE_MANAGER) as case_manager:
        try:
            yield case_manager
        except asyncpg.CheckViolationError as error:
            remedy = "a name is visible ASCII without blanks, 150 characters at most; a reason 2000"
            raise CommandFailed("the name or the reason cannot stand in an event", remedy=remedy) from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise CommandFailed(
                "this database role may not do that", remedy="use the operator's role: `switchyard migrate` makes it"
            ) from error


def load_signing_key(target: Target) -> bytes:
    """The operator's private key. Raises `CommandFailed` for one that is not 32 bytes in hex."""
    named = target.need("SWITCHYARD_OPERATOR_KEY")
    path = Path(named)
    text = path.read_text(encoding="utf-8").strip() if len(named) < 256 and path.is_file() else named
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        remedy = "an Ed25519 private key, 32 bytes in hex, or the path of a file with one"
        raise CommandFailed("SWITCHYARD_OPERATOR_KEY is no signing key", remedy=remedy)
    return key


def cancel_case(
    case_id: Annotated[str, typer.Argument(help="The case.")],
    operator: OperatorOption,
    reason: ReasonOption,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Cancel an open case: nothing of it is sent any more, and it ends as cancelled."""
    result = asyncio.run(_call(env, "cancel", case_id, operator, reason))
    if result == "unknown":
        raise CommandFailed("the case manager has no such case", remedy="see `switchyard case list`; give the whole id")
    if result == "closed":
        raise CommandFailed("the case is closed already", remedy="see how it ended with `switchyard case show`")
    console.print(f"{case_id}: cancelled; what was handed to the provider before cannot be called back")


def halt_playbook(
    playbook: PlaybookOption, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Halt a playbook: from now on nothing of it is sent, and new cases wait. Takes hold at once."""
    _require_known_playbook(playbook)
    done = asyncio.run(_call(env, "halt", playbook, operator, reason))
    console.print(f"{playbook}: halted" if done else f"{playbook}: was halted already")


def resume_playbook(
    playbook: PlaybookOption, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Let a halted playbook run again: what waited is checked again before it is sent."""
    _require_known_playbook(playbook)
    done = asyncio.run(_call(env, "resume", playbook, operator, reason))
    console.print(f"{playbook}: runs again" if done else f"{playbook}: was not halted")


def _require_known_playbook(playbook: str) -> None:
    current = load_app().current
    if playbook not in current:
        raise CommandFailed(f"there is no playbook {playbook}", remedy=f"name one of {', '.join(current)}")


async def _call(env: Env, name: str, *arguments: str) -> object:
    async with open_operator_pool(resolve_target(env)) as case_manager:
        try:
            return await case_manager.fetchval(_SQL[name], *arguments)
        except asyncpg.DataError as error:
            raise CommandFailed(
                "that is no case id", remedy="give the whole id, as `switchyard case list` shows it"
            ) from error
