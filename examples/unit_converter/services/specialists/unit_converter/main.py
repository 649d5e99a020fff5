"""Composition root of the unit converter."""

from __future__ import annotations

from functools import partial

from contracts.cards import UNIT_CONVERTER_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from services.models import build_agent_model
from services.specialists.unit_converter.agent import PROMPT, build_agent
from services.specialists.unit_converter.handlers import answer_question
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the unit converter."""

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        model = build_agent_model("unit_converter", ModelSettings(), policy_version="unit_converter/1")
        await process.connect_model(model)
        process.configure(prompts={"read": PROMPT})
        handler = partial(answer_question, artefacts=artefacts, model=model, agent=build_agent(model))
        return {AnswerQuestion: handler}

    card = UNIT_CONVERTER_CARD
    await serve_agent(CATALOGUE, card, WorkSettings(), build)
