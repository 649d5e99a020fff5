"""`switchyard consent` and `switchyard grant`: what a user whose cases agents work on decides."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import CaseArgument, EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target


class Thumb(StrEnum):
    """What a user thinks of an answer."""

    UP = "up"
    DOWN = "down"


UserOption = Annotated[str, typer.Option("--user", help="The user who logs in.")]
PasswordOption = Annotated[
    str | None, typer.Option(help="Their password; that of the local stack's users is public.", show_default=False)
]

grants = CommandGroup()


async def give_consent(
    case: CaseArgument,
    user: UserOption,
    password: PasswordOption = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the case's ending.")] = 60,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Log in again, so that a case continues that waits for its user."""
    from services.user_requests import log_in

    target = resolve_target(env)
    async with audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, case)
        events = await audit_log.read_events(log, case_id)
        asked = [event for event in events if event["type"] == "ConsentRequested"]
        if not asked:
            raise CommandFailed("the case has not asked for consent", remedy="see `switchyard case show`")
        grant = asked[-1]["payload"]["grant"]
        async with log_in(target, user, password) as session:
            await session.consent(grant)
        console.print(f"grant {grant} is renewed")
        step = await audit_log.follow_case(log, case_id, {event["event_id"] for event in events}, wait)
    console.print(f"case {case_id}: {step.outcome}")


async def give_feedback(  # noqa: PLR0917 - options, each by its name
    case: CaseArgument,
    thumb: Annotated[Thumb, typer.Argument(help="`up` or `down`.")],
    user: UserOption,
    reason: Annotated[str | None, typer.Option(help="In the user's words. It is sealed.")] = None,
    password: PasswordOption = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait until the log has it.")] = 30,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Log in, and say whether the answer of a case was good. Only the person who asked may, or a reviewer."""
    import asyncio

    from services.user_requests import log_in

    target = resolve_target(env)
    async with audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, case)
        seen = {event["event_id"] for event in await audit_log.read_events(log, case_id)}
        async with log_in(target, user, password) as session:
            await session.feedback(case_id, thumb.value, reason)
        until = time.monotonic() + wait
        while time.monotonic() < until:
            events = await audit_log.read_events(log, case_id)
            if any(event["type"] == "CaseFeedback" and event["event_id"] not in seen for event in events):
                console.print(f"case {case_id}: thumb {thumb.value}")
                return
            await asyncio.sleep(0.3)
    raise CommandFailed(
        f"the log has no new feedback on case {case_id}",
        remedy="name the user who asked, and a case that has ended; the same words again are not stored twice",
    )


@grants.command("revoke")
async def revoke_grant(
    case: CaseArgument, user: UserOption, password: PasswordOption = None, env: EnvOption = Env.LOCAL
) -> None:
    """Revoke the grant of a case: agents obtain no token for it any more, and its cases wait for the user."""
    from services.user_requests import log_in

    target = resolve_target(env)
    grant = await grant_of_case(target, case)
    async with log_in(target, user, password) as session:
        await session.revoke(grant)
    console.print(f"grant {grant} is revoked")


async def grant_of_case(target: Target, case: str) -> str:
    """The grant under which a case runs. Raises `CommandFailed` for a case without one."""
    async with audit_log.open_audit_reader(target) as log:
        events = await audit_log.read_events(log, await audit_log.resolve_case_id(log, case))
    grant = events[0]["principal"].get("grant_ref") if events else None
    if grant is None:
        raise CommandFailed("the case has no grant of a user", remedy="name a case that a user asked")
    return str(grant)
