"""What a run of a suite measured, as a file that later runs are compared with."""

from __future__ import annotations

from math import comb
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CaseResult(BaseModel):
    """How one case went over all runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    passes: int
    runs: int = Field(ge=1)
    note: str = ""
    """What the last failing run did instead, or empty."""

    @property
    def score(self) -> float:
        """Share of runs that passed."""
        return self.passes / self.runs


class SuiteResult(BaseModel):
    """One suite on one model."""

    model_config = ConfigDict(frozen=True)

    suite: str
    model: str
    deterministic: bool
    """The same code gives the same answers: true for the scripted simulator, never for a model."""
    prompt_version: str
    dataset_version: str
    rates: dict[str, float]
    violations: tuple[str, ...] = ()
    """What must never happen, whatever the score: each fails the gate."""
    cases: tuple[CaseResult, ...]

    @property
    def accuracy(self) -> float:
        """Mean score over the cases."""
        return sum(case.score for case in self.cases) / len(self.cases)

    def pass_all(self, k: int) -> float:
        """pass^k: the chance that k runs of a case, drawn from its runs, all pass; mean over the cases."""
        return sum(comb(case.passes, k) / comb(case.runs, k) for case in self.cases) / len(self.cases)

    def write(self, path: Path) -> None:
        """Write it as JSON, one stable text for one result."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> SuiteResult:
        """Read what `write` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
