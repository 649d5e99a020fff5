"""Branches: parts of a case that several agents work on, and that the case manager joins."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from switchyard.protocol.fields import Artefact, Code, Contract, Name, NonNegativeInt, Sentence, Uuid

MAX_BRANCHES = 16
"""Of any playbook; each says how many it allows."""


class Branch(Contract):
    """The branch that an event belongs to."""

    gather: Uuid = Field(description="The event_id of the command that waits for the branches.")
    number: NonNegativeInt = Field(description="Its place among the branches, from 0.")


class PlannedBranch(Contract):
    """What one agent is to do."""

    agent: Name
    part: Artefact | None = Field(default=None, description="Its part of what is asked; without it, the whole.")


class FanOut(Contract):
    """Base of the event on which a case fans out: which agents do which part, and whether a later one needs the
    findings of an earlier one."""

    branches: tuple[PlannedBranch, ...] = Field(min_length=1, max_length=MAX_BRANCHES)
    mode: Literal["parallel", "sequence"] = "parallel"


class BranchFailure(Contract):
    """Why a branch has no result."""

    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None


LATE = BranchFailure(code="late", message="It had not ended when the time of its gather was over.")
"""Of a branch that a gather with a time limit is joined without."""


class BranchEnd(Contract):
    """How a branch ended: the payload of its last answer, or its failure."""

    answer: dict[str, JsonValue] | None = None
    failure: BranchFailure | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.answer is None) == (self.failure is None):
            raise PydanticCustomError("one_end", "should have either answer or failure, and not both")
        return self


class BranchResult(BranchEnd):
    """What became of one agent's part."""

    agent: Name
    part: Artefact | None = None


def split_tokens(tokens: int, branches: int) -> list[int]:
    """Each branch's share of a token budget: their sum is the budget. 0 means that none is set, so a budget of fewer
    tokens than branches gives each branch one."""
    share, rest = divmod(tokens, branches)
    return [max(min(tokens, 1), share + (number < rest)) for number in range(branches)]
