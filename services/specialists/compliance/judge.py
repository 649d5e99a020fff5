"""The judge that scores the rubric: prompt, output model, factory. It can only stop emails that the rules passed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_ai import Agent, UnexpectedModelBehavior
from pydantic_ai.models import Model

from contracts.documents.reviews import RubricCriterion
from services.specialists.compliance.email_text.message import ParsedEmail
from services.specialists.compliance.pack import RulePack
from services.specialists.compliance.rules.rule import RuleInput
from switchyard.runtime.core.errors import RetryableTaskError

JUDGE_PROMPT = (Path(__file__).parent / "prompts" / "judge.md").read_text(encoding="utf-8")
JUDGE_PROMPT_VERSION = f"judge/{hashlib.sha256(JUDGE_PROMPT.encode()).hexdigest()[:12]}"
RETRIES = 2
"""How often the model is asked again after a judgement that cannot be parsed."""


class CriterionMark(BaseModel):
    """A score and its reason."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    score: Annotated[int, Field(ge=0, le=100, description="A whole number from 0 to 100.")]
    reason: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\r\n]+$", description="One line.")]


class Judgement(BaseModel):
    """A mark for every criterion, and nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    accuracy: CriterionMark
    not_misleading: CriterionMark
    respectful: CriterionMark
    clear_options: CriterionMark
    fits_history: CriterionMark
    readable: CriterionMark


def build_judge_agent(model: Model[Any], prompt: str = JUDGE_PROMPT) -> Agent[None, Judgement]:
    """The judge on this model."""
    return Agent(
        model, output_type=Judgement, name="compliance_judge", instructions=prompt, retries={"output": RETRIES}
    )


async def judge_email(agent: Agent[None, Judgement], situation: RuleInput, message: ParsedEmail) -> Judgement:
    """Score a draft. Raises `RetryableTaskError` for a judgement that cannot be parsed, which is never a pass."""
    try:
        result = await agent.run(build_judge_prompt(situation, message))
    except UnexpectedModelBehavior as error:
        raise RetryableTaskError(
            "bad_judgement", "the judgement is incomplete", remedy="see the judge's prompt and the compliance evals"
        ) from error
    return result.output


def build_judge_prompt(situation: RuleInput, message: ParsedEmail) -> str:
    """The user message. Angle brackets in data are escaped, so that no text can close its element."""
    facts = situation.facts
    account = {
        "first_name": facts.consumer.first_name,
        "ledger": facts.ledger.model_dump(mode="json", exclude_none=True),
        "history": facts.history.model_dump(mode="json", exclude_none=True),
        "agency": facts.agency.name,
        "notes": facts.notes,
        "consumer_reply": facts.consumer_reply,
    }
    email = {"subject": message.subject, "body": message.text}
    return (
        f"<account>{_escape_markup(account)}</account>\n<purpose>{_escape_markup(situation.purpose)}</purpose>\n"
        f"<email>{_escape_markup(email)}</email>"
    )


def _escape_markup(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")


def criteria(judgement: Judgement, pack: RulePack) -> tuple[RubricCriterion, ...]:
    """The marks with the pack's weights and floors."""
    marks = judgement.model_dump()
    return tuple(RubricCriterion(**rule.model_dump(), **marks[rule.name]) for rule in pack.rubric)


def rubric_score(marks: tuple[RubricCriterion, ...]) -> int:
    """The weighted mean in basis points: weights add up to 100, scores range to 100."""
    return sum(mark.weight * mark.score for mark in marks)


def below_floor(marks: tuple[RubricCriterion, ...]) -> tuple[RubricCriterion, ...]:
    """The criteria under their floor: an average would hide them."""
    return tuple(mark for mark in marks if mark.score < mark.floor)
