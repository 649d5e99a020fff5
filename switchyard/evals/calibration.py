"""How far a judge agrees with people, and what its rate of failures says of the true one. Pure.

Cohen's kappa: Educational and Psychological Measurement 20 (1960). The corrected rate: Rogan and Gladen, American
Journal of Epidemiology 107 (1978); its interval: Lang and Reiczigel, Preventive Veterinary Medicine 113 (2014).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from switchyard.evals.prompted_suite import DatasetError
from switchyard.runtime.core.yaml_file import UnreadableFile, read_yaml

ENOUGH_LABELS = 50
"""Of a criterion, as the field has it; fewer leave an interval that says little."""

_Z = NormalDist().inv_cdf(0.975)
Verdict = Literal["pass", "fail"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HumanLabel(_Part):
    """A person's verdict on one criterion of one draft, and the judge's on the same."""

    draft: Annotated[str, Field(min_length=1)]
    criterion: Annotated[str, Field(min_length=1)]
    person: Verdict
    judge: Verdict
    by: Annotated[str, Field(min_length=1, description="Who labelled it.")]
    on: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class CalibrationFile(_Part):
    """The labels for one judge: its model and prompt are part of what was measured."""

    model: Annotated[str, Field(min_length=1)]
    prompt_version: Annotated[str, Field(min_length=1)]
    labels: tuple[HumanLabel, ...] = ()


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """A share of failures with its 95 % interval, all from 0 to 1."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CriterionCalibration:
    """One criterion. Counts are named person, then judge."""

    criterion: str
    fail_fail: int
    fail_pass: int
    pass_fail: int
    pass_pass: int

    @property
    def labels(self) -> int:
        """All of them."""
        return self.fail_fail + self.fail_pass + self.pass_fail + self.pass_pass

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance, at most 1; None where chance alone explains everything."""
        total = self.labels
        if not total:
            return None
        agreed = (self.fail_fail + self.pass_pass) / total
        person, judge = (self.fail_fail + self.fail_pass) / total, (self.fail_fail + self.pass_fail) / total
        chance = person * judge + (1 - person) * (1 - judge)
        return None if chance == 1 else (agreed - chance) / (1 - chance)

    @property
    def sensitivity(self) -> float | None:
        """The share of what people fail that the judge fails, too; None without any."""
        failed = self.fail_fail + self.fail_pass
        return self.fail_fail / failed if failed else None

    @property
    def specificity(self) -> float | None:
        """The share of what people pass that the judge passes, too; None without any."""
        passed = self.pass_fail + self.pass_pass
        return self.pass_pass / passed if passed else None

    def correct(self, failed: int, judged: int) -> CorrectedRate | None:
        """The true share of failures, given how many of so many drafts the judge failed. None if the judge is no better
        than chance, or one side was never labelled."""
        if (
            not judged
            or self.sensitivity is None
            or self.specificity is None
            or self.sensitivity + self.specificity <= 1
        ):
            return None
        failures, passes = self.fail_fail + self.fail_pass, self.pass_fail + self.pass_pass
        # Two labels are added to each side, as Lang and Reiczigel have it, so that a perfect score is no certainty.
        share = (failed + _Z**2 / 2) / (judged + _Z**2)
        found, spared = (self.fail_fail + 1) / (failures + 2), (self.pass_pass + 1) / (passes + 2)
        better = found + spared - 1
        if better <= 0:
            return None
        middle = (share + spared - 1) / better
        spread = (
            sqrt(
                share * (1 - share) / (judged + _Z**2)
                + middle**2 * found * (1 - found) / (failures + 2)
                + (1 - middle) ** 2 * spared * (1 - spared) / (passes + 2)
            )
            / better
        )
        shift = (
            2
            * _Z**2
            * (middle * found * (1 - found) / (failures + 2) - (1 - middle) * spared * (1 - spared) / (passes + 2))
        )
        rate = (failed / judged + self.specificity - 1) / (self.sensitivity + self.specificity - 1)
        low, high = middle + shift - _Z * spread, middle + shift + _Z * spread
        return CorrectedRate(_share(rate), _share(low), _share(high))


def read_calibration(path: Path) -> CalibrationFile:
    """A calibration file. Raises `DatasetError`, also if one person labelled the same twice."""
    try:
        found = CalibrationFile.model_validate_json(json.dumps(read_yaml(path)))
    except UnreadableFile as error:
        raise DatasetError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    keys = [(label.draft, label.criterion, label.by) for label in found.labels]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise DatasetError(f"{path}: labels: {twice[0][2]} labelled {twice[0][1]} of {twice[0][0]} twice: keep one")
    return found


def calibrate(labels: Sequence[HumanLabel]) -> tuple[CriterionCalibration, ...]:
    """The agreement on each criterion, by name."""
    counts: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    for label in labels:
        counts[label.criterion][label.person, label.judge] += 1
    return tuple(
        CriterionCalibration(
            name,
            fail_fail=found["fail", "fail"],
            fail_pass=found["fail", "pass"],
            pass_fail=found["pass", "fail"],
            pass_pass=found["pass", "pass"],
        )
        for name, found in sorted(counts.items())
    )


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
