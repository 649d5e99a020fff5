"""Composition root of the drafter."""

from __future__ import annotations

from functools import partial

from contracts.cards import DRAFTER_CARD
from contracts.catalogue import CATALOGUE
from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims, opt_out_url
from contracts.documents.wording import load_wording
from contracts.events.router import DraftAnswer, DraftEmail
from services.drafter.agent import ANSWER_PROMPT, build_answer_agent
from services.drafter.email import EMAIL_PROMPT, build_email_agent
from services.drafter.handlers import draft_answer, draft_email
from services.drafter.settings import DrafterSettings
from services.models import build_agent_model
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.crypto.tokens import SignedTokens
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts


async def run() -> None:
    """Serve the drafter. Raises `WordingError` at start if the file of the wording is invalid."""

    settings = DrafterSettings()
    wording = load_wording(settings.wording)

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        model = build_agent_model("drafter", ModelSettings(), policy_version="drafter/2")
        await process.connect_model(model)
        process.configure(prompts={"answer": ANSWER_PROMPT, "email": EMAIL_PROMPT}, wording=wording)
        tokens = SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys=settings.optout_keys)
        return {
            DraftAnswer: partial(draft_answer, artefacts=artefacts, model=model, agent=build_answer_agent(model)),
            DraftEmail: partial(
                draft_email,
                artefacts=artefacts,
                model=model,
                agent=build_email_agent(model),
                opt_out_link=lambda claims: opt_out_url(settings.optout_url, tokens.sign(claims)),
                clock=process.clock,
                wording=wording,
            ),
        }

    await serve_agent(CATALOGUE, DRAFTER_CARD, settings, build)
