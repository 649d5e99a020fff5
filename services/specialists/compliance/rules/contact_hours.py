"""Rules about the moment of sending: usual hours, and times that the consumer called inconvenient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.specialists.compliance.pack import RulePack, next_change_at
from services.specialists.compliance.permitted_times import PermittedHours, plausible_zones
from services.specialists.compliance.rules.rule import RuleInput, RuleVerdict, blocks, passes, unknown


def permitted_hours(situation: RuleInput) -> PermittedHours | None:
    """The permitted hours; None if no time zone is known, or if a fact on file has an unknown place."""
    zones, silent = plausible_zones(situation.facts.consumer)
    if not zones or silent:
        return None
    timing = situation.pack.timing
    inconvenient = situation.facts.consumer.inconvenient_times or ()
    return PermittedHours(zones, timing.earliest, timing.latest, inconvenient)


def moment_valid_until(situation: RuleInput, packs: Sequence[RulePack]) -> datetime:
    """Until when a moment that is permitted now stays so: the end of the permitted hours, the pack's limit, or the
    midnight at which another pack or rule comes into force, because an email is sent only under the rules that checked
    it. Raises `ValueError` if the permitted hours are unknown; the rules block before that."""
    permitted = permitted_hours(situation)
    if permitted is None:
        raise ValueError("the permitted hours are unknown: the time zone is missing")
    limit = timedelta(minutes=situation.pack.timing.valid_minutes)
    ends = permitted.next_change(situation.now, limit, to=False)
    changes = next_change_at(packs, situation.now)
    return min(moment for moment in (ends, changes, situation.now + limit) if moment is not None)


def check_usual_hours(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(1)(i): not before 8 a.m. and not after 9 p.m., wherever the consumer may be.

    The moment of sending counts (comment 6(b)(1)-2).
    """
    permitted, missing = permitted_hours(situation), plausible_zones(situation.facts.consumer)[1]
    if permitted is None:
        return unknown(*(missing or ("consumer.residences", "consumer.phones", "consumer.time_zone")))
    where = ", ".join(sorted(zone.key for zone in permitted.zones))
    if permitted.is_usual(situation.now):
        return passes(f"within hours in {where}")
    return _reschedule(situation, permitted, f"out of hours in one of {where}")


def check_inconvenient_times(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.6(b)(1): at no time or place that the consumer called inconvenient."""
    if situation.facts.consumer.inconvenient_times is None:
        return unknown("consumer.inconvenient_times")
    permitted = permitted_hours(situation)
    if permitted is None:
        return unknown("the consumer's time zone")
    if permitted.is_convenient(situation.now):
        return passes("not at a time that the consumer called inconvenient")
    return _reschedule(situation, permitted, "at a time that the consumer called inconvenient")


def _reschedule(situation: RuleInput, permitted: PermittedHours, why: str) -> RuleVerdict:
    horizon = timedelta(days=situation.pack.timing.horizon_days)
    until = permitted.next_change(situation.now, horizon, to=True)
    if until is None:
        return blocks(f"{why}, and no moment of the next {horizon.days} days is permitted")
    return RuleVerdict("reschedule", (why,), until=until)
