"""Volumes, rates, movers, ratios and downtime: added up rightly, with what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from services.specialists.well_data.downtime import (
    AllocationArguments,
    DowntimeArguments,
    ShutInArguments,
    compute_allocation,
    compute_downtime,
    compute_shut_ins,
)
from services.specialists.well_data.economics import EconomicLimitArguments, compute_economic_limit, limit_rate
from services.specialists.well_data.facts import FactsArguments, compute_facts
from services.specialists.well_data.field_data import LeaseMonth, Outage, SourceRow, WellMonth
from services.specialists.well_data.production import (
    CumulativeArguments,
    MoversArguments,
    ProductionArguments,
    compute_cumulative,
    compute_movers,
    compute_production,
)
from services.specialists.well_data.ratios import RatioArguments, compute_ratio_trend, find_breaks
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import WellSelection
from services.specialists.well_data.store import add_completions
from tests.unit.well_data.wells import NEW_MEXICO, TEXAS_API, arps, declining, field_data, well

OTHER = "30-015-90002"
TWO_WELLS = (well(), well(OTHER, "Rattler 2H", formation="Bone Spring"))


def month(api: str, at: str, oil: float | None, days_on: float | None = None, basis: str = "reported") -> WellMonth:
    line = int(at.replace("-", "")) % 1_000
    return WellMonth(
        api, date.fromisoformat(f"{at}-01"), oil, 10.0, 20.0, days_on, basis, SourceRow("production.csv", line)  # type: ignore[arg-type]
    )  # fmt: skip


def values(result: ToolResult, name: str) -> dict[str, str]:
    return {each.of: str(each.value) for each in result.figures if each.name == name}


def test_rate_per_calendar_day_counts_all_days_and_per_producing_day_those_on() -> None:
    data = field_data(month(NEW_MEXICO, "2025-01", 310.0, 10.0), month(NEW_MEXICO, "2025-02", 280.0, 28.0))
    found = compute_production(data, ProductionArguments(streams=("oil",)))
    assert values(found, "oil volume") == {"total": "590"}
    assert values(found, "oil per calendar day") == {"total": "10"}
    assert values(found, "oil per producing well-day") == {"total": "15.53"}
    assert found.figures[0].sources == ("production.csv:501-502",)


def test_stream_that_was_not_reported_is_not_zero() -> None:
    data = field_data(month(NEW_MEXICO, "2025-01", None), month(NEW_MEXICO, "2025-02", 280.0))
    found = compute_production(data, ProductionArguments(streams=("oil",), group_by="month"))
    assert values(found, "oil volume") == {"2025-01": "None", "2025-02": "280"}
    total = compute_production(data, ProductionArguments(streams=("oil",)))
    assert "total: 1 well-months have no reported oil" in total.not_known


def test_texas_volumes_are_called_allocated() -> None:
    data = field_data(month(TEXAS_API, "2025-01", 310.0, basis="allocated"), wells=(well(TEXAS_API),))
    for found in (
        compute_production(data, ProductionArguments()),
        compute_cumulative(data, CumulativeArguments()),
    ):
        assert any("allocated, not measured" in each for each in found.not_known)


@pytest.mark.parametrize(
    ("api", "at", "open_"),
    [
        (TEXAS_API, "2026-04", True),
        (TEXAS_API, "2026-03", False),
        (NEW_MEXICO, "2026-06", True),
        (NEW_MEXICO, "2026-05", False),
    ],
)
def test_last_months_are_called_incomplete_longer_in_texas(api: str, at: str, open_: bool) -> None:
    found = compute_production(field_data(month(api, at, 310.0), wells=(well(api),)), ProductionArguments())
    assert any("may be incomplete" in each for each in found.not_known) is open_


def test_cumulative_says_that_earlier_production_is_missing() -> None:
    data = field_data(month(NEW_MEXICO, "2025-01", 310.0), wells=(well(first_production=date(2020, 5, 1)),))
    found = compute_cumulative(data, CumulativeArguments())
    assert values(found, "cumulative oil") == {"total": "310"}
    assert any("produced before the first loaded month" in each for each in found.not_known)


def test_movers_compare_days_not_months_of_other_lengths() -> None:
    # 310 bbl in January and 280 bbl in February are the same rate: the well did not move.
    data = field_data(
        month(NEW_MEXICO, "2025-01", 310.0), month(NEW_MEXICO, "2025-02", 280.0),
        month(OTHER, "2025-01", 620.0), month(OTHER, "2025-02", 420.0), wells=TWO_WELLS,
    )  # fmt: skip
    found = compute_movers(data, MoversArguments(month="2025-02"))
    assert values(found, "change of oil rate") == {f"Rattler 2H ({OTHER})": "-5"}
    assert any("week by week, are not known" in each for each in found.not_known)


def test_movers_without_the_month_before_are_refused() -> None:
    with pytest.raises(NotComputable, match="2024-12 and 2025-01"):
        compute_movers(field_data(month(NEW_MEXICO, "2025-01", 310.0)), MoversArguments(month="2025-01"))


def test_completions_of_a_well_are_added_up_with_both_sources() -> None:
    one, two = month(NEW_MEXICO, "2025-01", 310.0), month(NEW_MEXICO, "2025-01", 40.0)
    two = replace(two, source=SourceRow("production.csv", 900))
    added = add_completions((one, two))
    found = compute_production(field_data(*added), ProductionArguments(streams=("oil",)))
    assert values(found, "oil volume") == {"total": "350"}
    assert found.figures[0].sources == ("production.csv:501,900",)


@pytest.mark.parametrize(
    ("selection", "code"),
    [
        (WellSelection(wells=("Nowhere 1H",)), "no_such_well"),
        (WellSelection(wells=("Twin 1H",)), "ambiguous_well"),
        (WellSelection(formation="Barnett"), "no_such_well"),
        (WellSelection(pad="A"), "not_in_the_data"),
    ],
)
def test_selection_that_names_no_well_is_refused(selection: WellSelection, code: str) -> None:
    wells = (well(name="Twin 1H", formation="Wolfcamp"), well(OTHER, "Twin 1H", formation="Wolfcamp"))
    with pytest.raises(NotComputable) as refused:
        compute_facts(field_data(wells=wells), FactsArguments(selection=selection))
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["cutbow 1h", "30-015-90001", "3001590001", "30-015-90001-01", "30015900010100"])
def test_well_is_found_by_name_and_by_10_12_and_14_digits(name: str) -> None:
    found = compute_facts(field_data(), FactsArguments(selection=WellSelection(wells=(name,))))
    assert "Cutbow 1H (30-015-90001)" in values(found, "API number")


def test_facts_that_the_header_lacks_are_listed() -> None:
    found = compute_facts(field_data(wells=(well(proppant_lb=12e6),)), FactsArguments())
    assert values(found, "proppant") == {"Cutbow 1H (30-015-90001)": "12000000"}
    assert any("lateral length" in each for each in found.not_known)


def outage(api: str, start: datetime, end: datetime | None, deferred: float | None = 240.0) -> Outage:
    return Outage(api, start, end, "lift_failure", deferred, SourceRow("downtime.csv", start.day))


def test_downtime_counts_the_part_of_an_outage_in_the_period() -> None:
    data = field_data(outages=(outage(NEW_MEXICO, datetime(2026, 6, 20), datetime(2026, 6, 30)),))
    found = compute_downtime(data, DowntimeArguments(first_day="2026-06-24", last_day="2026-06-25"))
    assert values(found, "downtime") == {"lift_failure": "48"}
    assert values(found, "deferred oil") == {"lift_failure": "48"}


def test_downtime_beyond_the_data_says_so_and_none_is_zero() -> None:
    found = compute_downtime(field_data(), DowntimeArguments(first_day="2026-07-01", last_day="2026-07-07"))
    assert values(found, "downtime") == {"total": "0"}
    assert any("the data end on 2026-06-30" in each for each in found.not_known)


@pytest.mark.parametrize("given", [("2026-06-30", "2026-06-01"), ("2026-06-31", "2026-07-02")])
def test_downtime_of_an_impossible_period_is_refused(given: tuple[str, str]) -> None:
    with pytest.raises(NotComputable):
        compute_downtime(field_data(), DowntimeArguments(first_day=given[0], last_day=given[1]))


def test_shut_in_says_since_when_why_and_what_is_deferred() -> None:
    shut = (well(status="shut_in"), well(OTHER, "Rattler 2H", status="shut_in"))
    data = field_data(
        month(OTHER, "2026-01", 100.0), wells=shut, outages=(outage(NEW_MEXICO, datetime(2026, 2, 3), None),)
    )
    found = compute_shut_ins(data, ShutInArguments())
    assert values(found, "shut in since") == {
        "Cutbow 1H (30-015-90001)": "2026-02-03",
        "Rattler 2H (30-015-90002)": "after 2026-01, its last month with production",
    }
    assert values(found, "cause") == {"Cutbow 1H (30-015-90001)": "lift_failure"}
    assert any("neither the day nor the cause is known" in each for each in found.not_known)


def test_allocation_compares_a_lease_with_its_meter() -> None:
    wells = (well(TEXAS_API, lease="08-12345"), well("42-329-90002", "Rattler 2H", lease="08-12345"))
    data = field_data(
        month(TEXAS_API, "2025-01", 310.0), month("42-329-90002", "2025-01", 90.0), wells=wells,
        lease_months=(LeaseMonth("08-12345", date(2025, 1, 1), 410.0, None, None, SourceRow("meters.csv", 2)),),
    )  # fmt: skip
    found = compute_allocation(data, AllocationArguments(selection=WellSelection(wells=(TEXAS_API,))))
    assert values(found, "wells less meter") == {"lease 08-12345, 2 wells": "-10"}
    assert found.figures[1].sources == ("meters.csv:2",)
    with pytest.raises(NotComputable, match="no selected lease has metered volumes"):
        compute_allocation(data, AllocationArguments(stream="gas"))


def test_ratio_break_is_found_and_a_slow_trend_is_none() -> None:
    jump = [1_000.0 + (400 if n >= 18 else 0) + 10 * ((n * 7) % 5) for n in range(36)]
    assert find_breaks(jump) == [18]
    assert find_breaks([1_000.0 + 15 * n + 10 * ((n * 7) % 5) for n in range(36)]) == []


def test_ratio_trend_has_levels_and_refuses_too_few_months() -> None:
    found = compute_ratio_trend(
        field_data(*declining(arps(500, 1.2, 0.9))), RatioArguments(well=NEW_MEXICO, ratio="water_cut")
    )
    assert values(found, "last water cut") == {"Cutbow 1H (30-015-90001)": "0.6667"}
    with pytest.raises(NotComputable, match="a trend needs 12"):
        compute_ratio_trend(
            field_data(*declining(arps(500, 1.2, 0.9), count=8)), RatioArguments(well=NEW_MEXICO, ratio="gor")
        )


def test_economic_limit_is_cost_over_margin_and_assumes_no_price() -> None:
    given = EconomicLimitArguments(
        well=NEW_MEXICO, oil_price=70.0, fixed_cost_per_month=8_000.0, variable_cost_per_bbl=6.0,
        net_revenue_interest=0.75, severance_tax=0.046,
    )  # fmt: skip
    # 8,000 / (70 x 0.954 x 0.75 - 6) / 30.4375
    assert limit_rate(given) == pytest.approx(5.9620, abs=1e-4)
    with pytest.raises(NotComputable, match="oil price, fixed cost per month"):
        limit_rate(EconomicLimitArguments(well=NEW_MEXICO))
    with pytest.raises(NotComputable, match="costs more than it earns"):
        limit_rate(given.model_copy(update={"variable_cost_per_bbl": 60.0}))


def test_economic_limit_that_is_reached_already_leaves_nothing() -> None:
    data = field_data(*declining(arps(500, 1.2, 0.9)))
    found = compute_economic_limit(data, EconomicLimitArguments(well=NEW_MEXICO, limit_rate=200.0))
    assert values(found, "remaining oil") == {"Cutbow 1H (30-015-90001)": "0"}
