"""`switchyard email sender`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Column, Table

from contracts.events.email_sender import SendingResolved
from services.specialists.email_sender.unresolved_sends import UnresolvedSend, list_unresolved_sends, resolve_send
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, resolve_target
from switchyard.cli.commands.playbook import open_operator_pool
from switchyard.protocol.received import first_validation_error

app = typer.Typer(no_args_is_help=True)


@app.command("unknown")
def list_unresolved(env: EnvOption = Env.LOCAL) -> None:
    """List the sendings of which nobody knows what became. Ask the provider, then settle each."""
    waiting = asyncio.run(_unknown(env))
    table = Table(Column("case", no_wrap=True, min_width=36), Column("content", no_wrap=True), "asked at", "ended as")
    for each in waiting:
        asked = each.intended_at.isoformat(timespec="seconds")
        table.add_row(each.case_id, each.content_sha256[:16], asked, each.ended_as)
    console.print(table)
    console.print(f"{len(waiting)} to settle")


@app.command("settle")
def resolve_send_command(  # noqa: PLR0917 - typer calls it with keywords
    case_id: Annotated[str, typer.Argument(metavar="CASE", help="The case.")],
    operator: Annotated[str, typer.Option("--operator", "--as", help="Who found out.")],
    evidence: Annotated[str, typer.Option(help="How: where in the provider's records. No personal data.")],
    sent: Annotated[
        str | None, typer.Option("--sent", metavar="MESSAGE_ID", help="It was sent, under this id.")
    ] = None,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It was not sent.")] = False,
    content: Annotated[str | None, typer.Option(help="Its SHA-256, or the start, if the case has several.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Record what became of a sending whose outcome is unknown. The email sender publishes it as SendingResolved."""
    if (sent is None) == (not not_sent):
        raise CommandFailed("say what became of it", remedy="give either --sent MESSAGE_ID or --not-sent")
    found = asyncio.run(_settle(env, case_id, content=content, sent=sent, operator=operator, evidence=evidence))
    console.print(f"settled: {found.content_sha256[:16]} of case {case_id} was {'sent' if found.sent else 'not sent'}")


async def _unknown(env: Env) -> list[UnresolvedSend]:
    async with open_operator_pool(resolve_target(env)) as pool:
        return await list_unresolved_sends(pool)


async def _settle(
    env: Env, case_id: str, *, content: str | None, sent: str | None, operator: str, evidence: str
) -> SendingResolved:
    async with open_operator_pool(resolve_target(env)) as pool:
        waiting = [each for each in await list_unresolved_sends(pool, limit=10_000) if each.case_id == case_id]
        wanted = [each for each in waiting if each.content_sha256.startswith(content or "")]
        if len(wanted) != 1:
            raise CommandFailed(
                f"{len(wanted)} sendings of this case wait to be settled",
                remedy="see `switchyard email sender unknown`" + ("; name one with --content" if wanted else ""),
            )
        try:
            found = SendingResolved(
                content_sha256=wanted[0].content_sha256,
                sent=sent is not None,
                provider_message_id=sent,
                operator=operator,
                evidence=evidence,
            )
        except ValidationError as error:
            field, message = first_validation_error(error)
            raise CommandFailed(f"{field}: {message}") from error
        if not await resolve_send(pool, case_id, found):
            raise CommandFailed("somebody settled it a moment ago", remedy=f"switchyard case show {case_id}")
        return found
