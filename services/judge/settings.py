"""Settings of the judge."""

from __future__ import annotations

from pydantic import Field, field_validator

from services.judge.agent import RUBRICS
from services.judge.sampling import JudgeRate
from switchyard.runtime.core.settings import WorkSettings


class JudgeSettings(WorkSettings):
    """The work database, the vault and the transport, and which cases are judged."""

    judge_rates: tuple[JudgeRate, ...] = Field(
        default=(),
        description="Which share of the answered cases a model judges after their end, as JSON: "
        '[{"tenant": "harbor-*", "playbook": "assist", "rate": 0.05}]; the first that fits counts. None by default: a '
        "judgement costs a model call of the tenant's budget.",
    )

    @field_validator("judge_rates")
    @classmethod
    def _have_rubrics(cls, rates: tuple[JudgeRate, ...]) -> tuple[JudgeRate, ...]:
        if unknown := sorted({each.playbook for each in rates} - RUBRICS.keys()):
            known = ", ".join(RUBRICS)
            raise ValueError(f"no rubric for the playbook {', '.join(unknown)}: name one of {known}, or write a rubric")
        return rates
