"""What the router emits: commands, and the decision that a case is over."""

from __future__ import annotations

from pydantic import Field

from contracts.events.desk import Outcome
from contracts.fields import Artefact, Code, Contract, Name, Sentence


class ChooseAgent(Contract):
    """To triage: say which specialist fits the question."""

    question: Artefact


class AnswerQuestion(Contract):
    """To a specialist: find what answers the question."""

    question: Artefact


class DraftAnswer(Contract):
    """To the drafter: write the answer from the findings, and cite them."""

    question: Artefact
    findings: tuple[Artefact, ...]


class CloseCase(Contract):
    """To the desk: the case is over, with this outcome."""

    outcome: Outcome
    code: Code
    message: Sentence = ""
    field: str | None = Field(default=None, max_length=200)
    remedy: Sentence | None = None
    node: Name | None = None
    answer: Artefact | None = None
