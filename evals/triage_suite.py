"""Runs triage over its questions, against whatever chooses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from evals.cases import TriageCase, hash_dataset
from switchyard.evals.results import CaseResult, SuiteResult
from switchyard.runtime.core.errors import TaskError

AgentChooser = Callable[[str], Awaitable[str]]
"""A question in, the name of an agent or `none` out."""

FAILED_CHOICE = "(failed)"


async def run_triage(
    choose: AgentChooser,
    cases: Sequence[TriageCase],
    *,
    deployed: frozenset[str],
    model: str,
    deterministic: bool,
    prompt_version: str,
    runs: int = 1,
    concurrency: int = 4,
) -> SuiteResult:
    """Every case, so many times. `deployed` are the agents that have a card."""
    slots = asyncio.Semaphore(concurrency)
    chosen: Counter[tuple[bool, bool]] = Counter()

    async def one(case: TriageCase) -> CaseResult:
        right, passes, note = case.right(deployed), 0, ""
        for _ in range(runs):
            async with slots:
                choice = await _choice(choose, case.question)
            chosen[("none" in right, choice == "none")] += 1
            if choice in right:
                passes += 1
            else:
                note = f"chose {choice}, right is {' or '.join(sorted(right))}"
        return CaseResult(id=case.id, passes=passes, runs=runs, note=note)

    results = await asyncio.gather(*map(one, cases))
    return SuiteResult(
        suite="triage",
        model=model,
        deterministic=deterministic,
        prompt_version=prompt_version,
        dataset_version=hash_dataset("triage"),
        rates={
            "accuracy": _share(sum(result.passes for result in results), sum(result.runs for result in results)),
            # Sent to an agent although it is nobody's: the agent must then refuse. Turned away: the user gets nothing.
            "wrongly_sent": _share(chosen[True, False], chosen[True, False] + chosen[True, True]),
            "wrongly_turned_away": _share(chosen[False, True], chosen[False, True] + chosen[False, False]),
        },
        cases=tuple(results),
    )


async def _choice(choose: AgentChooser, question: str) -> str:
    try:
        return await choose(question)
    except TaskError as error:
        return f"{FAILED_CHOICE[:-1]}: {error.code})"


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
