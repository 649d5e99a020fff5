"""`switchyard playbook`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup, load_app
from switchyard.cli.app.operator_commands import submit_command, unconfirmed
from switchyard.cli.app.options import EnvOption, JsonOption, KeyOption, OperatorOption, ReasonOption, WaitOption
from switchyard.cli.app.target import Env, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.operator_commands import CommandAction

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
async def halt(  # noqa: PLR0917 - options, each by its name
    playbook: PlaybookArgument,
    operator: OperatorOption,
    reason: ReasonOption,
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Halt a playbook, at once: nothing of it is sent, and new cases wait. Signed by the operator."""
    await _command(env, "halt", playbook, operator, reason, key, wait)


@app.command()
async def resume(  # noqa: PLR0917 - options, each by its name
    playbook: PlaybookArgument,
    operator: OperatorOption,
    reason: ReasonOption,
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Resume a halted playbook: each waiting command is checked again before it is sent. Signed by the operator."""
    await _command(env, "resume", playbook, operator, reason, key, wait)


async def _command(  # noqa: PLR0917 - passes options on
    env: Env, action: CommandAction, playbook: str, operator: str, reason: str, key: Path | None, wait: float
) -> None:
    current = load_app().current
    if playbook not in current:
        raise CommandFailed(f"no playbook is named {playbook}", remedy=f"name one of {', '.join(current)}")
    result = await submit_command(
        resolve_target(env), action, playbook, operator=operator, reason=reason, key_file=key, wait_s=wait
    )
    if result is None and wait > 0:
        obeyed = "a halt counts for sending from now on" if action == "halt" else "it counts once it is confirmed"
        raise unconfirmed("the case manager", obeyed)
    console.print(f"{playbook}: {result or action + ' is stored, not confirmed'}")
