"""A decline fit finds the truth, says how sure it is, and refuses months that do not tell of decline."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date, datetime

import pytest

from services.specialists.well_data.decline import (
    DeclineArguments,
    ForecastArguments,
    compute_decline,
    compute_forecast,
)
from services.specialists.well_data.field_data import FieldData, Outage, SourceRow
from services.specialists.well_data.results import NotComputable, ToolResult
from tests.unit.well_data.wells import NEW_MEXICO, TEXAS_API, arps, declining, field_data, well

FIT = DeclineArguments(well="Cutbow 1H")


def figure(result: ToolResult, name: str) -> float:
    return float(str(next(each.value for each in result.figures if each.name == name)))


def interval(result: ToolResult, name: str) -> tuple[float, float]:
    text = str(next(each.value for each in result.figures if each.name == f"{name}, 80 % interval"))
    low, _, high = text.partition(" to ")
    return float(low), float(high)


def eur_of(qi: float, nominal: float, b: float, terminal: float = 0.0618754) -> float:
    """30 years of a modified hyperbolic, day by day."""
    rate, total, decline = qi, 0.0, nominal
    for day in range(round(30 * 365.25)):
        years = (day + 0.5) / 365.25
        decline = max(nominal / (1 + b * nominal * years), terminal)
        rate_at_noon = rate * 2.718281828459045 ** (-decline / 365.25 / 2)
        total += rate_at_noon
        rate *= 2.718281828459045 ** (-decline / 365.25)
    return total


def test_decline_without_noise_is_found_exactly() -> None:
    found = compute_decline(field_data(*declining(arps(500, 1.2, 0.9))), FIT)
    assert figure(found, "initial rate") == pytest.approx(500, rel=0.01)
    assert figure(found, "b exponent") == pytest.approx(0.9, abs=0.02)
    assert figure(found, "EUR of 30 years") == pytest.approx(eur_of(500, 1.2, 0.9), rel=0.01)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decline_with_noise_has_the_true_eur_near_its_interval(seed: int) -> None:
    found = compute_decline(field_data(*declining(arps(500, 1.2, 0.9), noise=0.08, seed=seed)), FIT)
    low, high = interval(found, "EUR of 30 years")
    assert low < figure(found, "EUR of 30 years") < high
    width = high - low
    assert low - width < eur_of(500, 1.2, 0.9) < high + width


def test_decline_of_the_same_months_is_the_same_in_every_digit() -> None:
    data = field_data(*declining(arps(500, 1.2, 0.9), noise=0.08))
    first, second = compute_decline(data, FIT), compute_decline(data, FIT)
    assert first.figures == second.figures
    assert first.chart == second.chart


def test_shut_in_months_are_not_decline() -> None:
    shut = compute_decline(field_data(*declining(arps(500, 1.2, 0.9), down=(10, 11, 12, 20))), FIT)
    assert figure(shut, "b exponent") == pytest.approx(0.9, abs=0.02)
    assert any("shut in for half of the month or more: 2023-11, 2023-12, 2024-01, 2024-09" in e for e in shut.not_known)


def test_curtailed_months_are_left_out_and_listed() -> None:
    months = list(declining(arps(500, 1.2, 0.9)))
    choked = months[15]
    months[15] = replace(choked, oil=(choked.oil or 0) * 0.4)
    outage = Outage(
        NEW_MEXICO, datetime(2024, 4, 1), datetime(2024, 4, 8), "gathering_limit", 900.0, SourceRow("downtime.csv", 2)
    )
    found = compute_decline(field_data(*months, outages=(outage,)), FIT)
    assert figure(found, "b exponent") == pytest.approx(0.9, abs=0.02)
    assert any("curtailed: 2024-04" in each for each in found.not_known)


def test_late_months_do_not_bend_the_fit() -> None:
    months = list(declining(arps(500, 1.2, 0.9), api=TEXAS_API, first=date(2023, 6, 1), count=37))
    for index in (-1, -2, -3):
        months[index] = replace(months[index], oil=(months[index].oil or 0) * 0.6)
    data = field_data(*months, wells=(well(TEXAS_API),))
    found = compute_decline(data, FIT)
    assert figure(found, "b exponent") == pytest.approx(0.9, abs=0.02)
    assert any("may be incomplete" in each for each in found.not_known)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (field_data(*declining(arps(500, 1.2, 0.9), count=8)), "too_few_months", "8 usable months"),
        (field_data(*declining(lambda years: 300.0, noise=0.05)), "no_decline", "does not decline"),
        (field_data(*declining(lambda years: 100.0 + 60 * years)), "too_few_months", "peaks in 2025-12"),
        (
            field_data(*declining(arps(500, 1.2, 0.9), count=40, down=range(2, 30))),
            "mostly_not_producing",
            "shut in for half",
        ),
        (field_data(wells=(well(),)), "no_data", "no reported oil"),
        (field_data(*declining(arps(5, 1, 1)), wells=(well(status="plugged"),)), "plugged", "no future production"),
        (field_data(*declining(arps(500, 1.2, 0.9), noise=0.8)), "no_single_decline", "scatter too much"),
    ],
)  # fmt: skip
def test_data_that_cannot_bear_a_fit_are_refused_with_the_reason(data: FieldData, code: str, reason: str) -> None:
    with pytest.raises(NotComputable) as refused:
        compute_decline(data, FIT)
    assert refused.value.code == code
    assert reason in refused.value.reason


def test_decline_has_unit_period_and_source_of_every_figure() -> None:
    found = compute_decline(field_data(*declining(arps(500, 1.2, 0.9))), FIT)
    for each in found.figures:
        assert each.period
        assert each.sources == ("production.csv:2-37",)
    assert {each.unit for each in found.figures} == {"bbl/d", "% a year", "bbl", ""}


def test_production_before_the_data_is_listed_as_missing_in_the_eur() -> None:
    early = well(first_production=date(2019, 3, 1))
    found = compute_decline(field_data(*declining(arps(500, 1.2, 0.9)), wells=(early,)), FIT)
    assert any("before 2023-01 is not loaded" in each for each in found.not_known)


def test_decline_chart_is_well_formed_and_labelled() -> None:
    odd = well(name="O'Brien & <Sons> 1H")
    found = compute_decline(
        field_data(*declining(arps(500, 1.2, 0.9), noise=0.05), wells=(odd,)), DeclineArguments(well=odd.name)
    )
    assert found.chart is not None
    drawn = ET.fromstring(found.chart)
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert drawn.attrib["width"] == "600"
    assert "bbl per producing day" in texts
    assert "80 % interval" in texts
    assert any("O'Brien & <Sons> 1H" in (text or "") for text in texts)


def test_forecast_is_compared_with_the_months_after_the_fit() -> None:
    months = list(declining(arps(500, 1.2, 0.9)))
    for index in range(30, 36):
        months[index] = replace(months[index], oil=(months[index].oil or 0) * 0.9)
    found = compute_forecast(field_data(*months), ForecastArguments(well=NEW_MEXICO, fit_through="2025-06"))
    assert figure(found, "actual less forecast, relative") == pytest.approx(-10, abs=0.3)
    assert figure(found, "actual") == pytest.approx(sum(month.oil or 0 for month in months[30:]), rel=1e-6)


def test_forecast_without_later_months_is_refused() -> None:
    with pytest.raises(NotComputable, match="no reported oil after 2025-12"):
        compute_forecast(
            field_data(*declining(arps(500, 1.2, 0.9))), ForecastArguments(well=NEW_MEXICO, fit_through="2025-12")
        )
