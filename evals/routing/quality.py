"""How good the search is: against proven optima, committed references, VROOM, and RC208 of Solomon's instances."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from evals.routing.checker import check_plan
from evals.routing.instances import LARGE, SMALL, generate_instance
from evals.routing.reference import REFERENCE_FILE
from evals.routing.solomon import RC208_BEST_KNOWN, rc208_distance
from evals.routing.vroom_routes import vroom_sequences
from services.specialists.field_routing.document import plan_json
from services.specialists.field_routing.plan import describe_plan
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import sequences_cost
from services.specialists.field_routing.solver import solve_problem
from switchyard.evals.results import CaseResult, EvalRun, SuiteResult, share

OPTIMUM_FILE = Path(__file__).parent / "optimum.json"
REMEDIES = {"small": "evals/routing/optimum.py", "large": "python -m evals.routing.reference"}
MAX_ABOVE_REFERENCE = 0.01
MAX_ABOVE_BEST_KNOWN = 0.02


def run_quality(run: EvalRun, *, small: int | None = None, large: int | None = None) -> SuiteResult:
    """Every instance, or the first so many of each kind. Any plan that cannot be driven must never happen."""
    optima, references = (json.loads(file.read_text()) for file in (OPTIMUM_FILE, REFERENCE_FILE))
    cases, violations, gaps, vroom_gaps = [], [], [], []
    for kind, known, instances in (("small", optima, SMALL[:small]), ("large", references, LARGE[:large])):
        for seed, jobs in instances:
            name = f"{seed}/{jobs}"
            if name not in known:
                cases.append(_case(f"{kind}-{name}", f"nothing to compare with: make it, see {REMEDIES[kind]}"))
                continue
            problem = generate_instance(seed, jobs)
            found, problems = _solve(problem)
            violations += [f"{name}: {each}" for each in problems]
            if kind == "small":
                note = "" if found == known[name] else f"{found}, the optimum is {known[name]}"
            else:
                best = known[name]["best"]
                gaps.append(found / best - 1)
                theirs = sequences_cost(problem, vroom_sequences(problem))
                vroom_gaps.append(0.0 if theirs is None else theirs / best - 1)
                note = "" if found <= best * (1 + MAX_ABOVE_REFERENCE) else f"{gaps[-1]:.2%} above the reference"
            cases.append(_case(f"{kind}-{name}", note))
    average, vroom = (sum(each) / len(each) if each else 0.0 for each in (gaps, vroom_gaps))
    if average > vroom:
        violations.append(f"{average:.2%} above the references on average, VROOM {vroom:.2%}")
    above = rc208_distance() / RC208_BEST_KNOWN - 1
    cases.append(_case("rc208", "" if above <= MAX_ABOVE_BEST_KNOWN else f"{above:.2%} above the best known"))
    found_optima = sum(case.passes for case in cases if case.id.startswith("small"))
    return SuiteResult(
        suite="routing_quality",
        model=run.model,
        deterministic=True,
        prompt_version="",
        dataset_version=_hash((OPTIMUM_FILE, REFERENCE_FILE)),
        rates={
            "optimum_found": share(found_optima, len(SMALL[:small])),
            "mean_above_reference": round(average, 6),
            "vroom_above_reference": round(vroom, 6),
            "rc208_above_best_known": round(above, 6),
        },
        violations=tuple(violations),
        cases=tuple(cases),
    )


def _solve(problem: Problem) -> tuple[int, tuple[str, ...]]:
    """The objective of our plan, as the checker computes it, and what is wrong with the plan."""
    checked = check_plan(plan_json(describe_plan(problem, solve_problem(problem)), {}))
    return checked.objective_cents, checked.problems


def _case(name: str, note: str) -> CaseResult:
    return CaseResult(id=name, passes=0 if note else 1, runs=1, note=note)


def _hash(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
