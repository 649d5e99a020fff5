"""The judge's agent: prompt, output model, factory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from services.judge.rubric import ASSIST_CRITERIA, CaseRubric
from switchyard.runtime.core.errors import RetryableTaskError

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.models import Model

CASE_JUDGE_PROMPT = (Path(__file__).parent / "prompts" / "case.md").read_text(encoding="utf-8")
CASE_JUDGE_PROMPT_VERSION = f"case/{hashlib.sha256(CASE_JUDGE_PROMPT.encode()).hexdigest()[:12]}"
RUBRICS: Mapping[str, CaseRubric] = {"assist": CaseRubric(CASE_JUDGE_PROMPT, ASSIST_CRITERIA)}
"""By playbook. An email is judged before it is sent, by compliance."""

OUTPUT_RETRIES = 1
MAX_FINDINGS_CHARS = 40_000
"""Of all findings that the judge sees; the text says where it was cut."""


def build_case_judge(model: Model[Any], rubric: CaseRubric) -> Agent[None, BaseModel]:
    """The judge on this model: its output has a score for each criterion of the rubric, and nothing else."""
    from pydantic_ai import Agent

    fields: dict[str, Any] = {each.name: (Annotated[int, Field(ge=0, le=100)], ...) for each in rubric.criteria}
    output = create_model("CaseScores", __config__=ConfigDict(strict=True, extra="forbid", frozen=True), **fields)
    return Agent(
        model,
        output_type=output,
        name="case_judge",
        instructions=rubric.prompt,
        retries={"output": OUTPUT_RETRIES},
    )


async def score_answer(agent: Agent[None, BaseModel], prompt: str) -> dict[str, int]:
    """A score per criterion. Raises `RetryableTaskError` if the model gives none."""
    from pydantic_ai import UnexpectedModelBehavior

    try:
        result = await agent.run(prompt)
    except UnexpectedModelBehavior as error:
        remedy = "see the judge's prompt, or choose another model for it"
        raise RetryableTaskError("bad_judgement", "the model did not score each criterion", remedy=remedy) from error
    return result.output.model_dump()


def build_case_prompt(question: str, findings: Sequence[str], answer: str) -> str:
    """The user message. Angle brackets in data are escaped, so that no text can close its element."""
    shown = "\n".join(findings)
    if len(shown) > MAX_FINDINGS_CHARS:
        shown = f"{shown[:MAX_FINDINGS_CHARS]} (cut here)"
    parts = {"asked": question, "found": shown, "answered": answer}
    return "\n".join(f"<{name}>{_escape_angles(text)}</{name}>" for name, text in parts.items())


def _escape_angles(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
