"""The rubric's judge: prompt, output model, factory. Its scores can only stop an email that the rules let pass."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_ai import Agent, UnexpectedModelBehavior
from pydantic_ai.models import Model

from contracts.documents.reviews import Criterion
from services.specialists.compliance.email_text.message import Message
from services.specialists.compliance.pack import CRITERIA, RulePack
from services.specialists.compliance.rules.rule import Situation
from switchyard.runtime.core.errors import Retryable

PROMPT = (Path(__file__).parent / "prompts" / "judge.md").read_text(encoding="utf-8")
PROMPT_VERSION = f"judge/{hashlib.sha256(PROMPT.encode()).hexdigest()[:12]}"
RETRIES = 2
"""How often a judgement that cannot be parsed goes back to the model."""


class Mark(BaseModel):
    """A score and why."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    score: Annotated[int, Field(ge=0, le=100, description="A whole number from 0 to 100.")]
    reason: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\r\n]+$", description="One line.")]


class Judgement(BaseModel):
    """A mark for each criterion: all of them, and nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    accuracy: Mark
    not_misleading: Mark
    respectful: Mark
    clear_options: Mark
    fits_history: Mark
    readable: Mark


def build_agent(model: Model[Any]) -> Agent[None, Judgement]:
    """The judge over a model."""
    return Agent(
        model, output_type=Judgement, name="compliance_judge", instructions=PROMPT, retries={"output": RETRIES}
    )


async def judge(agent: Agent[None, Judgement], situation: Situation, message: Message) -> Judgement:
    """Judge a draft. Raises `Retryable` for a judgement that cannot be parsed: it is never a pass."""
    try:
        result = await agent.run(prompt(situation, message))
    except UnexpectedModelBehavior as error:
        raise Retryable(
            "bad_judgement",
            "the judge gave no complete judgement",
            remedy="see the judge's prompt and the compliance evals",
        ) from error
    return result.output


def prompt(situation: Situation, message: Message) -> str:
    """The user message. Angle brackets in data are escaped, so that no text can close the element it stands in."""
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
        f"<account>{_inert(account)}</account>\n<purpose>{_inert(situation.purpose)}</purpose>\n"
        f"<email>{_inert(email)}</email>"
    )


def _inert(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")


def criteria(judgement: Judgement, pack: RulePack) -> tuple[Criterion, ...]:
    """The marks beside the pack's weights and floors."""
    marks: dict[str, Mark] = {name: getattr(judgement, name) for name in CRITERIA}
    return tuple(
        Criterion(
            name=rule.name,
            score=marks[rule.name].score,
            floor=rule.floor,
            weight=rule.weight,
            reason=marks[rule.name].reason,
        )
        for rule in pack.rubric
    )


def rubric_score(marks: tuple[Criterion, ...]) -> int:
    """The weighted mean in basis points: weights add up to 100, scores go to 100."""
    return sum(mark.weight * mark.score for mark in marks)


def below_floor(marks: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """The criteria that fail, because an average hides failures."""
    return tuple(mark for mark in marks if mark.score < mark.floor)
