"""`switchyard ask`."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
import uuid
from typing import Annotated, Any

import typer

from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target

ANSWER_POLL_S = 0.2


def ask_question(  # noqa: PLR0917 - options, each by its name
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    role: Annotated[str, typer.Option(help="Warehouse role to ask as.")] = "FIELD_ALL",
    agent: Annotated[str | None, typer.Option(help="The specialist; triage chooses without it.")] = None,
    session: Annotated[str, typer.Option(help="The conversation.")] = "cli",
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "acme",
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a question as an upstream does, follow its case in the audit log, and open the answer."""
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
    if not asyncio.run(_ask(resolve_target(env), detail, wait)):
        raise typer.Exit(1)


async def _ask(target: Target, detail: dict[str, Any], wait: float) -> bool:
    (case_id,) = await publish_submissions(target, [detail])
    console.print(f"case {case_id}", style="dim")
    async with open_audit_reader(target) as log:
        deadline, seen = time.monotonic() + wait, 0
        while time.monotonic() < deadline:
            steps = await log.timeline(case_id)
            for step in steps[seen:]:
                console.print(f"  {step.node_from} → {step.node_to}: {step.transition}", style="dim")
            seen = len(steps)
            if steps and steps[-1].terminal:
                event = json.loads((await log.bodies(case_id))[-1])["detail"]
                return await _print_answer(target, event)
            await asyncio.sleep(ANSWER_POLL_S)
    raise CommandFailed(f"no outcome within {wait:g} s; the case goes on", remedy=f"switchyard case show {case_id}")


async def _print_answer(target: Target, event: dict[str, Any]) -> bool:
    ending = event["payload"]
    if ending["outcome"] != "answered":
        console.print(f"{ending['outcome']}: {ending['code']}. {ending.get('message', '')}", style="red", markup=False)
        if ending.get("remedy"):
            console.print(f"remedy: {ending['remedy']}", markup=False)
        return False
    async with open_artefact_reader(target) as artefacts:
        answer = json.loads(await read_artefact(artefacts, event, ending["answer"]))
    console.print(answer["text"], markup=False)
    for citation in answer["citations"]:
        console.print(f"  {citation['id']}: {citation.get('sql', '')}", style="dim", markup=False)
    return True
