"""What a run of a suite measured, as a file that later runs are compared with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from switchyard.evals.recording import ModelUsage, current_case


class CaseResult(BaseModel):
    """How one case went over all runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    passes: int
    runs: int = Field(ge=1)
    note: str = ""
    """What the last failing run did instead, or empty."""
    cluster: str = ""
    """Cases of one cluster ask the same in other words or roles, and count as one in the statistics; empty: its own."""

    @classmethod
    def once(cls, case_id: str, note: str) -> CaseResult:
        """A case that was run once: an empty note is a pass."""
        return cls(id=case_id, passes=0 if note else 1, runs=1, note=note)

    @property
    def share(self) -> Fraction:
        """Share of runs that passed."""
        return Fraction(self.passes, self.runs)

    def pass_all(self, k: int) -> Fraction:
        """pass^k: the chance that k runs, drawn from this case's runs, all pass."""
        return Fraction(comb(self.passes, k), comb(self.runs, k))


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
    """Shares, from 0 to 1."""
    counts: dict[str, float] = Field(default_factory=dict)
    """Other figures, such as tokens per answer."""
    violations: tuple[str, ...] = ()
    """What must never happen: each fails the gate, with any score."""
    cases: tuple[CaseResult, ...]
    usage: ModelUsage = ModelUsage()
    transcripts: dict[str, list[str]] = Field(default_factory=dict, exclude=True)
    """What was said in each case; for the report, in a file of its own."""

    @property
    def accuracy(self) -> float:
        """Mean score over the cases."""
        return float(sum(case.share for case in self.cases) / len(self.cases))

    def pass_all(self, k: int) -> float:
        """The mean of the cases' pass^k."""
        return float(sum(case.pass_all(k) for case in self.cases) / len(self.cases))

    def write(self, path: Path) -> None:
        """Write it as JSON, one stable text for one result; the transcripts, if any, go beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if self.transcripts:
            transcripts_file(path).write_text(json.dumps(self.transcripts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> SuiteResult:
        """Read what `write` wrote."""
        result = cls.model_validate_json(path.read_text(encoding="utf-8"))
        transcripts = transcripts_file(path)
        if not transcripts.exists():
            return result
        return result.model_copy(update={"transcripts": json.loads(transcripts.read_text(encoding="utf-8"))})


@dataclass(frozen=True)
class EvalRun:
    """Which model is measured, how often each case is run, and how many cases at once."""

    model: str
    runs: int = 1
    concurrency: int = 4
    progress: Callable[[], None] = lambda: None
    """Called after each attempt."""

    async def score(self, cases: Iterable[Any], attempt: Callable[[Any], Awaitable[str]]) -> tuple[CaseResult, ...]:
        """Run every case. `attempt` returns what went wrong with one run of a case, or empty text."""
        slots = asyncio.Semaphore(self.concurrency)

        async def one(case: Any) -> CaseResult:
            notes = []
            for _ in range(self.runs):
                async with slots:
                    token = current_case.set(case.id)
                    try:
                        notes.append(await attempt(case))
                    finally:
                        current_case.reset(token)
                        self.progress()
            failed = [note for note in notes if note]
            note = failed[-1] if failed else ""
            cluster = getattr(case, "cluster", "")
            return CaseResult(id=case.id, passes=self.runs - len(failed), runs=self.runs, note=note, cluster=cluster)

        return tuple(await asyncio.gather(*map(one, cases)))


def transcripts_file(path: Path) -> Path:
    """Where the transcripts of a result go."""
    return path.with_suffix(".transcripts.json")


def share(part: float, whole: float) -> float:
    """A rate; 0 of nothing."""
    return round(part / whole, 6) if whole else 0.0
