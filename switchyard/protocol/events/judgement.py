"""What an observer says about a case that has ended: a mark beside its outcome, which it never changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from switchyard.protocol.fields import Contract, Name, Sha256

JudgedVerdict = Literal["pass", "fail"]


class CriterionScore(Contract):
    """One criterion of a rubric, without the judge's words."""

    name: Name
    score: Annotated[int, Field(ge=0, le=100)]
    floor: Annotated[int, Field(ge=0, le=100)] = Field(description="Below it the case fails, with any other scores.")


class CaseJudged(Contract):
    """A model judged a sampled case after its end. A child of the ending. It is an opinion and decides nothing."""

    verdict: JudgedVerdict
    score: Annotated[int, Field(ge=0, le=10_000)] = Field(description="The rubric's weighted mean, in basis points.")
    rubric: Sha256 = Field(description="Of the rubric and its prompt. The envelope's bundle has the whole judge.")
    criteria: tuple[CriterionScore, ...] = Field(min_length=1)
