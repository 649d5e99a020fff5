"""Permitted moments on local clocks, including daylight saving time, and the zones in which the consumer may be."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from contracts.documents.accounts import ConsumerFacts, InconvenientPeriod

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECOND = timedelta(seconds=1)
_OFFSETS = (-12, 14)
"""Of the first and the last place on Earth, in hours from UTC."""

_STATES = Path(__file__).with_name("states.toml")


@dataclass(frozen=True)
class PermittedHours:
    """When a consumer may be emailed: hours of the local day, less the times that the consumer called inconvenient."""

    zones: tuple[ZoneInfo, ...]
    earliest: time
    latest: time
    inconvenient: tuple[InconvenientPeriod, ...] = ()

    def permitted(self, moment: datetime) -> bool:
        """Whether `moment` is permitted on the clock of every zone: from `earliest`, and before `latest`."""
        return self.is_usual(moment) and self.is_convenient(moment)

    def is_usual(self, moment: datetime) -> bool:
        """Whether it is between `earliest` and `latest` in every zone."""
        return all(self.earliest <= moment.astimezone(zone).time() < self.latest for zone in self.zones)

    def is_convenient(self, moment: datetime) -> bool:
        """Whether it is inconvenient in no zone."""
        return not any(_covers(period, moment.astimezone(zone)) for zone in self.zones for period in self.inconvenient)

    def next_change(self, moment: datetime, horizon: timedelta, *, to: bool) -> datetime | None:
        """The first moment from `moment` on, within `horizon`, at which `permitted` is `to`, or None.

        The answer changes only when a local clock passes a limit or jumps, so only those moments are tried.
        """
        if self.permitted(moment) is to:
            return moment
        for candidate in sorted(set(self._changes(moment, horizon))):
            if moment < candidate <= moment + horizon and self.permitted(candidate) is to:
                return candidate
        return None

    def _changes(self, moment: datetime, horizon: timedelta) -> Iterator[datetime]:
        limits = {time(0), self.earliest, self.latest}
        for period in self.inconvenient:
            limits |= {time.fromisoformat(period.start), time.fromisoformat(period.end)}
        for zone in self.zones:
            first = moment.astimezone(zone).date() - timedelta(days=1)
            days = [first + timedelta(days=number) for number in range(horizon.days + 4)]
            yield from _clock_times(zone, days, limits)
            yield from _transitions(zone, days)


def _covers(period: InconvenientPeriod, local: datetime) -> bool:
    start, end = time.fromisoformat(period.start), time.fromisoformat(period.end)
    now, today, yesterday = local.time(), _DAYS[local.weekday()], _DAYS[(local.weekday() - 1) % 7]
    if start < end:
        return today in period.days and start <= now < end
    return (today in period.days and now >= start) or (yesterday in period.days and now < end)


def _clock_times(zone: ZoneInfo, days: Sequence[date], limits: Iterable[time]) -> Iterator[datetime]:
    """When the zone's clock shows each limit: twice in the hour that daylight saving time repeats."""
    for day in days:
        for limit in limits:
            for fold in (0, 1):
                yield datetime.combine(day, limit, tzinfo=zone).replace(fold=fold).astimezone(UTC)


def _transitions(zone: ZoneInfo, days: Sequence[date]) -> Iterator[datetime]:
    """When the zone's clock jumps, to the second."""
    for day in days:
        low = datetime.combine(day, time(0), tzinfo=UTC)
        high = low + timedelta(days=1)
        if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
            continue
        while high - low > _SECOND:
            middle = low + ((high - low) // _SECOND // 2) * _SECOND
            if low.astimezone(zone).utcoffset() == middle.astimezone(zone).utcoffset():
                low = middle
            else:
                high = middle
        yield high


@cache
def zones_by_state() -> dict[str, tuple[str, ...]]:
    """IANA names by USPS code."""
    return {code: tuple(names) for code, names in tomllib.loads(_STATES.read_text(encoding="utf-8"))["zones"].items()}


def plausible_zones(consumer: ConsumerFacts) -> tuple[tuple[ZoneInfo, ...], tuple[str, ...]]:
    """The zones of every residence, telephone number and the stated zone; and the facts without a known zone.

    Comment 6(b)(1)(i)-2 to 12 CFR 1006.6: where an address and an area code disagree, both count. A toll-free
    number has no place and is ignored.
    """
    facts = [(f"residence in {each.state}", zones_by_state().get(each.state, ())) for each in consumer.residences]
    phones = [_of_phone(phone) for phone in consumer.phones]
    facts += [("a telephone number without a known place", found) for found in phones if found is not None]
    silent = [fact for fact, found in facts if not found]
    names = {name for _, found in facts for name in found} | (
        set() if consumer.time_zone is None else {consumer.time_zone}
    )
    zones: list[ZoneInfo] = []
    for name in sorted(names):
        try:
            zones.append(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # ValueError for a path, OSError for a folder of the zone database such as "America".
            silent.append(f"the time zone {name!r}")
    return tuple(zones), tuple(silent)


def plausible_days(consumer: ConsumerFacts, now: datetime) -> tuple[date, date]:
    """The earliest and the latest day that it may be where the consumer is; anywhere on Earth if a place is unknown."""
    zones, silent = plausible_zones(consumer)
    days = [now.astimezone(zone).date() for zone in zones]
    if silent or not zones:
        days += [(now.astimezone(UTC) + timedelta(hours=hours)).date() for hours in _OFFSETS]
    return min(days), max(days)


def _of_phone(phone: str) -> tuple[str, ...] | None:
    """The zones of a number; empty if its place is unknown, None if it is toll-free."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ()
    if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.TOLL_FREE:
        return None
    found: tuple[str, ...] = timezone.time_zones_for_number(number)
    return tuple(name for name in found if name != timezone.UNKNOWN_TIMEZONE)
