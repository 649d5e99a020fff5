"""`switchyard ask`."""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import Field, console, count, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json

DEFAULT_ROLE, DEFAULT_TENANT = "FIELD_ALL", "northfork"
ANSWERED = "answered"
FINDINGS_EVENT, FINDINGS = "FindingsReady", "findings"


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
    from switchyard.cli.app.submissions import read_submission

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
    }
    detail |= {"agent": agent} if agent is not None else {}
    detail |= {"role": role or DEFAULT_ROLE} if user is None else {}
    if isinstance(problem := read_submission(json.dumps(detail)), str):
        raise InvalidArgument(problem, remedy="see `switchyard ask --help`")
    target = resolve_target(env)
    if user is None:
        await _ask_for_itself(target, detail, wait_s=wait, rows=rows)
    else:
        await _ask_as_user(target, detail, user, password, wait_s=wait, rows=rows)


async def _ask_as_user(
    target: Target, detail: Json, user: str, password: str | None, *, wait_s: float, rows: bool
) -> None:
    """Ask, and read the answer, as any caller of the API does."""
    from services.user_requests import log_in
    from switchyard_client import CaseRejected, ConsentNeeded, WaitTimeout

    async with log_in(target, user, password) as logged_in:
        asked = await logged_in.ask(
            detail["question"],
            key=detail["idempotency_key"],
            session=detail["session_id"],
            agent=detail.get("agent"),
        )
        case_id = asked["case_id"]
        console.print(f"case {case_id}", style="dim")
        try:
            case = await logged_in.wait(case_id, timeout_s=wait_s)
        except ConsentNeeded as error:
            raise CommandFailed(
                f"the case waits for {user}'s consent: the grant was revoked or has expired",
                remedy=f"switchyard consent {case_id} --user {user}",
            ) from error
        except CaseRejected as error:
            raise CommandFailed(f"refused: {error}") from error
        except WaitTimeout as error:
            raise CommandFailed(str(error), remedy=f"see `switchyard case show {case_id}`") from error
        shown = [each for each in case.artefacts if rows and each.name == FINDINGS]
        found = [await logged_in.artefact(each) for each in shown]
    _print_ending(asdict(case), case.answer, found)


async def _ask_for_itself(target: Target, detail: Json, *, wait_s: float, rows: bool) -> None:
    """Ask as an upstream system does, and read the log."""
    from switchyard.cli.app.rejections import Rejections
    from switchyard.cli.app.submissions import publish_submissions

    async with audit_log.open_audit_reader(target) as log:
        rejections = await Rejections.since_now(log, [detail["session_id"]])
        (case_id,) = await publish_submissions(target, [detail])
        console.print(f"case {case_id}", style="dim")
        step = await audit_log.follow_case(log, case_id, set(), wait_s, rejections=rejections)
        events = await audit_log.read_events(log, case_id)
        end = await audit_log.read_event(log, case_id, step)
    ending, answer, found = end["payload"], None, []
    if ending["outcome"] == ANSWERED:
        async with audit_log.open_artefact_reader(target) as artefacts:
            answer = json.loads(await audit_log.read_artefact(artefacts, end, ending["answer"]))
            found = [
                await audit_log.read_artefact(artefacts, event, reference)
                for event in events
                if rows and event["type"] == FINDINGS_EVENT
                for reference in event["payload"]["findings"]
            ]
    _print_ending(ending, answer, found)


def _print_ending(ending: Mapping[str, Any], answer: Any, findings: Iterable[bytes]) -> None:
    """Print the answer and the rows that were found; without an answer the reason, with exit code 1."""
    if ending["outcome"] != ANSWERED or answer is None:
        print_text(f"{ending['outcome']}: {ending['code']}. {ending.get('message') or ''}".rstrip(), style="red")
        if ending.get("remedy"):
            print_text(f"remedy: {ending['remedy']}")
        raise typer.Exit(1)
    print_text(answer["text"])
    for citation in answer["citations"]:
        print_text(f"  {citation['id']}: {citation.get('sql', '')}", style="dim")
    for found in map(json.loads, findings):
        if found.get("rows"):
            names = [column["name"] for column in found["columns"]]
            table = [dict(zip(names, row, strict=True)) for row in found["rows"]]
            more = ", and more" if found.get("truncated") else ""
            print_rows(table, map(Field, names), footer=f"{count(len(table), 'row')}{more}")
