"""What the desk emits: cases open and close here, and nowhere else."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.fields import Artefact, Code, Contract, Identifier, Name, Sentence, TypeName

Outcome = Literal["answered", "no_agent", "failed", "expired", "cancelled", "rejected"]


class CaseOpened(Contract):
    """A submission became a case. The first event of every chain."""

    playbook: Name
    question: Artefact
    agent: Name | None = None
    submitted_by: Identifier = Field(description="The bus source that submitted it.")


class CaseClosed(Contract):
    """The case's one terminal event: the first outcome wins."""

    outcome: Outcome
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = Field(default=None, description="Where it failed.")
    answer: Artefact | None = None


class SubmissionRejected(Contract):
    """A submission that never became a case: the only event of its chain."""

    outcome: Literal["rejected"] = "rejected"
    code: Code
    message: Sentence
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    type: TypeName = "CaseSubmitted"
    submitted_by: Identifier
