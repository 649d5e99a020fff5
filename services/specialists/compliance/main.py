"""Composition root of compliance."""

from __future__ import annotations

from functools import partial
from typing import Any

from contracts.cards import COMPLIANCE_CARD
from contracts.catalogue import CATALOGUE
from contracts.documents.wording import load_wording
from contracts.events.router import CheckContact, CheckSending, ReviewEmail
from services.models import build_agent_model
from services.specialists.compliance.handlers import check_contact, check_sending, review_email
from services.specialists.compliance.judge import JUDGE_PROMPT, build_judge_agent
from services.specialists.compliance.pack import released_packs
from services.specialists.compliance.settings import ComplianceSettings
from services.specialists.compliance.store import VerdictStore
from switchyard.protocol.bundles import content_digest
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.models.clients import ModelSettings
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts

POOL_SIZE = 2
"""Connections besides those of the inbox: a verdict is read or written in single statements."""


async def run() -> None:
    """Serve compliance. Raises `PackError` or `WordingError` at start if a file is invalid."""
    settings = ComplianceSettings()
    packs = released_packs(settings.rule_packs, load_wording(settings.wording))

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        pool = await process.connect(settings.work_db_url, schema=COMPLIANCE_CARD.name, size=POOL_SIZE)
        verdicts, model = (
            VerdictStore(pool),
            build_agent_model("compliance", ModelSettings(), policy_version="compliance/2"),
        )
        await process.connect_model(model)
        process.configure(
            prompts={"judge": JUDGE_PROMPT}, rule_packs={pack.version: content_digest(pack) for pack in packs}
        )
        bound: dict[str, Any] = {"artefacts": artefacts, "verdicts": verdicts, "clock": process.clock, "packs": packs}
        return {
            CheckContact: partial(check_contact, **bound),
            ReviewEmail: partial(
                review_email, **bound, model=model, agent=build_judge_agent(model), opt_out_base=settings.optout_url
            ),
            CheckSending: partial(check_sending, **bound),
        }

    await serve_agent(CATALOGUE, COMPLIANCE_CARD, settings, build)
