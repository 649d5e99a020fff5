"""`switchyard ask`."""

from __future__ import annotations

import getpass
import json
import uuid
from typing import Annotated, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, resolve_target


async def ask_question(  # noqa: PLR0917 - options, each by its name
    question: Annotated[str, typer.Argument(help="The question.")],
    role: Annotated[str, typer.Option(help="The warehouse role to ask as.")] = "FIELD_ALL",
    agent: Annotated[str | None, typer.Option(help="The specialist; triage chooses without it.")] = None,
    session: Annotated[str, typer.Option(help="The conversation.")] = "cli",
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "acme",
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a question as an upstream does, follow its case in the audit log, and open the answer."""
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
    target = resolve_target(env)
    (case_id,) = await publish_submissions(target, [detail])
    console.print(f"case {case_id}", style="dim")
    async with audit_log.open_audit_reader(target) as log:
        await audit_log.follow_case(log, case_id, set(), wait)
        event = (await audit_log.read_events(log, case_id))[-1]
    ending = event["payload"]
    if ending["outcome"] != "answered":
        print_text(f"{ending['outcome']}: {ending['code']}. {ending.get('message', '')}", style="red")
        if ending.get("remedy"):
            print_text(f"remedy: {ending['remedy']}")
        raise typer.Exit(1)
    async with audit_log.open_artefact_reader(target) as artefacts:
        answer = json.loads(await audit_log.read_artefact(artefacts, event, ending["answer"]))
    print_text(answer["text"])
    for citation in answer["citations"]:
        print_text(f"  {citation['id']}: {citation.get('sql', '')}", style="dim")
