"""`switchyard ask`."""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import Field, console, count, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json
    from switchyard.runtime.storage.artefacts import Artefacts

DEFAULT_ROLE, DEFAULT_TENANT = "FIELD_ALL", "northfork"
FINDINGS = "FindingsReady"
WAITS_FOR_CONSENT = "ConsentRequested"


async def ask_question(  # noqa: PLR0917 - options, each by its name
    question: Annotated[str, typer.Argument(help="The question.")],
    user: Annotated[str | None, typer.Option(help="The user who logs in and asks, through the ingress.")] = None,
    password: Annotated[str | None, typer.Option(help="Their password; the local users' are public.")] = None,
    role: Annotated[str | None, typer.Option(help="The warehouse role, if the command line itself asks.")] = None,
    agent: Annotated[str | None, typer.Option(help="The specialist; triage chooses without it.")] = None,
    session: Annotated[str, typer.Option(help="The conversation.")] = "cli",
    tenant: Annotated[str | None, typer.Option(help="The tenant, if the command line itself asks.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60,
    rows: Annotated[bool, typer.Option("--rows", help="Also print the rows that were found, as a table.")] = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a question, follow its case in the audit log, and open the answer.

    With --user it is asked in the name of a user who logs in, through the ingress, and with their own role. Without it
    the command line asks for itself, as an upstream system does.
    """
    if user is not None and (role is not None or tenant is not None):
        raise InvalidArgument(
            "a user's role and tenant are those of their token", remedy="leave --role and --tenant out with --user"
        )
    detail: dict[str, Any] = {
        "tenant": tenant or DEFAULT_TENANT,
        "idempotency_key": str(uuid.uuid4()),
        "session_id": session,
        "user_id": user or getpass.getuser(),
        "question": question,
        "role": None if user else role or DEFAULT_ROLE,
    }
    detail = {name: value for name, value in {**detail, "agent": agent}.items() if value is not None}
    from switchyard.cli.app.rejections import Rejections
    from switchyard.cli.app.submissions import publish_submissions, read_submission

    if isinstance(problem := read_submission(json.dumps(detail)), str):
        raise InvalidArgument(problem, remedy="see `switchyard ask --help`")
    target = resolve_target(env)
    async with audit_log.open_audit_reader(target) as log:
        rejections = await Rejections.since_now(log, [session])
        if user is None:
            (case_id,) = await publish_submissions(target, [detail])
        else:
            from services.user_requests import log_in

            async with log_in(target, user, password) as logged_in:
                asked = await logged_in.ask(question, key=detail["idempotency_key"], session=session, agent=agent)
            case_id = str(asked["case_id"])
        console.print(f"case {case_id}", style="dim")
        until = frozenset({WAITS_FOR_CONSENT})
        step = await audit_log.follow_case(log, case_id, set(), wait, until=until, rejections=rejections)
        events = await audit_log.read_events(log, case_id)
        event = events[-1]
    if not step.terminal:
        raise CommandFailed(
            f"the case waits for {user}'s consent: the grant was revoked or has expired",
            remedy=f"switchyard consent {case_id} --user {user}",
        )
    ending = event["payload"]
    if ending["outcome"] != "answered":
        print_text(f"{ending['outcome']}: {ending['code']}. {ending.get('message', '')}", style="red")
        if ending.get("remedy"):
            print_text(f"remedy: {ending['remedy']}")
        raise typer.Exit(1)
    async with audit_log.open_artefact_reader(target) as artefacts:
        answer = json.loads(await audit_log.read_artefact(artefacts, event, ending["answer"]))
        found = await _read_rows(artefacts, events) if rows else []
    print_text(answer["text"])
    for citation in answer["citations"]:
        print_text(f"  {citation['id']}: {citation.get('sql', '')}", style="dim")
    for each in found:
        names = [column["name"] for column in each["columns"]]
        shown = [dict(zip(names, row, strict=True)) for row in each["rows"]]
        more = ", and more" if each.get("truncated") else ""
        print_rows(shown, map(Field, names), footer=f"{count(len(shown), 'row')}{more}")


async def _read_rows(artefacts: Artefacts, events: Sequence[Json]) -> list[dict[str, Any]]:
    """The findings of every specialist that found rows."""
    read = [
        json.loads(await audit_log.read_artefact(artefacts, event, reference))
        for event in events
        if event["type"] == FINDINGS
        for reference in event["payload"]["findings"]
    ]
    return [each for each in read if each.get("rows")]
