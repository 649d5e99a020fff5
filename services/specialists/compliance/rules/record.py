"""The rule about records: verdicts are kept for three years."""

from __future__ import annotations

from datetime import date

from services.specialists.compliance.rules.rule import RuleInput, RuleVerdict, blocks, passes, unknown


def retain_until(situation: RuleInput) -> date | None:
    """The last day on which the verdict must be kept: `years` after the last known collection activity.

    This review is an activity itself, so at least `years` from today. None if the last activity is unknown.
    """
    history = situation.facts.history
    if history.last_activity_on is None:
        if history.contacted_before is not False:
            return None
        last = situation.today
    else:
        last = max(date.fromisoformat(history.last_activity_on), situation.today)
    return _years_after(last, situation.pack.record.years)


def retain_at_least(situation: RuleInput) -> date:
    """`retain_until`, or the date for an activity today if the last activity is unknown."""
    return retain_until(situation) or _years_after(situation.today, situation.pack.record.years)


def check_retention(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.100(a): hash, pack and verdict are kept until three years after the last collection activity."""
    last = situation.facts.history.last_activity_on
    if last is not None and date.fromisoformat(last) > situation.today:
        return blocks("the last collection activity is dated in the future")
    until = retain_until(situation)
    if until is None:
        return unknown("history.last_activity_on")
    return passes(f"recorded, to be kept until {until} or longer")


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # the 29th of February
        return date(day.year + years, 3, 1)
