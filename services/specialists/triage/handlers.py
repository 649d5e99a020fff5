"""What triage does with a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.events.router import ChooseAgent
from contracts.events.triage import AgentChosen, NoAgentFits
from latency_failover import FailoverModel
from services.specialists.triage.agent import NONE, PROMPT_VERSION, Choice, choose
from switchyard.runtime.core.task import Reply, Task
from switchyard.runtime.models.clients import model_call, spending
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

MARGIN_MS = 1_000


async def choose_agent(
    task: Task[ChooseAgent], *, artefacts: Artefacts, model: FailoverModel, agent: Agent[None, Choice]
) -> Reply:
    """Say which specialist fits the question, or that none does.

    The model's reason may repeat the question, which is personal, so it does not go into the event.
    """
    question = (await artefacts.read(task, task.payload.question)).decode()
    async with spending(model, task, margin_ms=MARGIN_MS) as decisions:
        choice = await choose(agent, question)
    payload = NoAgentFits() if choice.agent == NONE else AgentChosen(agent=choice.agent)
    return Reply(payload, model_call=model_call(decisions, prompt_version=PROMPT_VERSION))
