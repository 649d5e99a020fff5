"""The rubric by which an answered case is judged: criteria with weights and floors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from switchyard.protocol.bundles import content_digest
from switchyard.protocol.events.judgement import CaseJudged, CriterionScore


@dataclass(frozen=True)
class Criterion:
    """What is scored from 0 to 100, as the prompt says. Weights of a rubric add up to 100; below `floor` the case
    fails."""

    name: str
    weight: int
    floor: int


@dataclass(frozen=True)
class CaseRubric:
    """The prompt, which explains each criterion, and how its scores become a verdict."""

    prompt: str
    criteria: tuple[Criterion, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the prompt, the criteria, their weights and floors."""
        return content_digest({"prompt": self.prompt, "criteria": [vars(each) for each in self.criteria]})

    def mark(self, scores: Mapping[str, int]) -> CaseJudged:
        """The judgement that these scores are. Raises `KeyError` without a score for each criterion."""
        marks = tuple(
            CriterionScore(name=each.name, score=scores[each.name], floor=each.floor) for each in self.criteria
        )
        return CaseJudged(
            verdict="pass" if all(mark.score >= mark.floor for mark in marks) else "fail",
            score=sum(each.weight * scores[each.name] for each in self.criteria),
            rubric=self.digest,
            criteria=marks,
        )


ASSIST_CRITERIA = (Criterion("responsive", 35, 60), Criterion("grounded", 45, 80), Criterion("candid", 20, 60))
