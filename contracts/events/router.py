"""What the router emits: the application's commands."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.documents.accounts import Purpose
from switchyard.protocol.branches import BranchResult
from switchyard.protocol.fields import (
    Artefact,
    Code,
    Contract,
    NonNegativeInt,
    PackVersion,
    Sentence,
    Sha256,
    Timestamp,
    Uuid,
)


class ChooseAgent(Contract):
    """To triage: say which specialist fits the question, or which specialists."""

    question: Artefact
    memory: Artefact | None = Field(default=None, description="What was said before, as data.")
    at_most: NonNegativeInt | None = Field(default=None, description="How many it may choose; one if absent.")


class AnswerQuestion(Contract):
    """To a specialist: find what answers the question, or its part of it."""

    question: Artefact | None = Field(default=None, description="The case's, if one specialist answers all of it.")
    part: Artefact | None = Field(default=None, description="The part that is this specialist's, in place of it.")
    findings: tuple[Artefact, ...] | None = Field(default=None, description="What earlier specialists found for it.")
    memory: Artefact | None = Field(default=None, description="What was said before, as data.")

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.question is None) == (self.part is None):
            raise PydanticCustomError("one_question", "should have either question or part, and not both")
        return self

    @property
    def asked(self) -> Artefact:
        """What the specialist is asked."""
        asked = self.part or self.question
        if asked is None:
            raise ValueError("a command without a question is not built")
        return asked


class DraftAnswer(Contract):
    """To the drafter: write the answer from the findings, and cite them."""

    question: Artefact
    findings: tuple[Artefact, ...] | None = Field(default=None, description="Of the one specialist that was asked.")
    memory: Artefact | None = Field(default=None, description="What was said before, as data.")
    results: tuple[BranchResult, ...] | None = Field(
        default=None, description="Of several specialists: each one's part, with its `FindingsReady` or its failure."
    )


class RecallMemory(Contract):
    """To memory: say what was said before that this turn may refer to."""

    question: Artefact
    turn: NonNegativeInt
    previous_case: Uuid | None = Field(default=None, description="The turn before, which is to be recalled first.")
    remember: Literal[True] | None = Field(default=None, description="Also across sessions: the tenant has consented.")


class KeepTurn(Contract):
    """To memory: this turn has been answered. The case does not wait for it."""

    question: Artefact
    answer: Artefact
    turn: NonNegativeInt


class CheckContact(Contract):
    """To compliance: may this person be contacted by email, about this, at all?"""

    account: Artefact
    purpose: Purpose


class DraftEmail(Contract):
    """To the drafter: write the email; with a review or instructions, revise the draft that they are about."""

    account: Artefact
    purpose: Purpose
    address_key: Sha256
    email: Artefact | None = None
    review: Artefact | None = None
    instructions: Sentence | None = Field(
        default=None, description="What an approver asked for who sent an earlier draft back."
    )


class ReviewEmail(Contract):
    """To compliance: does this email keep every rule, and how good is it?"""

    account: Artefact
    purpose: Purpose
    email: Artefact
    content_sha256: Sha256
    instructions: Sentence | None = Field(
        default=None, description="Of an approver who sent an earlier draft back: a person must agree to this one."
    )


class CheckSending(Contract):
    """To compliance: the rules about person and moment again, now, and that this content passed the current pack."""

    account: Artefact
    purpose: Purpose
    email: Artefact
    content_sha256: Sha256
    pack: PackVersion


class SendEmail(Contract):
    """To the email sender: send these bytes, once."""

    email: Artefact
    content_sha256: Sha256
    pack: PackVersion
    valid_until: Timestamp
    address_key: Sha256
    approval: Code | None = None
    approval_id: Uuid | None = None
