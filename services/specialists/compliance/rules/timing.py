"""Rules about the moment: the consumer's night, and the times that they called inconvenient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.specialists.compliance.pack import RulePack, changes_at
from services.specialists.compliance.permitted_times import Hours
from services.specialists.compliance.rules.rule import MOMENT, Rule, Situation, Verdict, blocked, passed, unknown
from services.specialists.compliance.time_zones import plausible


def hours(situation: Situation) -> Hours | None:
    """The permitted hours; None if no time zone is known, or if something on file points to a place nobody knows."""
    zones, silent = plausible(situation.facts.consumer)
    if not zones or silent:
        return None
    timing = situation.pack.timing
    inconvenient = situation.facts.consumer.inconvenient_times or ()
    return Hours(zones, timing.earliest, timing.latest, inconvenient)


def valid_until(situation: Situation, packs: Sequence[RulePack]) -> datetime:
    """Until when a moment that is permitted now stays so: whichever is first of three.

    They are the window's end, the pack's limit, and the midnight at which another of the packs, or a rule with a day of
    its own, comes into force: nothing is sent under rules that it was not checked by.

    Raises `ValueError` if the hours are not known, which the rules say first.
    """
    permitted = hours(situation)
    if permitted is None:
        raise ValueError("no permitted hours without a time zone")
    limit = timedelta(minutes=situation.pack.timing.valid_minutes)
    ends = permitted.next_change(situation.now, limit, to=False)
    changes = changes_at(packs, situation.now)
    return min(moment for moment in (ends, changes, situation.now + limit) if moment is not None)


def usual_hours(situation: Situation) -> Verdict:
    """12 CFR 1006.6(b)(1)(i): not before 8 a.m. and not after 9 p.m., wherever the consumer may be.

    The moment counts at which the email is sent (comment 6(b)(1)-2).
    """
    permitted, missing = hours(situation), plausible(situation.facts.consumer)[1]
    if permitted is None:
        return unknown(*(missing or ("consumer.residences", "consumer.phones", "consumer.time_zone")))
    where = ", ".join(sorted(zone.key for zone in permitted.zones))
    if permitted.usual(situation.now):
        return passed(f"within hours in {where}")
    return _later(situation, permitted, f"out of hours in one of {where}")


def inconvenient_times(situation: Situation) -> Verdict:
    """12 CFR 1006.6(b)(1): at no time or place that the consumer called inconvenient."""
    if situation.facts.consumer.inconvenient_times is None:
        return unknown("consumer.inconvenient_times")
    permitted = hours(situation)
    if permitted is None:
        return unknown("the consumer's time zone")
    if permitted.convenient(situation.now):
        return passed("not at a time that the consumer called inconvenient")
    return _later(situation, permitted, "at a time that the consumer called inconvenient")


def _later(situation: Situation, permitted: Hours, why: str) -> Verdict:
    horizon = timedelta(days=situation.pack.timing.horizon_days)
    until = permitted.next_change(situation.now, horizon, to=True)
    if until is None:
        return blocked(f"{why}, and no moment of the next {horizon.days} days is permitted")
    return Verdict("reschedule", (why,), until=until)


_WHERE = ("consumer.residences", "consumer.phones", "consumer.time_zone", "consumer.inconvenient_times", "now")
R01 = Rule(
    id="R01",
    name="Hours of the day",
    citation="12 CFR 1006.6(b)(1)(i)",
    about="moment",
    severity="reschedule",
    stages=MOMENT,
    reads=_WHERE,
    check=usual_hours,
)
R02 = Rule(
    id="R02",
    name="Inconvenient times",
    citation="12 CFR 1006.6(b)(1)",
    about="moment",
    severity="reschedule",
    stages=MOMENT,
    reads=_WHERE,
    check=inconvenient_times,
)
