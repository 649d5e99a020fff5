"""Runs triage over its questions, against any function that chooses an agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from evals.cases import TriageCase, hash_dataset
from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult, share
from switchyard.runtime.core.errors import TaskError

AgentChooser = Callable[[str], Awaitable[str]]
"""A question in, the name of an agent or `none` out."""


async def run_triage(
    choose: AgentChooser, cases: Sequence[TriageCase], run: EvalRun, *, deployed: frozenset[str], prompt_version: str
) -> SuiteResult:
    """Every case, so many times. `deployed` are the agents that have a card."""
    chosen: Counter[tuple[bool, bool]] = Counter()

    async def attempt(case: TriageCase) -> str:
        try:
            choice = await choose(case.question)
        except TaskError as error:
            choice = f"(failed: {error.code})"
        right = case.right(deployed)
        chosen["none" in right, choice == "none"] += 1
        return "" if choice in right else f"chose {choice} instead of {' or '.join(sorted(right))}"

    results = await run.score(cases, attempt)
    return SuiteResult(
        suite="triage",
        model=run.model,
        deterministic=run.model == SIMULATOR_MODEL,
        prompt_version=prompt_version,
        dataset_version=hash_dataset("triage"),
        rates={
            "accuracy": share(sum(result.passes for result in results), sum(result.runs for result in results)),
            # Sent to an agent although no agent is right: it must then refuse. Turned away: the user gets nothing.
            "wrongly_sent": share(chosen[True, False], chosen[True, False] + chosen[True, True]),
            "wrongly_turned_away": share(chosen[False, True], chosen[False, True] + chosen[False, False]),
        },
        cases=results,
    )
