"""`switchyard playbook`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup, load_app
from switchyard.cli.app.options import EnvOption, JsonOption, OperatorOption, ReasonOption
from switchyard.cli.app.target import Env, resolve_target

app = CommandGroup()
PlaybookArgument = Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The playbook's name, without a version.")]
_FIELDS = (
    Field("playbook"),
    Field("version", wide=True),
    Field("state"),
    Field("since"),
    Field("by", wraps=True),
    Field("reason", wraps=True),
)


@app.command("list")
async def list_playbooks(as_json: JsonOption = False, env: EnvOption = Env.LOCAL) -> None:
    """List every playbook: its current version, and by whom and why it is halted."""
    async with open_pool(resolve_target(env), "operator") as pool:
        halted = {
            row["playbook"]: row for row in await pool.fetch("select playbook, since, by, why as reason from halted")
        }
    rows = [
        {"playbook": name, "version": str(version), "state": "halted" if name in halted else "running"}
        | dict(halted.get(name) or dict.fromkeys(("since", "by", "reason")))
        for name, version in load_app().current.items()
    ]
    print_rows(rows, _FIELDS, as_json=as_json)


@app.command()
async def halt(
    playbook: PlaybookArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Halt a playbook, at once: nothing of it is sent, and new cases wait."""
    done = await _set_halted(env, "halt", playbook, operator, reason)
    console.print(f"{playbook}: halted" if done else f"{playbook}: was halted already")


@app.command()
async def resume(
    playbook: PlaybookArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Resume a halted playbook: each waiting command is checked again before it is sent."""
    done = await _set_halted(env, "resume", playbook, operator, reason)
    console.print(f"{playbook}: resumed" if done else f"{playbook}: was not halted")


async def _set_halted(env: Env, function: str, playbook: str, operator: str, reason: str) -> bool:
    current = load_app().current
    if playbook not in current:
        raise CommandFailed(f"no playbook is named {playbook}", remedy=f"name one of {', '.join(current)}")
    async with open_pool(resolve_target(env), "operator") as pool:
        return bool(await pool.fetchval(f"select {function}($1, $2, $3)", playbook, operator, reason))
