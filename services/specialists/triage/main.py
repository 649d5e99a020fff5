"""Composition root of triage."""

from __future__ import annotations

from functools import partial

from contracts.cards import AGENT_CARDS, TRIAGE_CARD
from contracts.catalogue import CATALOGUE
from contracts.events.router import ChooseAgent
from services.models import build_agent_model
from services.specialists.triage.agent import TRIAGE_PROMPT, build_triage_agent
from services.specialists.triage.handlers import choose_agent
from switchyard.app.cards import specialist_cards
from switchyard.protocol.bundles import content_digest
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve triage."""

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        cards = specialist_cards(AGENT_CARDS.values())
        model = build_agent_model("triage", ModelSettings(), policy_version="triage/2")
        await process.connect_model(model)
        process.configure(prompts={"choose": TRIAGE_PROMPT}, cards={card.name: content_digest(card) for card in cards})
        agent = build_triage_agent(model, cards)
        return {ChooseAgent: partial(choose_agent, artefacts=artefacts, model=model, agent=agent)}

    await serve_agent(CATALOGUE, TRIAGE_CARD, WorkSettings(), build)
