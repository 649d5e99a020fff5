"""Judges a case that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from services.judge.agent import CASE_JUDGE_PROMPT_VERSION, RUBRICS, build_case_prompt, score_answer
from services.judge.evidence import EvidenceReader
from services.judge.sampling import playbook_name
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Artefact
from switchyard.runtime.core.task import Task, TaskResult
from switchyard.runtime.models.clients import MeteredModel, model_budget, model_call
from switchyard.runtime.storage.artefacts import Artefacts

if TYPE_CHECKING:
    from pydantic_ai import Agent

log = structlog.get_logger(__name__)
JUDGE_MARGIN_MS = 2_000


@dataclass(frozen=True)
class CaseJudges:
    """The model, and the agent of each playbook that has a rubric."""

    model: MeteredModel
    agents: Mapping[str, Agent[None, Any]]


async def judge_case(
    task: Task[CaseClosed], *, artefacts: Artefacts, evidence: EvidenceReader, judges: CaseJudges
) -> TaskResult:
    """Mark the answer against question and findings. The marks are in the event, no text is."""
    case = await evidence.read(task)

    async def read(artefact: Artefact) -> str:
        return (await artefacts.read_placed(task, artefact, case.places)).decode(errors="replace")

    findings = [await read(each) for each in case.findings]
    prompt = build_case_prompt(await read(case.question), findings, await read(case.answer))
    playbook = playbook_name(task.envelope.playbook_version)
    async with model_budget(judges.model, task, margin_ms=JUDGE_MARGIN_MS) as decisions:
        scores = await score_answer(judges.agents[playbook], prompt)
    judged = RUBRICS[playbook].mark(scores)
    log.info("case.judged", verdict=judged.verdict, score=judged.score)
    return TaskResult(
        judged,
        model_call=model_call(decisions, prompt_version=CASE_JUDGE_PROMPT_VERSION),
        rubric_score=judged.score,
    )
