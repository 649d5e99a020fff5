"""`switchyard audit access`."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import Field, count, print_rows
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, open_readable_target
from switchyard.cli.commands.audit.reconcile import parse_since

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import CredentialAccess

_SHOWN = (
    Field("recorded_at", "when"),
    Field("case_id", "case", short=8),
    Field("agent"),
    Field("use", "for", wraps=True),
    Field("transition", wide=True),
    Field("jti", wide=True),
)


async def access(  # noqa: PLR0917 - options, each by its name
    user: Annotated[str, typer.Argument(metavar="USER", help="The person's pseudonym: `subject` of their cases.")],
    since: Annotated[str | None, typer.Option(help="Only what is newer than 30m, 24h, 7d, or a day.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only what this agent used.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 200,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """List what was read in a user's name: when, in which case, by which agent, for which service and scope."""
    try:
        person = uuid.UUID(user)
    except ValueError as error:
        remedy = "take `subject` from the case's rows in audit.transition"
        raise InvalidArgument(f"{user} is not a user: expected a UUID", remedy=remedy) from error
    start = None if since is None else parse_since(since, datetime.now(UTC))
    async with open_readable_target(env, run) as target, audit_log.open_audit_reader(target) as log:
        found = await log.accesses(person, since=start, agent=agent, limit=limit)
    shown = "the latest; --limit shows more" if len(found) == limit else f"in the name of {person}"
    rows = [*map(asdict, found)] if as_json else [*map(_row, found)]
    print_rows(rows, _SHOWN, as_json=as_json, footer=f"{count(len(found), 'credential')} {shown}")


def _row(used: CredentialAccess) -> dict[str, Any]:
    audience = (used.audience or "").removeprefix("https://")
    return asdict(used) | {"use": " ".join((audience, *used.scopes))}
