"""Handles ChooseAgent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen, AgentsChosen, NoAgentFits
from latency_failover import FailoverModel
from services.specialists.questions import read_memory
from services.specialists.triage.agent import TRIAGE_PROMPT_VERSION, AgentChoice, choose_specialist
from switchyard.protocol.branches import PlannedBranch
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

TRIAGE_MARGIN_MS = 1_000


async def choose_agent(
    task: Task[ChooseAgent], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[int, AgentChoice]
) -> TaskResult:
    """Choose the specialist for a question, several with a part each, or none.

    The model's reason may repeat the question, which is personal data, so it does not go into the event; the parts are
    sealed like the question.
    """
    question = (await artefacts.read(task, task.payload.question)).decode()
    async with model_budget(model, task, margin_ms=TRIAGE_MARGIN_MS) as decisions:
        choice = await choose_specialist(
            agent, question, at_most=task.payload.at_most or 1, memory=await read_memory(task, artefacts)
        )
    payload: Contract = AgentChosen(agent=choice.agent) if choice.agents else NoAgentFits()
    if choice.parts:
        branches = [
            PlannedBranch(
                agent=part.agent,
                part=await artefacts.write(task, "question", part.question.encode(), media_type="text/plain"),
            )
            for part in choice.parts
        ]
        payload = AgentsChosen(branches=tuple(branches), mode=choice.mode)
    return TaskResult(payload, model_call=model_call(decisions, prompt_version=TRIAGE_PROMPT_VERSION))
