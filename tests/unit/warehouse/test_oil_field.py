from __future__ import annotations

import calendar
import math
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from demo.oil_field.areas import CREW_BASES
from demo.oil_field.crews import SKILL_BY_WORK_TYPE
from demo.oil_field.decline import Decline
from demo.oil_field.downtime import Downtime
from demo.oil_field.generate import OilField, generate_oil_field, write_csv
from demo.oil_field.period import LAST_DAY, PERIOD_END, months, months_between
from services.specialists.text_to_sql.schema import load_schema
from switchyard.devstack.simulators.snowflake.load import column_names


@pytest.fixture(scope="module")
def field() -> OilField:
    return generate_oil_field()


@pytest.fixture(scope="module")
def events(field: OilField) -> dict[str, list[Downtime]]:
    by_well = defaultdict(list)
    for event in field.downtime:
        by_well[event.well.api_number].append(event)
    return by_well


def test_there_is_enough_to_ask_about(field: OilField) -> None:
    assert len(field.wells) >= 220
    assert len(list(months())) >= 36
    assert {well.area.basin for well in field.wells} == set(CREW_BASES)
    assert {well.status for well in field.wells} == {"producing", "shut_in", "plugged", "drilling"}
    assert {well.lift for well in field.wells if well.lift} == {
        "rod_pump",
        "esp",
        "gas_lift",
        "plunger_lift",
        "flowing",
    }
    assert {order.status for order in field.work_orders} == {"open", "in_progress", "completed", "cancelled"}


def test_identifiers_are_unique(field: OilField) -> None:
    for ids in (
        [well.api_number for well in field.wells],
        [event.id for event in field.downtime],
        [order.id for order in field.work_orders],
        [person.id for person in field.technicians],
        [(row.well.api_number, row.month) for row in field.production],
    ):
        assert len(ids) == len(set(ids))


def test_days_on_and_downtime_agree_in_every_month(field: OilField, events: dict[str, list[Downtime]]) -> None:
    for row in field.production:
        days = calendar.monthrange(row.month.year, row.month.month)[1]
        down = sum(event.hours_in(row.month) for event in events[row.well.api_number]) / 24
        assert row.days == pytest.approx(days - down, abs=0.006), (row.well.api_number, row.month)


def test_a_well_makes_nothing_when_it_is_down_all_month_and_something_otherwise(field: OilField) -> None:
    for row in field.production:
        assert (row.oil == 0) is (row.days == 0)


def test_events_of_a_well_follow_one_another(events: dict[str, list[Downtime]]) -> None:
    for of_well in events.values():
        assert all(
            earlier.ended < later.started or later.cause == "long_term_shut_in" for earlier, later in pairwise(of_well)
        )
        assert all(earlier.ended <= later.started for earlier, later in pairwise(of_well))
        assert all(event.started < event.ended <= PERIOD_END for event in of_well)


def test_a_shut_in_well_is_down_to_the_end_and_a_plugged_one_has_no_more_rows(
    field: OilField, events: dict[str, list[Downtime]]
) -> None:
    last = {row.well.api_number: row.month for row in field.production}
    for well in field.wells:
        if well.status == "shut_in":
            final = events[well.api_number][-1]
            assert (final.cause, final.ended) == ("long_term_shut_in", PERIOD_END)
        if well.status == "plugged":
            assert well.stopped is not None
            assert last[well.api_number] < well.stopped
        if well.status == "drilling":
            assert well.api_number not in last


def test_rates_follow_arps_within_the_noise(field: OilField) -> None:
    residuals = []
    for row in field.production:
        if row.days:
            assert row.well.first_production is not None
            months_on = months_between(row.well.first_production, row.month) + 0.5
            residuals.append(math.log(row.oil / row.days / row.well.decline.rate(months_on)))
    mean = sum(residuals) / len(residuals)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in residuals) / len(residuals))
    assert abs(mean) < 0.005
    assert deviation == pytest.approx(0.05, abs=0.003)


def test_arps_gives_the_textbook_numbers() -> None:
    harmonic = Decline(initial_rate=1000, initial_decline=0.1, exponent=1)
    assert harmonic.rate(0) == pytest.approx(1000)
    assert harmonic.rate(10) == pytest.approx(500)
    hyperbolic = Decline(initial_rate=1000, initial_decline=0.1, exponent=0.5)
    assert hyperbolic.rate(20) == pytest.approx(250)


def test_deferred_oil_is_the_rate_over_the_hours(field: OilField) -> None:
    for event in field.downtime:
        a_day = event.deferred_oil / event.hours * 24
        assert 0 < a_day <= event.well.decline.initial_rate


def test_work_orders_refer_to_what_exists_and_fits(field: OilField) -> None:
    known = {id(well) for well in field.wells}
    for order in field.work_orders:
        assert id(order.well) in known
        if order.technician:
            assert order.technician.region == order.well.area.basin
            assert SKILL_BY_WORK_TYPE[order.type] in order.technician.skills
        if order.downtime:
            assert order.downtime.well is order.well
            assert order.opened == order.downtime.started.date()
        assert (order.completed is not None) is (order.status == "completed")
        assert (order.hours is not None) is (order.status == "completed")
        assert order.opened <= (order.completed or LAST_DAY) <= LAST_DAY


def test_dates_of_a_well_are_in_order(field: OilField) -> None:
    for well in field.wells:
        assert well.spud < (well.first_production or LAST_DAY + timedelta(days=1))


def test_api_numbers_belong_to_the_county_and_to_no_real_well_in_use(field: OilField) -> None:
    for well in field.wells:
        assert well.api_number.startswith(f"{well.area.api_prefix}-9")
        assert abs(well.latitude - well.area.latitude) < 0.25
        assert abs(well.longitude - well.area.longitude) < 0.25


def test_every_base_has_every_skill(field: OilField) -> None:
    for base in (base for bases in CREW_BASES.values() for base in bases):
        skills = {skill for person in field.technicians if person.base == base for skill in person.skills}
        assert set(SKILL_BY_WORK_TYPE.values()) <= skills


def test_every_row_is_labelled_and_as_wide_as_the_schema(field: OilField) -> None:
    columns = column_names(load_schema())
    for name, rows in field.tables().items():
        for row in rows:
            assert len(row) == len(columns[name])
            assert row[columns[name].index("DATA_LABEL")] == "SYNTHETIC"


def test_values_are_those_that_the_schema_lists(field: OilField) -> None:
    schema = load_schema()
    for name, rows in field.tables().items():
        listed = [
            (index, set(spec.values)) for index, spec in enumerate(schema.tables[name].columns.values()) if spec.values
        ]
        for row in rows:
            assert all(row[index] is None or row[index] in values for index, values in listed)


def test_the_same_seed_writes_the_same_files_and_another_does_not(tmp_path: Path) -> None:
    columns = column_names(load_schema())
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_csv(generate_oil_field(seed), tmp_path / folder, columns)

    def files(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    assert len(files("a")) == 5
    assert files("a") == files("b")
    assert all(files("a")[name] != files("c")[name] for name in files("a"))
