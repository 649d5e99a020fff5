"""What the unit converter does with a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.events.router import AnswerQuestion
from contracts.events.specialists import FindingsReady
from latency_failover import FailoverModel
from services.specialists.questions import read_question
from services.specialists.unit_converter.agent import PROMPT_VERSION, Reading, convert, read
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

MARGIN_MS = 1_000
"""Of the task's time limit, kept for sealing and storing the result."""


async def answer_question(
    task: Task[AnswerQuestion], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[str, Reading]
) -> TaskResult:
    """Convert the amount that the question names."""
    question = await read_question(task, artefacts)
    async with model_budget(model, task, margin_ms=MARGIN_MS) as decisions:
        reading = await read(agent, question)
    findings = convert(reading)
    found = await artefacts.write(task, "findings", findings.model_dump_json().encode(), media_type="application/json")
    return TaskResult(
        FindingsReady(findings=(found,), rows=findings.row_count),
        model_call=model_call(decisions, prompt_version=PROMPT_VERSION),
    )
