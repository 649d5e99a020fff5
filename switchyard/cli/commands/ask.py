"""`switchyard ask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app.console import console, print_text
from switchyard.cli.app.options import EnvOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.fields import Json


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
    import getpass
    import uuid

    from switchyard.cli.app.audit_log import follow_case, open_audit_reader, read_events
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
    async with open_audit_reader(target) as log:
        await follow_case(log, case_id, set(), wait)
        answered = await _print_answer(target, (await read_events(log, case_id))[-1])
    if not answered:
        raise typer.Exit(1)


async def _print_answer(target: Target, event: Json) -> bool:
    import json

    from switchyard.cli.app.audit_log import open_artefact_reader, read_artefact

    ending = event["payload"]
    if ending["outcome"] != "answered":
        print_text(f"{ending['outcome']}: {ending['code']}. {ending.get('message', '')}", style="red")
        if ending.get("remedy"):
            print_text(f"remedy: {ending['remedy']}")
        return False
    async with open_artefact_reader(target) as artefacts:
        answer = json.loads(await read_artefact(artefacts, event, ending["answer"]))
    print_text(answer["text"])
    for citation in answer["citations"]:
        print_text(f"  {citation['id']}: {citation.get('sql', '')}", style="dim")
    return True
