"""`switchyard email`: emails whose delivery status is unknown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import CaseArgument, EnvOption, JsonOption, OperatorOption
from switchyard.cli.app.target import Env, resolve_target

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
    from services.specialists.email_sender.unresolved_sends import list_unresolved_sends

    async with open_pool(resolve_target(env), "operator") as pool:
        rows = [asdict(each) for each in await list_unresolved_sends(pool)]
    print_rows(rows, _FIELDS, as_json=as_json, footer=f"{len(rows)} unresolved")


@app.command()
async def resolve(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    operator: OperatorOption,
    evidence: Annotated[str, typer.Option(help="Where in the provider's records. No personal data.")],
    sent: Annotated[str | None, typer.Option(metavar="MESSAGE_ID", help="It was sent, under this id.")] = None,
    not_sent: Annotated[bool, typer.Option("--not-sent", help="It was not sent.")] = False,
    content: Annotated[str, typer.Option(help="Its SHA-256, or the first characters, if the case has several.")] = "",
    env: EnvOption = Env.LOCAL,
) -> None:
    """Record whether an email was sent. The email sender publishes it as SendingResolved."""
    from pydantic import ValidationError

    from contracts.events.email_sender import SendingResolved
    from services.specialists.email_sender.unresolved_sends import list_unresolved_sends, resolve_send
    from switchyard.protocol.received import first_validation_error

    if (sent is None) == (not not_sent):
        raise InvalidArgument("the delivery status is missing", remedy="give either --sent MESSAGE_ID or --not-sent")
    async with open_pool(resolve_target(env), "operator") as pool:
        unresolved = [
            each
            for each in await list_unresolved_sends(pool, limit=10_000)
            if each.case_id.startswith(case) and each.content_sha256.startswith(content)
        ]
        if len(unresolved) != 1:
            remedy = "see `switchyard email list-unresolved`" + ("; name one with --content" if unresolved else "")
            raise CommandFailed(f"{len(unresolved)} unresolved emails match case {case}: expected one", remedy=remedy)
        case_id, content = unresolved[0].case_id, unresolved[0].content_sha256
        try:
            found = SendingResolved(
                content_sha256=content,
                sent=sent is not None,
                provider_message_id=sent,
                operator=operator,
                evidence=evidence,
            )
        except ValidationError as error:
            raise InvalidArgument(": ".join(first_validation_error(error))) from error
        if not await resolve_send(pool, case_id, found):
            raise CommandFailed("it was resolved a moment ago", remedy=f"see `switchyard case show {case_id}`")
    console.print(f"resolved: {content[:16]} of case {case_id} was {'sent' if found.sent else 'not sent'}")
