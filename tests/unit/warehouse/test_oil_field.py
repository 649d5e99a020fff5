"""The committed data of the oil field: its tables agree with one another and with the schema."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from demo.oil_field.warehouse import oil_field_schema, read_table

Row = dict[str, Any]
PERIOD_END, LAST_DAY = datetime(2026, 7, 1), date(2026, 6, 30)
BASINS = {"Permian", "Eagle Ford", "Williston", "DJ", "Anadarko"}
SKILLS = {
    "pump_repair": "pump", "compressor_service": "compressor", "electrical": "electrical",
    "site_inspection": "instrumentation", "chemical_treatment": "chemical", "tank_gauging": "instrumentation",
    "preventive_maintenance": "pump",
}  # fmt: skip
"""What a technician must be able to do, by type of work."""
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
    return {name: parsed(name) for name in oil_field_schema().tables}


@pytest.fixture(scope="module")
def wells(tables: dict[str, list[Row]]) -> dict[str, Row]:
    return {well["API_NUMBER"]: well for well in tables["WELLS"]}


@pytest.fixture(scope="module")
def events(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    by_well = defaultdict(list)
    for event in tables["DOWNTIME"]:
        by_well[event["API_NUMBER"]].append(event)
    return by_well


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def test_dataset_has_its_minimum_of_wells_months_and_basins(tables: dict[str, list[Row]]) -> None:
    wells = tables["WELLS"]
    assert len(wells) >= 220
    assert len({row["PRODUCTION_MONTH"] for row in tables["MONTHLY_PRODUCTION"]}) >= 36
    assert {well["BASIN"] for well in wells} == BASINS
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


def test_events_of_a_well_do_not_overlap(events: dict[str, list[Row]]) -> None:
    for of_well in events.values():
        for earlier, later in pairwise(of_well):
            assert earlier["ENDED_AT"] < later["STARTED_AT"] or (
                later["CAUSE"] == "long_term_shut_in" and earlier["ENDED_AT"] <= later["STARTED_AT"]
            )
        assert all(event["STARTED_AT"] < event["ENDED_AT"] <= PERIOD_END for event in of_well)


def test_shut_in_well_stays_down_and_plugged_well_has_no_rows(
    tables: dict[str, list[Row]], events: dict[str, list[Row]], wells: dict[str, Row]
) -> None:
    last = {row["API_NUMBER"]: row["PRODUCTION_MONTH"] for row in tables["MONTHLY_PRODUCTION"]}
    for well in wells.values():
        if well["STATUS"] == "shut_in":
            final = events[well["API_NUMBER"]][-1]
            assert (final["CAUSE"], final["ENDED_AT"]) == ("long_term_shut_in", PERIOD_END)
        if well["STATUS"] == "plugged":
            assert last[well["API_NUMBER"]] < date(2026, 5, 1)
        if well["STATUS"] == "drilling":
            assert well["API_NUMBER"] not in last


def test_work_orders_refer_to_matching_wells_people_and_events(
    tables: dict[str, list[Row]], wells: dict[str, Row]
) -> None:
    people = {row["TECHNICIAN_ID"]: row for row in tables["TECHNICIANS"]}
    events = {row["DOWNTIME_ID"]: row for row in tables["DOWNTIME"]}
    for order in tables["WORK_ORDERS"]:
        well = wells[order["API_NUMBER"]]
        if order["TECHNICIAN_ID"]:
            person = people[order["TECHNICIAN_ID"]]
            assert person["REGION"] == well["BASIN"]
            assert SKILLS[order["WORK_TYPE"]] in person["SKILLS"].split(",")
        if order["DOWNTIME_ID"]:
            event = events[order["DOWNTIME_ID"]]
            assert event["API_NUMBER"] == well["API_NUMBER"]
            assert order["OPENED_ON"] == event["STARTED_AT"].date()
        completed = order["STATUS"] == "completed"
        assert (order["COMPLETED_ON"] is not None) is completed
        assert (order["LABOR_HOURS"] is not None) is completed
        assert order["OPENED_ON"] <= (order["COMPLETED_ON"] or LAST_DAY) <= LAST_DAY


def test_dates_of_a_well_are_in_order(wells: dict[str, Row]) -> None:
    for well in wells.values():
        assert well["SPUD_DATE"] < (well["FIRST_PRODUCTION_DATE"] or LAST_DAY + timedelta(days=1))


def test_api_numbers_are_outside_the_range_of_real_wells(wells: dict[str, Row]) -> None:
    assert all(re.fullmatch(r"\d\d-\d{3}-9\d{4}", number) for number in wells)


def test_bases_each_have_all_skills(tables: dict[str, list[Row]]) -> None:
    for base in {row["BASE"] for row in tables["TECHNICIANS"]}:
        skills = {skill for row in tables["TECHNICIANS"] if row["BASE"] == base for skill in row["SKILLS"].split(",")}
        assert set(SKILLS.values()) <= skills


def test_rows_are_labelled_and_have_only_listed_values(tables: dict[str, list[Row]]) -> None:
    for name, rows in tables.items():
        columns = oil_field_schema().tables[name].columns
        for row in rows:
            assert list(row) == list(columns)
            assert row["DATA_LABEL"] == "SYNTHETIC"
            assert all(not spec.values or row[column] in {None, *spec.values} for column, spec in columns.items())
