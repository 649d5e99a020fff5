"""How good the search is: against proven optima, committed references, VROOM, and RC208 of Solomon's instances."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from evals.routing.checker import check_plan
from evals.routing.exact import exact_optimum
from evals.routing.instances import HELD_OUT_LARGE, HELD_OUT_SMALL, LARGE, SMALL, generate_instance
from evals.routing.reference import REFERENCE_FILE
from evals.routing.small import problem_fields
from evals.routing.solomon import RC208_BEST_KNOWN, rc208_distance
from evals.routing.vroom_routes import vroom_sequences
from services.specialists.field_routing.document import plan_json
from services.specialists.field_routing.plan import describe_plan
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import sequences_cost
from services.specialists.field_routing.solver import solve_problem
from switchyard.evals.results import CaseResult, EvalRun, SuiteResult, share

MAX_ABOVE_REFERENCE = 0.01
MAX_ABOVE_BEST_KNOWN = 0.02


def run_quality(run: EvalRun, *, small: int | None = None, large: int | None = None) -> SuiteResult:
    """Every instance, or the first so many of each kind. Any plan that cannot be driven must never happen."""
    references = json.loads(REFERENCE_FILE.read_text())
    found = [_small(seed, jobs) for seed, jobs in (*SMALL[:small], *HELD_OUT_SMALL[:small])]
    compared = [_large(seed, jobs, references) for seed, jobs in (*LARGE[:large], *HELD_OUT_LARGE[:large])]
    violations = [problem for each in (*found, *compared) for problem in each.problems]
    ours, vroom, unseen = (
        _mean(gaps)
        for gaps in (
            [each.gap for each in compared],
            [each.vroom_gap for each in compared],
            [each.gap for each in compared if each.held_out],
        )
    )
    if ours > vroom:
        violations.append(f"{ours:.2%} above the references on average, VROOM {vroom:.2%}")
    above = rc208_distance() / RC208_BEST_KNOWN - 1
    rc208 = CaseResult.once("rc208", "" if above <= MAX_ABOVE_BEST_KNOWN else f"{above:.2%} above the best known")
    return SuiteResult(
        suite="routing_quality",
        model=run.model,
        deterministic=True,
        prompt_version="",
        dataset_version=hashlib.sha256(REFERENCE_FILE.read_bytes()).hexdigest()[:12],
        rates={
            "optimum_found": share(sum(each.case.passes for each in found), len(found)),
            "mean_above_reference": round(ours, 6),
            "mean_above_reference_held_out": round(unseen, 6),
            "vroom_above_reference": round(vroom, 6),
            "rc208_above_best_known": round(above, 6),
        },
        violations=tuple(violations),
        cases=(*(each.case for each in (*found, *compared)), rc208),
    )


@dataclass(frozen=True)
class _Compared:
    """One instance's case, what is wrong with its plan, and the shares above the reference."""

    case: CaseResult
    problems: tuple[str, ...]
    held_out: bool = False
    gap: float = 0.0
    vroom_gap: float = 0.0


def _small(seed: int, jobs: int) -> _Compared:
    problem = generate_instance(seed, jobs)
    optimum = exact_optimum(problem_fields(problem))
    found, problems = _solve(problem)
    note = "" if found == optimum else f"{found}, the optimum is {optimum}"
    return _Compared(CaseResult.once(f"small-{seed}/{jobs}", note), problems)


def _large(seed: int, jobs: int, references: dict[str, Any]) -> _Compared:
    name = f"{seed}/{jobs}"
    if name not in references:
        raise ValueError(f"{name} has no reference in {REFERENCE_FILE.name}: run python -m evals.routing.reference")
    problem = generate_instance(seed, jobs)
    best = references[name]["best"]
    found, problems = _solve(problem)
    theirs = sequences_cost(problem, vroom_sequences(problem))
    gap, vroom_gap = found / best - 1, 0.0 if theirs is None else theirs / best - 1
    note = "" if gap <= MAX_ABOVE_REFERENCE else f"{gap:.2%} above the reference"
    case = CaseResult.once(f"large-{name}", note)
    return _Compared(case, problems, (seed, jobs) in HELD_OUT_LARGE, gap, vroom_gap)


def _solve(problem: Problem) -> tuple[int, tuple[str, ...]]:
    """The objective of our plan, as the checker computes it, and what is wrong with the plan."""
    checked = check_plan(plan_json(describe_plan(problem, solve_problem(problem)), {}))
    return checked.objective_cents, checked.problems


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
