"""An agent with one prompt: what its file needs beside the prompt, the output model and a handler per command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from switchyard.app.cards import AgentCard
from switchyard.protocol.catalogue import Catalogue
from switchyard.protocol.fields import Artefact, Contract, ModelCall
from switchyard.runtime.core.errors import RetryableTaskError
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import ModelSettings, build_failover_model, model_budget, model_call
from switchyard.runtime.models.prompts import as_data, prompt_version
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.models import Model

    from latency_failover import FailoverModel

OutputT = TypeVar("OutputT")
BuildAgent = Callable[["Model[Any]"], "Agent[None, Any]"]
PickModel = Callable[[ModelSettings], "Model[Any]"]
MARGIN_MS = 1_000
"""Of the task's time limit, kept for sealing and storing the result."""


@dataclass(frozen=True)
class PromptedAgent(Generic[OutputT]):
    """What a handler asks, and where it stores what it made."""

    artefacts: Artefacts
    model: FailoverModel
    agent: Agent[None, OutputT]
    prompt: str

    async def ask(self, task: Task[Contract], document: Artefact) -> tuple[OutputT, ModelCall | None]:
        """The model's output for a document of the task, and the record of the call for `TaskResult`.

        Raises `RetryableTaskError` if no model answered or none answered in the output's form, and
        `PermanentTaskError` if the document cannot be opened or the model policy permits no model.
        """
        from pydantic_ai import UnexpectedModelBehavior

        text = (await self.artefacts.read(task, document)).decode()
        async with model_budget(self.model, task, margin_ms=MARGIN_MS) as decisions:
            try:
                result = await self.agent.run(as_data(text))
            except UnexpectedModelBehavior as error:
                raise RetryableTaskError(
                    "bad_output", "the model did not answer in the form that was asked", remedy="see the prompt"
                ) from error
        return result.output, model_call(decisions, prompt_version=prompt_version(self.prompt))


Handler = Callable[[Task[Any], PromptedAgent[Any]], Awaitable[TaskResult]]


async def serve_prompted_agent(
    catalogue: Catalogue,
    card: AgentCard,
    handlers: Mapping[type[Contract], Handler],
    build_agent: BuildAgent,
    *,
    prompt: str,
    primary: PickModel,
    fallback: PickModel,
) -> None:
    """Serve an agent on two models under the failover policy, with a handler for each command of its card."""

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Any], Any]:
        settings = ModelSettings()
        model = build_failover_model(primary(settings), fallback(settings), settings, version=f"{card.name}/1")
        await process.connect_model(model)
        process.configure(prompts={card.name: prompt})
        agent = PromptedAgent(artefacts, model, build_agent(model), prompt)
        return {command: partial(_handle, handler, agent) for command, handler in handlers.items()}

    await serve_agent(catalogue, card, WorkSettings(), build)


async def _handle(handler: Handler, agent: PromptedAgent[Any], task: Task[Any]) -> TaskResult:
    return await handler(task, agent)
