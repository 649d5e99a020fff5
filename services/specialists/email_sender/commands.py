"""`switchyard email`: emails whose delivery status is unknown."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.handing_in import RESULT, hand_in_remotely, is_remote, read_remotely, read_signed
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.operator_commands import await_result, unconfirmed
from switchyard.cli.app.options import CaseArgument, EnvOption, JsonOption, KeyOption, OperatorOption, WaitOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from services.specialists.email_sender.unresolved_sends import Resolution

app = CommandGroup()
_FIELDS = (
    Field("case_id", "case", short=8),
    Field("content_sha256", "content", short=16),
    Field("intended_at", "intended at (UTC)"),
    Field("ended_as"),
)


@app.command("list-unresolved")
async def list_unresolved(as_json: JsonOption = False, env: EnvOption = Env.LOCAL) -> None:
    """List the emails whose delivery status is unknown. Ask the provider about each, then resolve it."""
    rows = await _list_unresolved(resolve_target(env))
    print_rows(rows, _FIELDS, as_json=as_json, footer=f"{len(rows)} unresolved")


@app.command()
async def resolve(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    operator: OperatorOption,
    evidence: Annotated[str, typer.Option(help="Where the provider's records show it, without personal data.")],
    sent: Annotated[str | None, typer.Option(metavar="MESSAGE_ID", help="It was sent, under this id.")] = None,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It was not sent.")] = False,
    content: Annotated[str, typer.Option(help="Its SHA-256, or the first characters, if the case has several.")] = "",
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Record whether an email was sent, signed by the operator. The email sender publishes it as SendingResolved."""
    from services.specialists.email_sender.unresolved_sends import Resolution
    from switchyard.protocol.signing import sign_statement
    from switchyard.runtime.core.clock import timestamp

    if (sent is None) == (not not_sent):
        raise InvalidArgument("the delivery status is missing", remedy="give either --sent MESSAGE_ID or --not-sent")
    target = resolve_target(env)
    unresolved = [
        (each["case_id"], each["content_sha256"])
        for each in await _list_unresolved(target)
        if each["case_id"].startswith(case) and each["content_sha256"].startswith(content)
    ]
    if len(unresolved) != 1:
        remedy = "see `switchyard email list-unresolved`" + ("; name one with --content" if unresolved else "")
        raise CommandFailed(f"{len(unresolved)} unresolved emails match case {case}: expected one", remedy=remedy)
    [(case_id, content)] = unresolved
    found = Resolution(str(uuid.uuid4()), case_id, content, sent, operator, evidence, timestamp(target.clock.now()))
    found = replace(found, signature=sign_statement(load_operator_key(target, key), found.statement()))
    if is_remote(target):
        command = ["email", "hand-in", json.dumps(asdict(found)), "--wait", str(wait)]
        result = await hand_in_remotely(target, "operator", command)
    else:
        result = await _hand_in(target, found, wait)
    if result is None and wait > 0:
        raise unconfirmed("the email sender", "it counts once it is confirmed")
    state = "sent" if sent is not None else "not sent"
    console.print(f"{result or 'stored, not confirmed'}: {content[:16]} of case {case_id} was {state}")


@app.command("hand-in")
async def hand_in(
    resolution: Annotated[str, typer.Argument(metavar="JSON", help="A finding, as `email resolve` signs it.")],
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a resolution that an operator signed elsewhere, and print the email sender's answer."""
    from services.specialists.email_sender.unresolved_sends import Resolution

    signed = read_signed(Resolution, resolution, "`email resolve`")
    result = await _hand_in(resolve_target(env), signed, wait)
    typer.echo("stored, not confirmed" if result is None else f"{RESULT}{result}")


async def _list_unresolved(target: Target) -> list[dict[str, Any]]:
    from services.specialists.email_sender.unresolved_sends import list_unresolved_sends

    if is_remote(target):
        listed = await read_remotely(target, "operator", ["email", "list-unresolved", "--json"])
        return list(json.loads("\n".join(listed)))
    async with open_pool(target, "operator") as pool:
        return [asdict(each) for each in await list_unresolved_sends(pool, limit=10_000)]


async def _hand_in(target: Target, found: Resolution, wait: float) -> str | None:
    from services.specialists.email_sender.unresolved_sends import request_resolution, resolution_result

    async with open_pool(target, "operator") as pool:
        await request_resolution(pool, found)
        return await await_result(lambda: resolution_result(pool, found.resolution_id), wait)
