from __future__ import annotations

from pathlib import Path

import pytest

from switchyard.evals.regression_gate import check_regression, upper_bound
from switchyard.evals.results import CaseResult, SuiteResult


def result(
    passes: list[int], *, runs: int = 1, deterministic: bool = False, violations: tuple[str, ...] = ()
) -> SuiteResult:
    return SuiteResult(
        suite="text_to_sql",
        model="m",
        deterministic=deterministic,
        prompt_version="p",
        dataset_version="d",
        rates={},
        violations=violations,
        cases=tuple(CaseResult(id=f"c{number}", passes=count, runs=runs) for number, count in enumerate(passes)),
    )


def test_equal_result_passes() -> None:
    verdict = check_regression(result([1] * 20), result([1] * 20))
    assert verdict.passed
    assert (verdict.difference, verdict.upper_bound) == (0, 0)


def test_single_flipped_case_of_a_model_passes() -> None:
    verdict = check_regression(result([1] * 50), result([0] + [1] * 49))
    assert verdict.passed
    assert verdict.newly_failing == ("c0",)


def test_newly_failing_cases_in_number_fail() -> None:
    verdict = check_regression(result([1] * 50), result([0] * 6 + [1] * 44))
    assert not verdict.passed
    assert verdict.newly_failing == tuple(f"c{number}" for number in range(6))
    assert verdict.upper_bound < 0


def test_newly_failing_cases_with_more_newly_passing_pass() -> None:
    verdict = check_regression(result([1] * 10 + [0] * 10), result([0] * 4 + [1] * 16))
    assert verdict.passed
    assert len(verdict.newly_failing) == 4


def test_newly_failing_case_of_a_deterministic_model_fails() -> None:
    verdict = check_regression(result([1] * 50, deterministic=True), result([0] + [1] * 49, deterministic=True))
    assert verdict.reasons == ("newly failing on a deterministic model: c0",)


def test_violation_fails_at_any_score() -> None:
    verdict = check_regression(result([0] * 5), result([1] * 5, violations=("c1: 3 rows outside the role",)))
    assert verdict.reasons == ("must never happen: c1: 3 rows outside the role",)


def test_baseline_cases_left_out_fail_and_added_ones_pass() -> None:
    assert check_regression(result([1, 1]), result([1, 1, 0])).passed
    assert check_regression(result([1, 1, 1]), result([1, 1])).reasons == ("cases of the baseline were not run: c2",)


def test_reliability_drop_fails_with_an_unchanged_mean() -> None:
    steady = result([3, 3, 0, 0], runs=3)
    flaky = result([2, 2, 1, 1], runs=3)
    assert steady.accuracy == pytest.approx(flaky.accuracy)
    assert check_regression(steady, flaky).reasons == ("pass^3 fell from 0.5000 to 0.0000",)


def test_pass_k_is_the_chance_that_k_runs_all_pass() -> None:
    assert result([3], runs=4).pass_all(2) == pytest.approx(0.5)
    assert result([1], runs=4).pass_all(2) == 0


def test_bound_is_reproducible_and_above_the_mean() -> None:
    differences = [-1.0] * 5 + [0.0] * 45
    assert upper_bound(differences) == upper_bound(differences)
    assert upper_bound(differences) > -0.1


def test_results_written_and_read_are_equal(tmp_path: Path) -> None:
    written = result([1, 0], violations=("x",))
    written.write(tmp_path / "deep" / "r.json")
    assert SuiteResult.read(tmp_path / "deep" / "r.json") == written
