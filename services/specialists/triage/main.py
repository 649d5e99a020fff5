"""Composition root of triage."""

from __future__ import annotations

from functools import partial

from contracts.cards import TRIAGE, specialists
from contracts.events.router import ChooseAgent
from services.specialists.models import build_model
from services.specialists.triage.agent import build_agent
from services.specialists.triage.handlers import choose_agent
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.settings import WorkSettings
from switchyard.runtime.core.task import Handler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.process import Process, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve triage."""

    async def build(process: Process, artefacts: Artefacts) -> dict[type[Contract], Handler]:
        model = build_model(ModelSettings(), policy_version="triage/2")
        await process.keep_warm(model)
        agent = build_agent(model, specialists())
        return {ChooseAgent: partial(choose_agent, artefacts=artefacts, model=model, agent=agent)}

    await serve_agent(TRIAGE.name, WorkSettings(), build, opens=TRIAGE.opens)
