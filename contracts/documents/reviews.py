"""The sealed artefact `review`: what compliance found, with its evidence. The drafter revises a draft from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.events.compliance import RuleId, VerdictKind
from switchyard.protocol.fields import BasisPoints, Code, Contract, PackVersion, Sentence, Sha256, Timestamp

EvidenceText = Annotated[str, Field(max_length=600)]
"""What was found and where. May quote the person or the draft: that is why the review is sealed."""

Salt = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""16 random bytes, in hexadecimal."""

ReviewStage = Literal["contact", "email", "sending"]
Score = Annotated[int, Field(ge=0, le=100)]


class RuleFinding(Contract):
    """One rule's verdict with its evidence."""

    rule: RuleId
    name: Sentence
    citation: Sentence
    verdict: VerdictKind
    evidence: tuple[EvidenceText, ...] = ()
    revision_instructions: tuple[Sentence, ...] = Field(
        default=(), description="What to write instead; empty if writing cannot help."
    )
    input_hash: Sha256


class RubricCriterion(Contract):
    """One criterion of the rubric, as a model judged it."""

    name: Sentence
    score: Score
    floor: Score = Field(description="Below it the draft fails, even if every other score is high.")
    weight: Score = Field(description="Of 100.")
    reason: EvidenceText


class Review(Contract):
    """A whole review. Version 1."""

    version: Literal["1"] = "1"
    stage: ReviewStage
    pack: PackVersion
    reviewed_at: Timestamp
    content_sha256: Sha256 | None = Field(default=None, description="Of the email's plain bytes.")
    findings: tuple[RuleFinding, ...]
    rubric: tuple[RubricCriterion, ...] = Field(
        default=(), description="Empty if a rule blocked: then nothing was judged."
    )
    rubric_score: BasisPoints | None = None
    salt: Salt | None = Field(
        default=None,
        description="Fresh for each review and nowhere else: who may open this can check the findings' `input_hash`.",
    )
    approval: tuple[Code, ...] = Field(default=(), description="Every reason why a person must approve it.")

    def required_changes(self) -> tuple[str, ...]:
        """What the drafter has to change: the rules' remedies, then the criteria below their floor, weakest first."""
        rules = [
            f"{finding.rule} {finding.name}: {what}"
            for finding in self.findings
            for what in finding.revision_instructions
        ]
        weak = sorted((each for each in self.rubric if each.score < each.floor), key=lambda each: each.score)
        return (*rules, *(f"{each.name} scored {each.score}, needs {each.floor}: {each.reason}" for each in weak))
