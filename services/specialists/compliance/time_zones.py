"""Time zones in which the consumer may be: every one that a fact on file makes plausible."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from contracts.documents.accounts import ConsumerFacts

_FILE = Path(__file__).with_name("states.toml")


@cache
def zones_by_state() -> dict[str, tuple[str, ...]]:
    """IANA names by USPS code."""
    return {code: tuple(names) for code, names in tomllib.loads(_FILE.read_text(encoding="utf-8"))["zones"].items()}


def plausible_zones(consumer: ConsumerFacts) -> tuple[tuple[ZoneInfo, ...], tuple[str, ...]]:
    """The zones of every residence, telephone number and the stated zone; and the facts without a known zone.

    Comment 6(b)(1)(i)-2 to 12 CFR 1006.6: where an address and an area code disagree, both count. A toll-free
    number has no place and is ignored.
    """
    names: set[str] = set()
    silent: list[str] = []
    for residence in consumer.residences:
        there = zones_by_state().get(residence.state, ())
        names.update(there)
        if not there:
            silent.append(f"residence in {residence.state}")
    for phone in consumer.phones:
        found = _of_phone(phone)
        if found is None:
            continue
        names.update(found)
        if not found:
            silent.append("a telephone number without a known place")
    if consumer.time_zone is not None:
        names.add(consumer.time_zone)
    zones: list[ZoneInfo] = []
    for name in sorted(names):
        try:
            zones.append(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # ValueError for a path, OSError for a folder of the zone database such as "America".
            silent.append(f"the time zone {name!r}")
    return tuple(zones), tuple(silent)


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
