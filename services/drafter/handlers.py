"""What the drafter does with a command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contracts.events.drafter import AnswerDrafted
from contracts.events.router import DraftAnswer
from failover import FailoverModel
from runtime.artefacts import Artefacts
from runtime.models import model_call, spending
from runtime.task import Reply, Task
from services.drafter.agent import PROMPT_VERSION, draft

if TYPE_CHECKING:
    from pydantic_ai import Agent

MARGIN_MS = 1_000
"""Of the task's time limit, kept for sealing and storing the result."""


async def draft_answer(
    task: Task[DraftAnswer], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[frozenset[str], str]
) -> Reply:
    """Write the answer from the granted findings, and cite each one that it uses."""
    question = (await artefacts.read(task, task.payload.question)).decode()
    findings = []
    for number, artefact in enumerate(task.payload.findings, start=1):
        found = json.loads(await artefacts.read(task, artefact))
        findings.append({"id": f"F{number}"} | found)
    async with spending(model, task, margin_ms=MARGIN_MS) as decisions:
        written = await draft(agent, question, findings)
    sources = [finding for finding in findings if finding["id"] in written.cites]
    answer = await artefacts.write(
        task,
        "answer",
        json.dumps({"text": written.text, "citations": [_citation(source) for source in sources]}).encode(),
        media_type="application/json",
    )
    return Reply(
        AnswerDrafted(answer=answer, cites=written.cites),
        model_call=model_call(decisions, prompt_version=PROMPT_VERSION),
    )


def _citation(finding: dict[str, object]) -> dict[str, object]:
    """What a reader needs to check a cited finding."""
    return {name: finding[name] for name in ("id", "sql", "tables", "row_count", "truncated") if name in finding}
