"""Composition root of the judge."""

from __future__ import annotations

from functools import partial

from contracts.cards import JUDGE_CARD
from contracts.catalogue import CATALOGUE
from services.judge.agent import RUBRICS, build_case_judge
from services.judge.evidence import EvidenceReader
from services.judge.sampling import choose_case
from services.judge.settings import JudgeSettings
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Contract
from switchyard.runtime.core.task import TaskHandler
from switchyard.runtime.process.agent import AgentProcess, serve_agent
from switchyard.runtime.storage.artefacts import Artefacts

POOL_SIZE = 2
"""Connections besides those of the inbox: evidence is read in single statements."""


async def run() -> None:
    """Serve the judge. Without a rate it loads no model, and deletes the copies that it gets."""
    settings = JudgeSettings()

    async def build(process: AgentProcess, artefacts: Artefacts) -> dict[type[Contract], TaskHandler]:
        if not any(each.rate for each in settings.judge_rates):
            return {}
        # Only a judge with cases needs a model's libraries.
        from services.judge.handlers import CaseJudges, judge_case
        from services.models import build_agent_model
        from switchyard.runtime.models.clients import ModelSettings

        pool = await process.connect(settings.work_db_url, schema=JUDGE_CARD.name, size=POOL_SIZE)
        model = build_agent_model("judge", ModelSettings(), policy_version="judge/1")
        await process.connect_model(model)
        process.configure(
            prompts={playbook: rubric.prompt for playbook, rubric in RUBRICS.items()},
            rubrics={playbook: rubric.digest for playbook, rubric in RUBRICS.items()},
        )
        judges = CaseJudges(model, {name: build_case_judge(model, rubric) for name, rubric in RUBRICS.items()})
        return {CaseClosed: partial(judge_case, artefacts=artefacts, evidence=EvidenceReader(pool), judges=judges)}

    await serve_agent(CATALOGUE, JUDGE_CARD, settings, build, choose=partial(choose_case, rates=settings.judge_rates))
