"""When an email may be sent: in every plausible zone, through summer time, and never a second too early."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents.accounts import ConsumerFacts, InconvenientPeriod, Residence
from services.specialists.compliance.pack import newest_pack
from services.specialists.compliance.permitted_times import (
    PermittedHours,
    plausible_days,
    plausible_zones,
    zones_by_state,
)
from services.specialists.compliance.review import evaluate_rules
from services.specialists.compliance.rules.contact_hours import moment_valid_until
from tests.unit.compliance.emails import SALT, facts, situation

HORIZON = timedelta(days=15)
ZONES = sorted({name for names in zones_by_state().values() for name in names})
ELSEWHERE = ["Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns"]
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
TIMES = st.times().map(lambda each: each.strftime("%H:%M"))
DAYS = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, max_size=7, unique=True)
PERIODS = st.lists(
    st.builds(lambda days, start, end: InconvenientPeriod(days=tuple(days), start=start, end=end), DAYS, TIMES, TIMES),
    max_size=3,
)


def hours(names: list[str], periods: list[InconvenientPeriod] | None = None) -> PermittedHours:
    """The usual hours in some zones."""
    return PermittedHours(tuple(map(ZoneInfo, names)), time(8), time(21), tuple(periods or ()))


ANYWHERE = st.lists(st.sampled_from(ZONES + ELSEWHERE), min_size=1, max_size=4, unique=True)


@given(ANYWHERE, MOMENTS)
def test_permitted_moment_is_within_hours_on_all_clocks(names: list[str], moment: datetime) -> None:
    if hours(names).permitted(moment):
        for name in names:
            local = moment.astimezone(ZoneInfo(name))
            assert 8 <= local.hour < 21


@given(ANYWHERE, PERIODS, MOMENTS)
def test_next_permitted_moment_is_the_first_permitted_one(
    names: list[str], periods: list[InconvenientPeriod], moment: datetime
) -> None:
    permitted = hours(names, periods)
    found = permitted.next_change(moment, HORIZON, to=True)
    until = found if found is not None else moment + HORIZON
    assert found is None or permitted.permitted(found)
    # All limits lie on whole minutes, so the minutes between tell everything.
    step = timedelta(minutes=7)
    while moment < until:
        assert not permitted.permitted(moment)
        moment += step
    if found is not None and found != moment:
        assert not permitted.permitted(min(moment - step, found - timedelta(seconds=1)))


@given(ANYWHERE, PERIODS, MOMENTS)
def test_moment_is_permitted_until_the_next_change(
    names: list[str], periods: list[InconvenientPeriod], moment: datetime
) -> None:
    permitted = hours(names, periods)
    if permitted.permitted(moment):
        ends = permitted.next_change(moment, HORIZON, to=False)
        assert ends is not None
        assert not permitted.permitted(ends)
        assert permitted.permitted(ends - timedelta(microseconds=1))


@given(ANYWHERE, MOMENTS)
def test_consumer_in_two_zones_has_a_moment_within_two_days(names: list[str], moment: datetime) -> None:
    # Two windows of 13 hours meet wherever they lie; three need not.
    assert hours(names[:2]).next_change(moment, timedelta(days=2), to=True) is not None


def test_guam_and_puerto_rico_share_three_hours_a_day() -> None:
    permitted = hours(["Pacific/Guam", "America/Puerto_Rico"])
    opens = permitted.next_change(datetime(2026, 9, 15, 12, tzinfo=UTC), HORIZON, to=True)
    assert opens == datetime(2026, 9, 15, 22, tzinfo=UTC)
    assert permitted.next_change(opens, HORIZON, to=False) == opens + timedelta(hours=3)


def test_guam_puerto_rico_and_london_share_no_moment_and_are_blocked() -> None:
    account = facts(
        consumer__residences=[{"state": "GU"}, {"state": "PR"}], consumer__phones=["+442071838750"],
        consumer__time_zone=None,
    )  # fmt: skip
    verdicts = {result.rule.id: result.verdict for result in evaluate_rules(situation(account), "sending", SALT)}
    assert verdicts["R01"].kind == "block"
    assert "no moment of the next 15 days" in verdicts["R01"].evidence[0]


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        # Summer time begins on 8 March 2026 and ends on 1 November 2026, both at 2 a.m. in New York.
        ("2026-03-07T02:00:00+00:00", "2026-03-07T13:00:00+00:00"),
        ("2026-03-08T03:00:00+00:00", "2026-03-08T12:00:00+00:00"),
        ("2026-10-31T02:00:00+00:00", "2026-10-31T12:00:00+00:00"),
        ("2026-11-01T03:00:00+00:00", "2026-11-01T13:00:00+00:00"),
    ],
)
def test_eight_in_the_morning_moves_with_summer_time(asked: str, opens: str) -> None:
    found = hours(["America/New_York"]).next_change(datetime.fromisoformat(asked), HORIZON, to=True)
    assert found == datetime.fromisoformat(opens)


def test_arizona_hours_include_the_navajo_nations_clock_in_summer() -> None:
    consumer = ConsumerFacts(first_name="A", last_name="B", residences=(Residence(state="AZ"),))
    zones, _ = plausible_zones(consumer)
    permitted = PermittedHours(zones, time(8), time(21))
    july, january = datetime(2026, 7, 1, 14, 30, tzinfo=UTC), datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    assert permitted.next_change(july, HORIZON, to=True) == datetime(2026, 7, 1, 15, tzinfo=UTC)
    assert permitted.next_change(january, HORIZON, to=True) == datetime(2026, 1, 5, 15, tzinfo=UTC)


def test_inconvenient_hour_repeated_by_dst_is_inconvenient_twice() -> None:
    period = InconvenientPeriod(days=("sun",), start="01:00", end="02:00")
    zone = ZoneInfo("America/New_York")
    always = PermittedHours((zone,), time(0), time(23, 59), (period,))
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert not always.permitted(first)
    assert not always.permitted(first + timedelta(hours=1))
    assert always.next_change(first, HORIZON, to=True) == datetime(2026, 11, 1, 7, tzinfo=UTC)


def test_permitted_moment_lasts_fifteen_minutes_within_the_window() -> None:
    noon = situation()
    assert moment_valid_until(noon, (newest_pack(),)) == noon.now + timedelta(minutes=15)
    late = situation(now=datetime(2026, 9, 16, 0, 55, tzinfo=UTC))
    assert moment_valid_until(late, (newest_pack(),)) == datetime(2026, 9, 16, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "until"),
    [
        ("2026-09-15", datetime(2026, 9, 16, 0, 10, tzinfo=UTC)),  # in force already, and superseded by none
        ("2026-09-16", datetime(2026, 9, 16, tzinfo=UTC)),
        ("2026-09-17", datetime(2026, 9, 16, 0, 10, tzinfo=UTC)),
    ],
)
def test_checked_moment_is_not_valid_past_the_midnight_of_the_next_pack(day: str, until: datetime) -> None:
    old = newest_pack()
    new = old.model_copy(update={"version": day, "effective_from": date.fromisoformat(day)})
    evening = situation(now=datetime(2026, 9, 15, 23, 55, tzinfo=UTC))
    for packs in ((old, new), (new, old)):
        assert moment_valid_until(evening, packs) == until
    assert moment_valid_until(evening, (old,)) == evening.now + timedelta(minutes=15)


def test_permitted_moment_ends_before_a_rule_takes_effect() -> None:
    september = datetime(2026, 9, 1, tzinfo=UTC)
    eve = situation(now=september - timedelta(minutes=5))
    assert moment_valid_until(eve, (newest_pack(),)) == september
    assert moment_valid_until(situation(now=september), (newest_pack(),)) == september + timedelta(minutes=15)


def test_state_and_territory_have_known_zones_and_forces_none() -> None:
    assert len(zones_by_state()) == 50 + 1 + 5
    assert all(ZoneInfo(name) for names in zones_by_state().values() for name in names)
    consumer = ConsumerFacts(first_name="A", last_name="B", residences=(Residence(state="AE"),))
    assert plausible_zones(consumer) == ((), ("residence in AE",))


@pytest.mark.parametrize(
    ("consumer", "moment", "earliest", "latest"),
    [
        ({"residences": (Residence(state="CA"),)}, "2026-07-30T03:30:00+00:00", "2026-07-29", "2026-07-29"),
        ({"residences": (Residence(state="CA"),)}, "2026-07-30T07:00:00+00:00", "2026-07-30", "2026-07-30"),
        ({"residences": (Residence(state="OH"), Residence(state="CA"))}, "2026-07-30T05:00:00+00:00", "2026-07-29",
         "2026-07-30"),
        ({"residences": (Residence(state="GU"),)}, "2026-07-29T15:00:00+00:00", "2026-07-30", "2026-07-30"),
        ({}, "2026-07-30T11:59:59+00:00", "2026-07-29", "2026-07-31"),
        ({"residences": (Residence(state="OH"),), "time_zone": "[zone]"}, "2026-07-30T11:00:00+00:00", "2026-07-29",
         "2026-07-31"),
    ],
)  # fmt: skip
def test_plausible_days_cover_each_place_of_the_consumer(
    consumer: dict[str, Any], moment: str, earliest: str, latest: str
) -> None:
    given_consumer = ConsumerFacts(first_name="Dana", last_name="Whitfield", **consumer)
    days = plausible_days(given_consumer, datetime.fromisoformat(moment))
    assert [day.isoformat() for day in days] == [earliest, latest]
