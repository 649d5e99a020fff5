"""What a run of a suite measured, as a file that later runs are compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

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
    """What must never happen: each fails the gate, with any score."""
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


@dataclass(frozen=True)
class EvalRun:
    """Which model is measured, how often each case is run, and how many cases at once."""

    model: str
    runs: int = 1
    concurrency: int = 4

    async def score(self, cases: Iterable[Any], attempt: Callable[[Any], Awaitable[str]]) -> tuple[CaseResult, ...]:
        """Run every case. `attempt` returns what went wrong with one run of a case, or empty text."""
        slots = asyncio.Semaphore(self.concurrency)

        async def one(case: Any) -> CaseResult:
            notes = []
            for _ in range(self.runs):
                async with slots:
                    notes.append(await attempt(case))
            failed = [note for note in notes if note]
            note = failed[-1] if failed else ""
            return CaseResult(id=case.id, passes=self.runs - len(failed), runs=self.runs, note=note)

        return tuple(await asyncio.gather(*map(one, cases)))


def share(part: float, whole: float) -> float:
    """A rate; 0 of nothing."""
    return round(part / whole, 6) if whole else 0.0
