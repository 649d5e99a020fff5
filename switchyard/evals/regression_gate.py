"""Decides whether runs of suites are worse than their baselines.

On a model one flipped case may be chance: the mean score and pass^k are compared in pairs, and Holm's correction keeps
the chance of a false alarm over all suites of one run at 5 %. On the simulator there is no chance: any newly failing
case is a defect. What must never happen fails the gate with any score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from switchyard.evals.paired_test import PairedDifference, compare_pairs, reject_by_holm, smallest_visible_fall
from switchyard.evals.results import SuiteResult


@dataclass(frozen=True, slots=True)
class SuiteComparison:
    """One suite beside its baseline."""

    suite: str
    faults: tuple[str, ...]
    """What fails the gate without any statistics."""
    newly_failing: tuple[str, ...]
    score: PairedDifference
    reliability: PairedDifference | None
    """The difference of pass^k, if both have two or more runs of each case."""
    k: int
    visible_fall: float | None
    """The smallest fall of the mean score that this comparison finds with 80 % power; None if it finds none."""
    deterministic: bool

    @property
    def p_values(self) -> tuple[float, ...]:
        """One for each measure that chance moves."""
        if self.deterministic:
            return ()
        return (self.score.p_worse, *((self.reliability.p_worse,) if self.reliability else ()))


@dataclass(frozen=True, slots=True)
class RegressionGateResult:
    """Whether the gate is passed, and every reason why not, by suite."""

    comparisons: tuple[SuiteComparison, ...]
    reasons: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """No reason speaks against it."""
        return not self.reasons


def check_regression(pairs: Sequence[tuple[SuiteResult, SuiteResult]]) -> RegressionGateResult:
    """Compare each run with its baseline (baseline first). Cases that a baseline does not know are not judged."""
    family = sum(
        0 if _deterministic(before, after) else 2 if _smallest_k(before, after) > 1 else 1 for before, after in pairs
    )
    comparisons = tuple(_compare(before, after, max(1, family)) for before, after in pairs)
    reasons = [(each.suite, fault) for each in comparisons for fault in each.faults]
    measures = [
        (each, measure, name)
        for each in comparisons
        if not each.deterministic
        for measure, name in ((each.score, "the mean score"), (each.reliability, f"pass^{each.k}"))
        if measure is not None
    ]
    for (each, measure, name), worse in zip(
        measures, reject_by_holm([measure.p_worse for _, measure, _ in measures]), strict=True
    ):
        if worse:
            reasons.append(
                (each.suite, f"{name} is worse than the baseline's by {-measure.mean:.1%} (p {measure.p_worse:.4f})")
            )
    return RegressionGateResult(comparisons, tuple(reasons))


def _compare(baseline: SuiteResult, run: SuiteResult, family: int) -> SuiteComparison:
    known = {case.id: case for case in baseline.cases}
    pairs = [(known[case.id], case) for case in run.cases if case.id in known]
    clusters = [after.cluster or after.id for _, after in pairs]
    score = compare_pairs([before.share for before, _ in pairs], [after.share for _, after in pairs], clusters)
    k = _smallest_k(baseline, run)
    reliability = None
    if k > 1:
        reliability = compare_pairs(
            [before.pass_all(k) for before, _ in pairs], [after.pass_all(k) for _, after in pairs], clusters
        )
    worse = tuple(after.id for before, after in pairs if after.share < before.share)
    faults = [f"must never happen: {violation}" for violation in run.violations]
    if missing := sorted(set(known) - {case.id for case in run.cases}):
        faults.append(f"cases of the baseline were not run: {', '.join(missing)}")
    deterministic = _deterministic(baseline, run)
    if deterministic and worse:
        faults.append(f"newly failing on a deterministic model: {', '.join(worse)}")
    if deterministic:
        visible: float | None = 1 / len(pairs) if pairs else None
    else:
        runs = min((after.runs for _, after in pairs), default=1)
        visible = smallest_visible_fall(
            [(before.passes, before.runs) for before, _ in pairs], clusters, runs, hypotheses=family
        )
    return SuiteComparison(run.suite, tuple(faults), worse, score, reliability, k, visible, deterministic)


def _deterministic(baseline: SuiteResult, run: SuiteResult) -> bool:
    return baseline.deterministic and run.deterministic


def _smallest_k(baseline: SuiteResult, run: SuiteResult) -> int:
    return min(3, *(case.runs for case in (*baseline.cases, *run.cases)))
