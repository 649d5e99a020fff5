"""Handles ChooseAgent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen, NoAgentFits
from latency_failover import FailoverModel
from services.specialists.triage.agent import NO_AGENT, TRIAGE_PROMPT_VERSION, AgentChoice, choose_specialist
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

TRIAGE_MARGIN_MS = 1_000


async def choose_agent(
    task: Task[ChooseAgent], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[None, AgentChoice]
) -> TaskResult:
    """Choose the specialist for a question, or none.

    The model's reason may repeat the question, which is personal data, so it does not go into the event.
    """
    question = (await artefacts.read(task, task.payload.question)).decode()
    async with model_budget(model, task, margin_ms=TRIAGE_MARGIN_MS) as decisions:
        choice = await choose_specialist(agent, question)
    payload = NoAgentFits() if choice.agent == NO_AGENT else AgentChosen(agent=choice.agent)
    return TaskResult(payload, model_call=model_call(decisions, prompt_version=TRIAGE_PROMPT_VERSION))
