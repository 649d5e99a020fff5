"""`switchyard ask`."""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

DEFAULT_ROLE, DEFAULT_TENANT = "FIELD_ALL", "northfork"
ANSWERED = "answered"


async def ask_question(  # noqa: PLR0917 - options, each by its name
    question: Annotated[str, typer.Argument(help="The question.")],
    user: Annotated[str | None, typer.Option(help="The user who logs in and asks, through the ingress.")] = None,
    password: Annotated[str | None, typer.Option(help="Their password; the local users' are public.")] = None,
    role: Annotated[str | None, typer.Option(help="The warehouse role, if the command line itself asks.")] = None,
    agent: Annotated[str | None, typer.Option(help="The specialist; triage chooses without it.")] = None,
    session: Annotated[str, typer.Option(help="The conversation.")] = "cli",
    tenant: Annotated[str | None, typer.Option(help="The tenant, if the command line itself asks.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a question, follow its case in the audit log, and open the answer.

    With --user it is asked in the name of a user who logs in, through the ingress, and with their own role. Without it
    the command line asks for itself, as an upstream system does.
    """
    target = resolve_target(env)
    if user is not None:
        if role is not None or tenant is not None:
            raise InvalidArgument(
                "a user's role and tenant are those of their token", remedy="leave --role and --tenant out with --user"
            )
        await _ask_as_user(target, question, user, password, agent=agent, session=session, wait_s=wait)
        return
    case_id = await _ask_for_itself(
        target, question, role=role or DEFAULT_ROLE, agent=agent, session=session, tenant=tenant or DEFAULT_TENANT
    )
    console.print(f"case {case_id}", style="dim")
    async with audit_log.open_audit_reader(target) as log:
        await audit_log.follow_case(log, case_id, set(), wait)
        event = (await audit_log.read_events(log, case_id))[-1]
    ending, answer = event["payload"], None
    if ending["outcome"] == ANSWERED:
        async with audit_log.open_artefact_reader(target) as artefacts:
            answer = json.loads(await audit_log.read_artefact(artefacts, event, ending["answer"]))
    _print_ending(ending, answer)


async def _ask_as_user(
    target: Target, question: str, user: str, password: str | None, *, agent: str | None, session: str, wait_s: float
) -> None:
    """Ask, and read the answer, as any caller of the API does."""
    from services.user_requests import log_in
    from switchyard_client import ConsentNeeded, WaitTimeout

    async with log_in(target, user, password) as logged_in:
        asked = await logged_in.ask(question, key=str(uuid.uuid4()), session=session, agent=agent)
        case_id = asked["case_id"]
        console.print(f"case {case_id}", style="dim")
        try:
            case = await logged_in.wait(case_id, timeout_s=wait_s)
        except ConsentNeeded as error:
            raise CommandFailed(
                f"the case waits for {user}'s consent: the grant was revoked or has expired",
                remedy=f"switchyard consent {case_id} --user {user}",
            ) from error
        except WaitTimeout as error:
            raise CommandFailed(str(error), remedy=f"see `switchyard case show {case_id}`") from error
    _print_ending(asdict(case), case.answer)


def _print_ending(ending: Mapping[str, Any], answer: Any) -> None:
    """Print the answer; without one the reason, with exit code 1."""
    if ending["outcome"] != ANSWERED or answer is None:
        print_text(f"{ending['outcome']}: {ending['code']}. {ending.get('message') or ''}".rstrip(), style="red")
        if ending.get("remedy"):
            print_text(f"remedy: {ending['remedy']}")
        raise typer.Exit(1)
    print_text(answer["text"])
    for citation in answer["citations"]:
        print_text(f"  {citation['id']}: {citation.get('sql', '')}", style="dim")


async def _ask_for_itself(
    target: Target, question: str, *, role: str, agent: str | None, session: str, tenant: str
) -> str:
    from switchyard.cli.app.submissions import publish_submissions

    detail: dict[str, Any] = {
        "tenant": tenant,
        "idempotency_key": str(uuid.uuid4()),
        "session_id": session,
        "user_id": getpass.getuser(),
        "question": question,
        "role": role,
    }
    if agent:
        detail["agent"] = agent
    (case_id,) = await publish_submissions(target, [detail])
    return case_id
