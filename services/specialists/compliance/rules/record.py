"""The rule about the record: what was decided must be found again for three years."""

from __future__ import annotations

from datetime import date

from services.specialists.compliance.rules.rule import (
    RuleInput,
    RuleVerdict,
    block_for_missing_facts,
    block_with,
    pass_with,
)


def retain_until(situation: RuleInput) -> date | None:
    """The last day on which the verdict must be kept: `years` after the last collection activity, as far as is known.

    This review is an activity itself, so never less than `years` from today. None if nobody knows of the last activity.
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
    """`retain_until`, and for a verdict on facts that do not tell it, as if the last activity were today."""
    return retain_until(situation) or _years_after(situation.today, situation.pack.record.years)


def check_retention(situation: RuleInput) -> RuleVerdict:
    """12 CFR 1006.100(a): hash, pack and verdict are kept until three years after the last collection activity."""
    last = situation.facts.history.last_activity_on
    if last is not None and date.fromisoformat(last) > situation.today:
        return block_with("the last collection activity is dated in the future")
    until = retain_until(situation)
    if until is None:
        return block_for_missing_facts("history.last_activity_on")
    return pass_with(f"recorded, to be kept until {until} or longer")


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # the 29th of February
        return date(day.year + years, 3, 1)
