"""Decides whether a run is worse than the baseline.

Cases are compared in pairs. On a model, one flipped case may be chance, so the mean difference is bootstrapped over the
cases: the run is worse if even the upper end of the one-sided 95 % interval is below zero. On the simulator there is no
chance: any newly failing case is a defect. What must never happen fails the gate with any score.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from switchyard.evals.results import SuiteResult

RESAMPLES = 10_000
CONFIDENCE = 0.95
BOOTSTRAP_SEED = 7


@dataclass(frozen=True, slots=True)
class RegressionGateResult:
    """Whether the gate is passed, and every reason why not."""

    reasons: tuple[str, ...]
    newly_failing: tuple[str, ...]
    difference: float
    upper_bound: float

    @property
    def passed(self) -> bool:
        """No reason speaks against it."""
        return not self.reasons


def check_regression(baseline: SuiteResult, run: SuiteResult) -> RegressionGateResult:
    """Compare a run with its baseline. Cases that the baseline does not know are not judged."""
    before = {case.id: case.score for case in baseline.cases}
    after = {case.id: case.score for case in run.cases}
    shared = [case_id for case_id in before if case_id in after]
    differences = [after[case_id] - before[case_id] for case_id in shared]
    bound = upper_bound(differences)
    worse = tuple(case_id for case_id in shared if after[case_id] < before[case_id])
    reasons = [f"must never happen: {violation}" for violation in run.violations]
    if missing := sorted(set(before) - set(after)):
        reasons.append(f"cases of the baseline were not run: {', '.join(missing)}")
    if bound < 0:
        reasons.append(f"worse than the baseline: the mean difference is below {bound:.4f} with 95 % confidence")
    if run.deterministic and baseline.deterministic and worse:
        reasons.append(f"newly failing on a deterministic model: {', '.join(worse)}")
    k = min(3, *(case.runs for case in (*baseline.cases, *run.cases)))
    if k > 1 and run.pass_all(k) < baseline.pass_all(k):
        reasons.append(f"pass^{k} fell from {baseline.pass_all(k):.4f} to {run.pass_all(k):.4f}")
    mean = sum(differences) / len(differences) if differences else 0.0
    return RegressionGateResult(tuple(reasons), worse, mean, bound)


def upper_bound(differences: list[float]) -> float:
    """The upper end of the one-sided 95 % bootstrap interval of the mean; 0 for no differences."""
    if not any(differences):
        return 0.0
    rng = Random(BOOTSTRAP_SEED)
    count = len(differences)
    means = sorted(sum(rng.choices(differences, k=count)) / count for _ in range(RESAMPLES))
    return means[int(CONFIDENCE * RESAMPLES) - 1]
