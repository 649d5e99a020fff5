"""Composition root of the well-data specialist."""

from __future__ import annotations

from functools import partial

from contracts.cards import WELL_DATA_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import AnswerQuestion
from services.models import build_agent_model
from services.specialists.well_data.agent import WELL_PROMPT, build_well_agent
from services.specialists.well_data.handlers import answer_question
from services.specialists.well_data.settings import WellDataSettings
from services.specialists.well_data.store import WellStore
from switchyard.identity.client_settings import open_identity_client
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the specialist."""
    settings = WellDataSettings()

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        model = build_agent_model("well_data", ModelSettings(), policy_version="well_data/1")
        await process.connect_model(model)
        process.configure(prompts={"choose": WELL_PROMPT})
        handler = partial(
            answer_question,
            artefacts=artefacts,
            model=model,
            agent=build_well_agent(model, WELL_DATA_CARD.tools),
            store=WellStore(process.pool),
            identity=await open_identity_client(process, settings),
            audience=settings.wells_audience,
            basins=settings.well_basins,
        )
        return {AnswerQuestion: handler}

    await serve_agent(CATALOGUE, WELL_DATA_CARD, settings, build)
