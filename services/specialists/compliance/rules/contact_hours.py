"""Rules about the moment: the consumer's night, and the times that they called inconvenient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.specialists.compliance.pack import RulePack, next_change_at
from services.specialists.compliance.permitted_times import PermittedHours
from services.specialists.compliance.rules.rule import (
    MOMENT_STAGES,
    ComplianceRule,
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
)
from services.specialists.compliance.time_zones import plausible_zones


def permitted_hours(situation: RuleInput) -> PermittedHours | None:
    """The permitted hours; None if no time zone is known, or if something on file points to a place nobody knows."""
    zones, silent = plausible_zones(situation.facts.consumer)
    if not zones or silent:
        return None
    timing = situation.pack.timing
    inconvenient = situation.facts.consumer.inconvenient_times or ()
    return PermittedHours(zones, timing.earliest, timing.latest, inconvenient)


def moment_valid_until(situation: RuleInput, packs: Sequence[RulePack]) -> datetime:
    """Until when a moment that is permitted now stays so: whichever is first of three.

    They are the window's end, the pack's limit, and the midnight at which another of the packs, or a rule with a day of
    its own, comes into force: nothing is sent under rules that it was not checked by.

    Raises `ValueError` if the hours are not known, which the rules say first.
    """
    permitted = permitted_hours(situation)
    if permitted is None:
        raise ValueError("no permitted hours without a time zone")
    limit = timedelta(minutes=situation.pack.timing.valid_minutes)
    ends = permitted.next_change(situation.now, limit, to=False)
    changes = next_change_at(packs, situation.now)
    return min(moment for moment in (ends, changes, situation.now + limit) if moment is not None)


def check_usual_hours(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(1)(i): not before 8 a.m. and not after 9 p.m., wherever the consumer may be.

    The moment counts at which the email is sent (comment 6(b)(1)-2).
    """
    permitted, missing = permitted_hours(situation), plausible_zones(situation.facts.consumer)[1]
    if permitted is None:
        return block_for_missing_facts(*(missing or ("consumer.residences", "consumer.phones", "consumer.time_zone")))
    where = ", ".join(sorted(zone.key for zone in permitted.zones))
    if permitted.is_usual(situation.now):
        return pass_with(f"within hours in {where}")
    return _reschedule(situation, permitted, f"out of hours in one of {where}")


def check_inconvenient_times(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(1): at no time or place that the consumer called inconvenient."""
    if situation.facts.consumer.inconvenient_times is None:
        return block_for_missing_facts("consumer.inconvenient_times")
    permitted = permitted_hours(situation)
    if permitted is None:
        return block_for_missing_facts("the consumer's time zone")
    if permitted.is_convenient(situation.now):
        return pass_with("not at a time that the consumer called inconvenient")
    return _reschedule(situation, permitted, "at a time that the consumer called inconvenient")


def _reschedule(situation: RuleInput, permitted: PermittedHours, why: str) -> RuleVerdict:
    horizon = timedelta(days=situation.pack.timing.horizon_days)
    until = permitted.next_change(situation.now, horizon, to=True)
    if until is None:
        return block_with(f"{why}, and no moment of the next {horizon.days} days is permitted")
    return RuleVerdict("reschedule", (why,), until=until)


_WHERE = ("consumer.residences", "consumer.phones", "consumer.time_zone", "consumer.inconvenient_times", "now")
R01 = ComplianceRule(
    id="R01",
    name="Hours of the day",
    citation="12 CFR 1006.6(b)(1)(i)",
    topic="moment",
    severity="reschedule",
    stages=MOMENT_STAGES,
    reads=_WHERE,
    check=check_usual_hours,
)
R02 = ComplianceRule(
    id="R02",
    name="Inconvenient times",
    citation="12 CFR 1006.6(b)(1)",
    topic="moment",
    severity="reschedule",
    stages=MOMENT_STAGES,
    reads=_WHERE,
    check=check_inconvenient_times,
)
