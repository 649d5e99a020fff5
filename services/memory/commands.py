"""`switchyard memory`: what is remembered of a person, why, and having it forgotten. A person is named by pseudonym."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from switchyard.cli.app.audit_log import open_artefact_reader
from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.operator_commands import await_result, unconfirmed
from switchyard.cli.app.options import EnvOption, JsonOption, KeyOption, OperatorOption, ReasonOption, WaitOption
from switchyard.cli.app.target import Env, Target, resolve_target

app = CommandGroup()
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The person's pseudonym: `subject` of a case.")]
_FIELDS = (
    Field("id", short=8),
    Field("kind"),
    Field("predicate"),
    Field("case_id", "case", short=8),
    Field("trust"),
    Field("quarantined"),
    Field("uses"),
    Field("kept_at", "kept at (UTC)"),
    Field("expires_at", "expires at (UTC)"),
)
_USED = """
select case_id::text, event_ts from audit.transition_detail
where transition = 'MemoryRecalled' and payload -> 'used' @> jsonb_build_array(jsonb_build_object('id', $1::text))
order by event_ts
"""
_FORGOTTEN = """
select payload ->> 'reason' as reason, event_ts from audit.transition_detail
where transition = 'MemoryForgotten' and payload -> 'items' @> jsonb_build_array(jsonb_build_object('id', $1::text))
"""


@app.command("list")
async def list_memory(user: UserArgument, as_json: JsonOption = False, env: EnvOption = Env.LOCAL) -> None:
    """List what is remembered of a person, without its text."""
    async with open_pool(resolve_target(env), "operator") as pool:
        rows = [_plain(row) for row in await pool.fetch("select * from memory.remembered($1)", _person(user))]
    print_rows(rows, _FIELDS, as_json=as_json, footer=f"{len(rows)} remembered")


@app.command()
async def why(
    user: UserArgument,
    memory: Annotated[
        str, typer.Argument(metavar="MEMORY", help="Its id, as `list` prints it, or the first characters.")
    ],
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Show where a memory comes from, which cases used it, and whether it is forgotten: from the audit log."""
    target = resolve_target(env)
    async with open_pool(target, "operator") as work, open_pool(target, "audit") as log:
        kept = [_plain(row) for row in await work.fetch("select * from memory.remembered($1)", _person(user))]
        found = [row for row in kept if row["id"].startswith(memory)]
        if len(found) > 1 or (not found and not _is_id(memory)):
            remedy = "name one of `switchyard memory list`; of a forgotten one, give the whole id"
            raise CommandFailed(f"{len(found)} memories match {memory}: expected one", remedy=remedy)
        known = found[0] if found else {"id": memory}
        used = [_plain(row) for row in await log.fetch(_USED, known["id"])]
        gone = [_plain(row) for row in await log.fetch(_FORGOTTEN, known["id"])]
    shown = {**known, "used": used, "forgotten": gone[0] if gone else None}
    if as_json:
        print_json(shown)
        return
    for name, value in known.items():
        print_text(f"{name}: {value}")
    for each in used:
        print_text(f"used in case {each['case_id']} at {each['event_ts']}")
    for each in gone:
        print_text(f"forgotten ({each['reason']}) at {each['event_ts']}")


@app.command()
async def forget(  # noqa: PLR0917 - options, each by its name
    user: UserArgument,
    operator: OperatorOption,
    reason: ReasonOption,
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Delete all that is remembered of a person, on the operator's signature. The receipt is MemoryForgotten."""
    person = str(_person(user))
    result = await submit_forgetting(resolve_target(env), person, operator=operator, reason=reason, key=key, wait=wait)
    if result is None and wait > 0:
        raise unconfirmed("memory", "it counts once it is confirmed")
    console.print(f"{person}: {result or 'stored, not confirmed'}")


async def submit_forgetting(
    target: Target, person: str, *, operator: str, reason: str, key: Path | None = None, wait: float = 10.0
) -> str | None:
    """Sign a command to forget a person, and hand it in; what memory made of it, or None without its answer in `wait`
    seconds. Raises `CommandFailed` for a refusal."""
    from switchyard.protocol.operator_commands import OperatorCommand
    from switchyard.runtime.core.clock import moment, timestamp

    command = OperatorCommand(str(uuid.uuid4()), "forget", person, operator, reason, timestamp(target.clock.now()))
    command = replace(command, signature=command.sign(load_operator_key(target, key)))
    async with open_pool(target, "operator") as pool:
        await pool.execute(
            "select memory.request_forgetting($1, $2, $3, $4, $5, $6)",
            *(command.command_id, person, operator, reason, moment(command.signed_at), command.signature),
        )
        return await await_result(
            lambda: pool.fetchval("select memory.forgetting_result($1)", command.command_id), wait
        )


@app.command()
async def export(user: UserArgument, env: EnvOption = Env.LOCAL) -> None:
    """Print what is remembered of a person, opened, as JSON: needs the role reviewer and the vault's key."""
    from services.memory.store import SealedText
    from switchyard.runtime.core.errors import TaskError

    target = resolve_target(env)
    async with open_pool(target, "reviewer", "memory") as pool, open_artefact_reader(target) as artefacts:
        found = []
        for row in await pool.fetch("select * from memory.sealed_memory($1) order by id, part desc", _person(user)):
            sealed = SealedText.from_json(row["sealed"])
            places = {sealed.artefact.sha256: sealed.place}
            try:
                data = await artefacts.read_from(places, str(row["case_id"]), sealed.artefact)
            except TaskError as error:
                raise CommandFailed(error.message, remedy=error.remedy) from error
            text = data.decode(errors="replace")
            text = str(json.loads(text)["text"]) if row["part"] == "answer" else text
            found.append({"id": str(row["id"]), "case_id": str(row["case_id"]), "part": row["part"], "text": text})
    print_json(found)


def _person(user: str) -> uuid.UUID:
    try:
        return uuid.UUID(user)
    except ValueError as error:
        remedy = "take `subject` from the case's rows in audit.transition"
        raise InvalidArgument(f"{user} is not a pseudonym: expected a UUID", remedy=remedy) from error


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _plain(row: Any) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in dict(row).items()}
