"""Calibration of a judge: known tables, and an interval that covers the truth as often as it says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import yaml

from switchyard.evals.calibration import CriterionCalibration, HumanLabel, calibrate, read_calibration
from switchyard.evals.prompted_suite import DatasetError

PERFECT = CriterionCalibration("accuracy", fail_fail=20, fail_pass=0, pass_fail=0, pass_pass=30)
KNOWN = CriterionCalibration("accuracy", fail_fail=20, fail_pass=5, pass_fail=10, pass_pass=15)
"""The textbook's example: kappa 0.4."""


def label(person: str, judge: str, **fields: str) -> HumanLabel:
    given = {"draft": "d1", "criterion": "accuracy", "by": "r.mehta", "on": "2026-11-20"} | fields
    return HumanLabel.model_validate({"person": person, "judge": judge} | given)


def test_kappa_of_known_tables() -> None:
    assert KNOWN.kappa == pytest.approx(0.4)
    assert PERFECT.kappa == 1
    assert CriterionCalibration("x", 0, 0, 0, 9).kappa is None
    assert CriterionCalibration("x", 0, 0, 0, 0).kappa is None


def test_labels_are_counted_by_criterion() -> None:
    found = calibrate([
        label("fail", "fail"), label("fail", "pass"), label("pass", "pass"), label("pass", "fail"),
        label("pass", "pass", criterion="readable"),
    ])  # fmt: skip
    assert found == (
        CriterionCalibration("accuracy", 1, 1, 1, 1),
        CriterionCalibration("readable", 0, 0, 0, 1),
    )
    assert (KNOWN.sensitivity, KNOWN.specificity) == (0.8, 0.6)


def test_rate_of_a_perfect_judge_is_its_own() -> None:
    corrected = PERFECT.correct(30, 100)
    assert corrected is not None
    assert corrected.rate == pytest.approx(0.3)
    assert corrected.low < 0.3 < corrected.high


def test_rate_is_corrected_by_what_the_judge_misses_and_invents() -> None:
    corrected = KNOWN.correct(50, 100)
    assert corrected is not None
    assert corrected.rate == pytest.approx((0.5 + 0.6 - 1) / 0.4)
    assert 0 <= corrected.low <= corrected.rate <= corrected.high <= 1


@pytest.mark.parametrize(
    "judge",
    [
        CriterionCalibration("x", 5, 5, 5, 5),
        CriterionCalibration("x", 2, 8, 9, 1),
        CriterionCalibration("x", 9, 1, 0, 0),
        CriterionCalibration("x", 0, 0, 0, 0),
    ],
)
def test_rate_by_a_judge_no_better_than_chance_is_unknown(judge: CriterionCalibration) -> None:
    assert judge.correct(10, 100) is None
    assert PERFECT.correct(0, 0) is None


@pytest.mark.parametrize(("truth", "found", "spared"), [(0.1, 0.9, 0.95), (0.3, 0.8, 0.9), (0.02, 0.95, 0.98)])
def test_interval_covers_the_truth_as_often_as_it_says(truth: float, found: float, spared: float) -> None:
    rng, covered, runs = Random(11), 0, 400
    for _ in range(runs):
        hits = sum(rng.random() < found for _ in range(50))
        passes = sum(rng.random() < spared for _ in range(50))
        failed = sum(rng.random() < (found if rng.random() < truth else 1 - spared) for _ in range(400))
        corrected = CriterionCalibration("x", hits, 50 - hits, 50 - passes, passes).correct(failed, 400)
        covered += corrected is not None and corrected.low <= truth <= corrected.high
    assert covered / runs >= 0.92


def test_file_is_read_and_a_label_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "compliance.yaml"
    one = label("fail", "pass").model_dump()
    content = {"model": "openai:gpt-5.2", "prompt_version": "judge/1", "labels": [one]}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_calibration(file).labels[0].person == "fail"
    file.write_text(yaml.safe_dump(content | {"labels": [one, one]}), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"r\.mehta labelled accuracy of d1 twice"):
        read_calibration(file)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "Input should be"),
        ("[1, 2]", "Input should be"),
        ("model: m\nprompt_version: p\nlabels: [{draft: d}]", "labels.0.criterion"),
        ("model: m\nprompt_version: p\nlabels: [{draft: d, criterion: c, person: maybe}]", "labels.0.person"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_invalid_file_names_the_field(text: str, field: str, tmp_path: Path) -> None:
    file = tmp_path / "compliance.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=field):
        read_calibration(file)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_calibration(tmp_path / "missing.yaml")
