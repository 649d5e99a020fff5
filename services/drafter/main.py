"""Composition root of the drafter."""

from __future__ import annotations

from functools import partial

from contracts.cards import DRAFTER
from contracts.events.router import DraftAnswer
from contracts.fields import Contract
from runtime.artefacts import Artefacts
from runtime.models import ModelSettings
from runtime.process import Process, serve_agent
from runtime.task import Handler
from services.drafter.agent import build_agent
from services.drafter.handlers import draft_answer
from services.drafter.models import build_model
from services.drafter.settings import DrafterSettings


async def run_drafter() -> None:
    """Serve the drafter."""

    async def build(_: Process, artefacts: Artefacts) -> dict[type[Contract], Handler]:
        model = build_model(ModelSettings())
        return {DraftAnswer: partial(draft_answer, artefacts=artefacts, model=model, agent=build_agent(model))}

    await serve_agent(DRAFTER.name, DrafterSettings(), build, opens=DRAFTER.opens)
