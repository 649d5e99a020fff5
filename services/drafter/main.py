"""Composition root of the drafter."""

from __future__ import annotations

from functools import partial

from contracts.cards import DRAFTER
from contracts.documents.opt_out import PURPOSE, OptOut
from contracts.events.router import DraftAnswer, DraftEmail
from services.drafter.agent import build_agent
from services.drafter.email import build_email_agent
from services.drafter.handlers import OptOutLinks, draft_answer, draft_email
from services.drafter.models import build_model
from services.drafter.settings import DrafterSettings
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import Handler
from switchyard.runtime.crypto.tokens import SignedTokens, read_keys
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.process import Process, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run_drafter() -> None:
    """Serve the drafter."""

    settings = DrafterSettings()

    async def build(process: Process, artefacts: Artefacts) -> dict[type[Contract], Handler]:
        model = build_model(ModelSettings())
        await process.keep_warm(model)
        tokens = SignedTokens(OptOut, purpose=PURPOSE, keys=read_keys(settings.optout_keys))
        return {
            DraftAnswer: partial(draft_answer, artefacts=artefacts, model=model, agent=build_agent(model)),
            DraftEmail: partial(
                draft_email,
                artefacts=artefacts,
                model=model,
                agent=build_email_agent(model),
                links=OptOutLinks(tokens, settings.optout_url),
                clock=process.clock,
            ),
        }

    await serve_agent(DRAFTER.name, settings, build, opens=DRAFTER.opens)
