"""The committed data of the oil field: it is what the script makes, and its tables agree with one another."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from demo.oil_field.generate import (
    CREW_BASES,
    LAST_DAY,
    PERIOD_END,
    SKILLS,
    Well,
    make_tables,
    make_wells,
    write_tables,
)
from demo.oil_field.warehouse import DATA_FOLDER, read_table
from services.specialists.text_to_sql.schema import load_schema

Row = dict[str, Any]
NUMBERS = {"OIL_BBL", "GAS_MCF", "WATER_BBL", "DAYS_ON", "HOURS", "DEFERRED_OIL_BBL", "LATITUDE", "LONGITUDE"}


def parsed(name: str) -> list[Row]:
    def value(column: str, text: str) -> Any:
        if column in NUMBERS:
            return float(text)
        if column.endswith("_AT"):
            return datetime.fromisoformat(text)
        if text and (column.endswith(("_ON", "_DATE")) or column == "PRODUCTION_MONTH"):
            return date.fromisoformat(text)
        return text or None

    return [{column: value(column, text) for column, text in row.items()} for row in read_table(name)]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    return {name: parsed(name) for name in load_schema().tables}


@pytest.fixture(scope="module")
def wells() -> dict[str, Well]:
    return {well.api_number: well for well in make_wells()}


@pytest.fixture(scope="module")
def events(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    by_well = defaultdict(list)
    for event in tables["DOWNTIME"]:
        by_well[event["API_NUMBER"]].append(event)
    return by_well


def months_on(well: Well, month: date) -> float:
    first = well.first_production
    assert first is not None
    return (month.year - first.year) * 12 + month.month - first.month + 0.5


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def test_committed_files_are_what_the_script_writes(tmp_path: Path) -> None:
    write_tables(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(written) == 5
    assert {path.name: path.read_bytes() for path in DATA_FOLDER.iterdir()} == written


def test_there_is_enough_to_ask_about(tables: dict[str, list[Row]]) -> None:
    wells = tables["WELLS"]
    assert len(wells) >= 220
    assert len({row["PRODUCTION_MONTH"] for row in tables["MONTHLY_PRODUCTION"]}) >= 36
    assert {well["BASIN"] for well in wells} == set(CREW_BASES)
    assert {well["STATUS"] for well in wells} == {"producing", "shut_in", "plugged", "drilling"}
    lifts = {"rod_pump", "esp", "gas_lift", "plunger_lift", "flowing"}
    assert {well["LIFT_TYPE"] for well in wells if well["LIFT_TYPE"]} == lifts
    assert {row["STATUS"] for row in tables["WORK_ORDERS"]} == {"open", "in_progress", "completed", "cancelled"}


def test_identifiers_are_unique(tables: dict[str, list[Row]]) -> None:
    for table, columns in (
        ("WELLS", ("API_NUMBER",)),
        ("DOWNTIME", ("DOWNTIME_ID",)),
        ("WORK_ORDERS", ("WORK_ORDER_ID",)),
        ("TECHNICIANS", ("TECHNICIAN_ID",)),
        ("MONTHLY_PRODUCTION", ("API_NUMBER", "PRODUCTION_MONTH")),
    ):
        ids = [tuple(row[column] for column in columns) for row in tables[table]]
        assert len(ids) == len(set(ids))


def test_days_on_and_downtime_agree_in_every_month(tables: dict[str, list[Row]], events: dict[str, list[Row]]) -> None:
    for row in tables["MONTHLY_PRODUCTION"]:
        month = row["PRODUCTION_MONTH"]
        start, end = (datetime.combine(day, datetime.min.time()) for day in (month, next_month(month)))
        down = sum(
            max(timedelta(0), min(event["ENDED_AT"], end) - max(event["STARTED_AT"], start)) / timedelta(days=1)
            for event in events[row["API_NUMBER"]]
        )
        assert row["DAYS_ON"] == pytest.approx((end - start).days - down, abs=0.006), (row["API_NUMBER"], month)


def test_well_produces_nothing_when_down_all_month(tables: dict[str, list[Row]]) -> None:
    for row in tables["MONTHLY_PRODUCTION"]:
        assert (row["OIL_BBL"] == 0) is (row["DAYS_ON"] == 0)


def test_events_of_a_well_follow_one_another(events: dict[str, list[Row]]) -> None:
    for of_well in events.values():
        for earlier, later in pairwise(of_well):
            assert earlier["ENDED_AT"] < later["STARTED_AT"] or (
                later["CAUSE"] == "long_term_shut_in" and earlier["ENDED_AT"] <= later["STARTED_AT"]
            )
        assert all(event["STARTED_AT"] < event["ENDED_AT"] <= PERIOD_END for event in of_well)


def test_shut_in_well_stays_down_and_plugged_well_has_no_rows(
    tables: dict[str, list[Row]], events: dict[str, list[Row]], wells: dict[str, Well]
) -> None:
    last = {row["API_NUMBER"]: row["PRODUCTION_MONTH"] for row in tables["MONTHLY_PRODUCTION"]}
    for well in wells.values():
        if well.status == "shut_in":
            final = events[well.api_number][-1]
            assert (final["CAUSE"], final["ENDED_AT"]) == ("long_term_shut_in", PERIOD_END)
        if well.status == "plugged":
            assert well.stopped is not None
            assert last[well.api_number] < well.stopped
        if well.status == "drilling":
            assert well.api_number not in last


def test_rates_follow_arps_within_the_noise(tables: dict[str, list[Row]], wells: dict[str, Well]) -> None:
    residuals = [
        math.log(row["OIL_BBL"] / row["DAYS_ON"] / well.oil_rate(months_on(well, row["PRODUCTION_MONTH"])))
        for row in tables["MONTHLY_PRODUCTION"]
        if row["DAYS_ON"] and (well := wells[row["API_NUMBER"]])
    ]
    mean = sum(residuals) / len(residuals)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in residuals) / len(residuals))
    assert abs(mean) < 0.005
    assert deviation == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize(("exponent", "months", "rate"), [(1, 0, 1000), (1, 10, 500), (0.5, 20, 250)])
def test_arps_gives_the_textbook_numbers(exponent: float, months: float, rate: float) -> None:
    from dataclasses import replace

    well = replace(make_wells()[0], initial_rate=1000, initial_decline=0.1, exponent=exponent)
    assert well.oil_rate(months) == pytest.approx(rate)


def test_deferred_oil_is_the_rate_over_the_hours(tables: dict[str, list[Row]], wells: dict[str, Well]) -> None:
    for event in tables["DOWNTIME"]:
        assert 0 < event["DEFERRED_OIL_BBL"] / event["HOURS"] * 24 <= wells[event["API_NUMBER"]].initial_rate


def test_work_orders_refer_to_what_exists_and_fits(tables: dict[str, list[Row]], wells: dict[str, Well]) -> None:
    people = {row["TECHNICIAN_ID"]: row for row in tables["TECHNICIANS"]}
    events = {row["DOWNTIME_ID"]: row for row in tables["DOWNTIME"]}
    for order in tables["WORK_ORDERS"]:
        well = wells[order["API_NUMBER"]]
        if order["TECHNICIAN_ID"]:
            person = people[order["TECHNICIAN_ID"]]
            assert person["REGION"] == well.area.basin
            assert SKILLS[order["WORK_TYPE"]] in person["SKILLS"].split(",")
        if order["DOWNTIME_ID"]:
            event = events[order["DOWNTIME_ID"]]
            assert event["API_NUMBER"] == well.api_number
            assert order["OPENED_ON"] == event["STARTED_AT"].date()
        completed = order["STATUS"] == "completed"
        assert (order["COMPLETED_ON"] is not None) is completed
        assert (order["LABOR_HOURS"] is not None) is completed
        assert order["OPENED_ON"] <= (order["COMPLETED_ON"] or LAST_DAY) <= LAST_DAY


def test_dates_of_a_well_are_in_order(wells: dict[str, Well]) -> None:
    for well in wells.values():
        assert well.spud < (well.first_production or LAST_DAY + timedelta(days=1))


def test_api_numbers_belong_to_the_county_and_to_no_real_well_in_use(wells: dict[str, Well]) -> None:
    for well in wells.values():
        assert well.api_number.startswith(f"{well.area.api_prefix}-9")
        assert abs(well.latitude - well.area.latitude) < 0.25
        assert abs(well.longitude - well.area.longitude) < 0.25


def test_every_base_has_every_skill(tables: dict[str, list[Row]]) -> None:
    for base in (base for bases in CREW_BASES.values() for base in bases):
        skills = {skill for row in tables["TECHNICIANS"] if row["BASE"] == base for skill in row["SKILLS"].split(",")}
        assert set(SKILLS.values()) <= skills


def test_every_row_is_labelled_and_holds_the_values_that_the_schema_lists() -> None:
    for name, rows in make_tables().items():
        columns = load_schema().tables[name].columns
        for row in rows:
            assert len(row) == len(columns)
            named = dict(zip(columns, row, strict=True))
            assert named["DATA_LABEL"] == "SYNTHETIC"
            for column, spec in columns.items():
                assert not spec.values or named[column] is None or named[column] in spec.values
