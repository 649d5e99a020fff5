from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from switchyard.evals import paired_test
from switchyard.evals.paired_test import compare_pairs, reject_by_holm, smallest_visible_fall
from switchyard.evals.regression_gate import check_regression
from switchyard.evals.results import CaseResult, SuiteResult


def result(
    passes: list[int],
    *,
    runs: int = 1,
    deterministic: bool = False,
    violations: tuple[str, ...] = (),
    suite: str = "text_to_sql",
    clusters: Sequence[str] | None = None,
) -> SuiteResult:
    return SuiteResult(
        suite=suite,
        model="m",
        deterministic=deterministic,
        prompt_version="p",
        dataset_version="d",
        rates={},
        violations=violations,
        cases=tuple(
            CaseResult(id=f"c{number}", passes=count, runs=runs, cluster=clusters[number] if clusters else "")
            for number, count in enumerate(passes)
        ),
    )


def reasons_of(before: SuiteResult, after: SuiteResult) -> tuple[str, ...]:
    return tuple(reason for _, reason in check_regression([(before, after)]).reasons)


def test_equal_result_passes() -> None:
    verdict = check_regression([(result([1] * 20), result([1] * 20))])
    assert verdict.passed
    score = verdict.comparisons[0].score
    assert (score.mean, score.low, score.high, score.p_worse) == (0, 0, 0, 1)


def test_single_flipped_case_of_a_model_passes() -> None:
    verdict = check_regression([(result([1] * 50), result([0] + [1] * 49))])
    assert verdict.passed
    assert verdict.comparisons[0].newly_failing == ("c0",)


def test_newly_failing_cases_in_number_fail() -> None:
    verdict = check_regression([(result([1] * 50), result([0] * 6 + [1] * 44))])
    assert [reason for _, reason in verdict.reasons] == [
        "the mean score is worse than the baseline's by 12.0% (p 0.0156)"
    ]
    assert verdict.comparisons[0].newly_failing == tuple(f"c{number}" for number in range(6))
    assert verdict.comparisons[0].score.high < 0


def test_newly_failing_cases_of_one_cluster_count_as_one() -> None:
    clusters = ["same"] * 6 + [f"own-{number}" for number in range(44)]
    before, after = result([1] * 50), result([0] * 6 + [1] * 44, clusters=clusters)
    verdict = check_regression([(before, after)])
    assert verdict.passed
    assert verdict.comparisons[0].score.p_worse == 0.5


def test_newly_failing_cases_with_more_newly_passing_pass() -> None:
    verdict = check_regression([(result([1] * 10 + [0] * 10), result([0] * 4 + [1] * 16))])
    assert verdict.passed
    assert len(verdict.comparisons[0].newly_failing) == 4


def test_newly_failing_case_of_a_deterministic_model_fails() -> None:
    before, after = result([1] * 50, deterministic=True), result([0] + [1] * 49, deterministic=True)
    assert reasons_of(before, after) == ("newly failing on a deterministic model: c0",)


def test_violation_fails_at_any_score() -> None:
    after = result([1] * 5, violations=("c1: 3 rows outside the role",))
    assert reasons_of(result([0] * 5), after) == ("must never happen: c1: 3 rows outside the role",)


def test_baseline_cases_left_out_fail_and_added_ones_pass() -> None:
    assert reasons_of(result([1, 1]), result([1, 1, 0])) == ()
    assert reasons_of(result([1, 1, 1]), result([1, 1])) == ("cases of the baseline were not run: c2",)


def test_reliability_drop_fails_with_an_unchanged_mean() -> None:
    steady = result([3, 3, 0, 0] * 5, runs=3)
    flaky = result([2, 2, 1, 1] * 5, runs=3)
    assert steady.accuracy == pytest.approx(flaky.accuracy)
    assert reasons_of(steady, flaky) == ("pass^3 is worse than the baseline's by 50.0% (p 0.0010)",)


def test_pass_k_is_the_chance_that_k_runs_all_pass() -> None:
    assert result([3], runs=4).pass_all(2) == pytest.approx(0.5)
    assert result([1], runs=4).pass_all(2) == 0


def test_many_suites_are_held_to_holms_bound() -> None:
    assert reject_by_holm([0.04, 0.04, 0.04]) == [False, False, False]
    assert reject_by_holm([0.04, 0.001, 0.02]) == [True, True, True]
    assert reject_by_holm([0.04, 0.001, 0.03]) == [False, True, False]
    one = [(result([1] * 50), result([0] * 6 + [1] * 44, suite="a"))]
    assert not check_regression(one).passed
    unchanged = [(result([1] * 50), result([1] * 50, suite=name)) for name in "bcd"]
    assert check_regression(one + unchanged).passed


def scores(draw: random.Random, chances: Sequence[float], runs: int) -> list[int]:
    return [sum(draw.random() < chance for _ in range(runs)) for chance in chances]


@pytest.mark.parametrize(
    ("cases", "runs", "cluster"), [(28, 1, 1), (55, 3, 1), (109, 5, 1), (110, 3, 2), (54, 5, 1), (60, 1, 3)]
)
def test_gate_on_known_effects_has_the_power_and_the_false_alarms_it_says(
    cases: int, runs: int, cluster: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired_test, "RESAMPLES", 40)  # the interval is for reading: no decision rests on it
    draw, tables = random.Random(f"{cases}/{runs}/{cluster}"), 300
    clusters = [str(number // cluster) for number in range(cases)]
    false_alarms = found = 0
    for _ in range(tables):
        chances = [draw.choice((0.5, 0.7, 0.9, 1.0, 1.0, 1.0)) for _ in range(cases)]
        before, again = (scores(draw, chances, runs) for _ in range(2))
        fall = smallest_visible_fall([(count, runs) for count in before], clusters, runs)
        assert fall is not None
        share = fall * cases / sum(chances)  # whole clusters go from right to wrong
        fallen = {name for name in sorted(set(clusters)) if draw.random() < share}
        worse = scores(
            draw, [0.0 if name in fallen else chance for name, chance in zip(clusters, chances, strict=True)], runs
        )
        first, same, second = ([Fraction(count, runs) for count in counts] for counts in (before, again, worse))
        false_alarms += compare_pairs(first, same, clusters).p_worse <= 0.05
        found += compare_pairs(first, second, clusters).p_worse <= 0.05
    assert false_alarms / tables <= 0.05 + 0.02  # 0.02: what chance adds to a share of 300
    assert found / tables >= 0.8


def test_set_too_small_for_any_proof_says_that_it_sees_no_fall() -> None:
    assert smallest_visible_fall([(1, 1)] * 4, list("abcd"), 1) is None


def test_results_written_and_read_are_equal(tmp_path: Path) -> None:
    written = result([1, 0], violations=("x",)).model_copy(update={"transcripts": {"c1": ["user: ?", "text: !"]}})
    written.write(tmp_path / "deep" / "r.json")
    assert SuiteResult.read(tmp_path / "deep" / "r.json") == written
    assert "transcripts" not in (tmp_path / "deep" / "r.json").read_text()
