"""Survey and log at a depth: minimum curvature against worked figures, and no extrapolation."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.specialists.well_data.field_data import FieldData, LogCurve, SourceRow, Station
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.subsurface import (
    LogArguments,
    SurveyArguments,
    compute_log_value,
    compute_position,
    locate,
)
from tests.unit.well_data.wells import NEW_MEXICO, field_data


def stations(*given: tuple[float, float, float]) -> tuple[Station, ...]:
    return tuple(Station(*each, SourceRow("survey.csv", line)) for line, each in enumerate(given, start=2))


CURVE = stations((0, 0, 0), (3_500, 15, 20), (3_600, 25, 45))
BORE = f"{NEW_MEXICO}-00"


def surveyed(*bores: str) -> FieldData:
    return field_data(surveys=dict.fromkeys(bores, CURVE))


def value(result: ToolResult, name: str) -> float:
    return float(str(next(each.value for each in result.figures if each.name == name)))


def test_position_by_minimum_curvature_is_the_published_one() -> None:
    # Amorin and Broni-Bediako (2010), station of 3,500 ft to 3,600 ft, 15 to 25 degrees, N20E to N45E:
    # 94.01 ft of depth, 27.22 ft north, 19.45 ft east.
    before, after = locate(CURVE, 3_500)[0], locate(CURVE, 3_600)[0]
    assert after.tvd_ft - before.tvd_ft == pytest.approx(94.01, abs=0.01)
    assert after.north_ft - before.north_ft == pytest.approx(27.22, abs=0.01)
    assert after.east_ft - before.east_ft == pytest.approx(19.45, abs=0.01)


def test_position_between_stations_is_on_the_same_arc() -> None:
    points = [locate(CURVE, depth)[0] for depth in range(3_500, 3_601)]
    length = sum(
        ((b.tvd_ft - a.tvd_ft) ** 2 + (b.north_ft - a.north_ft) ** 2 + (b.east_ft - a.east_ft) ** 2) ** 0.5
        for a, b in pairwise(points)
    )
    assert length == pytest.approx(100, abs=0.01)
    assert locate(CURVE, 3_600)[1:] == (25, 45)


def test_vertical_hole_above_a_first_station_below_surface_is_straight() -> None:
    found = locate(stations((1_000, 10, 90), (1_100, 10, 90)), 1_000)
    assert found[0].tvd_ft == pytest.approx(1_000)
    assert found[0].east_ft == pytest.approx(0)


def test_survey_is_not_extrapolated() -> None:
    with pytest.raises(NotComputable, match="would be extrapolation"):
        compute_position(surveyed(BORE), SurveyArguments(well=NEW_MEXICO, measured_depth_ft=3_601))


def test_survey_of_a_sidetracked_well_needs_the_wellbore() -> None:
    data = surveyed(BORE, f"{NEW_MEXICO}-01")
    with pytest.raises(NotComputable, match="give the 12-digit number"):
        compute_position(data, SurveyArguments(well="Cutbow 1H", measured_depth_ft=3_550))
    found = compute_position(data, SurveyArguments(well=f"{NEW_MEXICO}-01", measured_depth_ft=3_550))
    assert found.figures[0].of == "Cutbow 1H (30-015-90001-01)"
    assert found.figures[0].sources == ("survey.csv:2-4",)


def test_survey_with_depths_that_fall_is_refused() -> None:
    data = field_data(surveys={BORE: stations((0, 0, 0), (500, 1, 0), (400, 2, 0))})
    with pytest.raises(NotComputable, match="do not rise"):
        compute_position(data, SurveyArguments(well=NEW_MEXICO, measured_depth_ft=450))


GR = LogCurve(BORE, "GR", "GAPI", "Gamma", (8_000.0, 8_001.0, 8_002.0, 8_003.0), (40.0, 60.0, None, 90.0), "a.las")


def test_log_value_is_read_between_samples_and_says_so() -> None:
    found = compute_log_value(field_data(curves=(GR,)), LogArguments(well=NEW_MEXICO, curve="gr", depth_ft=8_000.25))
    assert value(found, "GR") == 45
    assert found.figures[0].sources == ("a.las:~A GR",)
    assert "between the samples at 8,000.0 and 8,001.0 ft" in found.not_known


def test_log_mean_leaves_nulls_out_and_says_how_many() -> None:
    given = LogArguments(well=NEW_MEXICO, curve="GR", depth_ft=8_000, base_ft=8_003)
    found = compute_log_value(field_data(curves=(GR,)), given)
    assert value(found, "mean GR") == pytest.approx(190 / 3, abs=1e-4)
    assert "1 of 4 samples are null" in found.not_known


@pytest.mark.parametrize(
    ("curve", "depth", "code"),
    [("GR", 8_002.0, "null_values"), ("GR", 8_001.5, "null_values"), ("GR", 7_000.0, "outside_the_log"),
     ("RES", 8_000.0, "no_such_curve")],
)  # fmt: skip
def test_log_value_that_the_log_lacks_is_refused(curve: str, depth: float, code: str) -> None:
    with pytest.raises(NotComputable) as refused:
        compute_log_value(field_data(curves=(GR,)), LogArguments(well=NEW_MEXICO, curve=curve, depth_ft=depth))
    assert refused.value.code == code
