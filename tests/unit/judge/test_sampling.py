"""Which cases are judged: none unless a rate says so, and always the same ones."""

from __future__ import annotations

import uuid

import pytest
from pydantic import ValidationError

from services.judge.sampling import JudgeRate, is_sampled, rate_of
from services.judge.settings import JudgeSettings

CASES = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"case/{number}")) for number in range(4_000)]


def test_rate_without_settings_is_zero() -> None:
    assert JudgeSettings.model_fields["judge_rates"].default == ()
    assert rate_of((), "acme", "assist") == 0


def test_rate_of_the_first_fitting_entry_counts() -> None:
    rates = (JudgeRate(tenant="harbor-*", rate=0.5), JudgeRate(tenant="*", rate=0.01))
    assert rate_of(rates, "harbor-partners", "assist") == 0.5
    assert rate_of(rates, "acme", "assist") == 0.01
    assert rate_of(rates, "acme", "outbound_email") == 0


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_sample_has_about_the_share_that_was_asked(rate: float) -> None:
    share = sum(is_sampled(case, rate) for case in CASES) / len(CASES)
    assert abs(share - rate) <= 4 * (rate * (1 - rate) / len(CASES)) ** 0.5


def test_sample_of_a_larger_rate_holds_that_of_a_smaller_one() -> None:
    small, large = ({case for case in CASES if is_sampled(case, rate)} for rate in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (
            '[{"tenant": "acme", "playbook": "outbound_email", "rate": 0.1}]',
            "no rubric for the playbook outbound_email",
        ),
        ('[{"tenant": "acme", "rate": 1.5}]', "less than or equal to 1"),
        ('[{"tenant": "acme", "rate": "NaN"}]', "rate"),
        ('[{"tenant": "acme", "share": 0.1}]', "share"),
    ],
)
def test_rates_that_are_invalid_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, rates: str, message: str) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "postgresql://judge@127.0.0.1/work")
    monkeypatch.setenv("SWITCHYARD_JUDGE_RATES", rates)
    with pytest.raises((ValidationError, ValueError, SystemExit), match=message):
        JudgeSettings()
