"""Which months a decline is fitted to, and whether they can bear it: shut-in and curtailment are not decline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from services.specialists.well_data.field_data import FieldData, Outage, Stream, Well, WellMonth
from services.specialists.well_data.months import add_months, days_in, first_provisional, months_between
from services.specialists.well_data.results import NotComputable

MIN_MONTHS = 12
MIN_UPTIME = 0.5
"""Of the month: a month with less time on production tells more of the outage than of the reservoir."""
MAX_CURTAILED = 0.1
"""Of the month's hours."""
CURTAILMENT_CAUSES = frozenset({"gathering_limit", "curtailment", "market"})
MAX_UNUSABLE = 0.5
DAYS_PER_YEAR = 365.25
DeclineModel = Literal["modified_hyperbolic", "hyperbolic", "exponential", "harmonic"]
TERMINAL_DECLINE = 0.06
"""Effective, per year: where the modified hyperbolic becomes exponential."""
RESAMPLES = 120
"""Refits of the bootstrap that gives a fit its interval."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """The rate of one usable month, per producing day, at the middle of the month."""

    month: date
    days: float
    """From the start of the first month of the fit."""
    rate: float


@dataclass(frozen=True, slots=True)
class DeclineData:
    """What a decline is fitted to."""

    well: Well
    stream: Stream
    points: tuple[RatePoint, ...]
    window: tuple[WellMonth, ...]
    """All months from the first to the last of the fit, the unusable ones included."""
    before: tuple[WellMonth, ...]
    """Loaded months before them."""
    excluded: dict[str, tuple[date, ...]]
    """Months from the first one on that the fit leaves out, by reason."""
    first: date
    end_days: float
    """From the start of the first month to the end of the last one of the fit."""


def collect_decline_data(
    data: FieldData, well: Well, stream: Stream, *, first: date | None = None, last: date | None = None
) -> DeclineData:
    """The months to fit. Raises `NotComputable` with the reason if there are too few that tell of decline."""
    months = data.months_by_well().get(well.api, [])
    reported = [month for month in months if month.volume(stream) is not None]
    if not reported:
        raise NotComputable("no_data", f"{well.label} has no reported {stream}")
    open_from = first_provisional(well.api, data.as_of)
    reasons: dict[date, str] = {}
    for month in reported:
        if reason := _unusable(month, stream, [each for each in data.outages if each.api == well.api], open_from):
            reasons[month.month] = reason
    inside = [
        month for month in reported if (first is None or month.month >= first) and (last is None or month.month <= last)
    ]
    usable = [month for month in inside if month.month not in reasons]
    if len(usable) < MIN_MONTHS:
        raise NotComputable("too_few_months", _too_few(well, len(usable), inside, reasons))
    start = usable[0] if first else max(usable, key=lambda month: (_rate(month, stream), -month.month.toordinal()))
    usable = [month for month in usable if month.month >= start.month]
    window = [month for month in inside if start.month <= month.month <= usable[-1].month]
    out = {
        month.month: reasons[month.month] for month in inside if month.month in reasons and month.month > start.month
    }
    if len(usable) < MIN_MONTHS:
        peak = f"the rate peaks in {start.month:%Y-%m}; since then {_too_few(well, len(usable), window, out)}"
        raise NotComputable("too_few_months", peak)
    span = months_between(start.month, usable[-1].month) + 1
    if len(usable) < span * MAX_UNUSABLE:
        message = f"{well.label}: only {len(usable)} of {span} months from {start.month:%Y-%m} on tell of decline"
        raise NotComputable("mostly_not_producing", f"{message} ({_listed(out, span - len(window))})")
    points = tuple(
        RatePoint(month.month, (month.month - start.month).days + days_in(month.month) / 2, _rate(month, stream))
        for month in usable
    )
    by_reason: dict[str, tuple[date, ...]] = {}
    for at, reason in sorted(out.items()):
        by_reason[reason] = (*by_reason.get(reason, ()), at)
    return DeclineData(
        well,
        stream,
        points,
        tuple(window),
        tuple(month for month in reported if month.month < start.month),
        by_reason,
        start.month,
        float((add_months(usable[-1].month, 1) - start.month).days),
    )


def _unusable(month: WellMonth, stream: Stream, outages: Sequence[Outage], open_from: date | None) -> str | None:
    days, volume = days_in(month.month), month.volume(stream) or 0.0
    if open_from is not None and month.month >= open_from:
        return "may be incomplete"
    if month.days_on is None:
        return "days on production unknown"
    if volume <= 0 or month.days_on < MIN_UPTIME * days:
        return "shut in for half of the month or more"
    curtailed = sum(hours_in(each, month.month) for each in outages if each.cause in CURTAILMENT_CAUSES)
    return "curtailed" if curtailed > MAX_CURTAILED * days * 24 else None


def hours_in(outage: Outage, month: date) -> float:
    """Hours of an outage within a calendar month. One that is still open reaches the month's end."""
    start = datetime.combine(month, time())
    end = start + timedelta(days=days_in(month))
    until = min(outage.ended_at or end, end)
    return max(0.0, (until - max(outage.started_at, start)).total_seconds() / 3_600)


def _rate(month: WellMonth, stream: Stream) -> float:
    return (month.volume(stream) or 0.0) / (month.days_on or 1.0)


def _too_few(well: Well, usable: int, months: Sequence[WellMonth], reasons: dict[date, str]) -> str:
    inside = {month.month: reasons[month.month] for month in months if month.month in reasons}
    why = f" ({_listed(inside, 0)})" if inside else ""
    return f"{well.label} has {usable} usable months{why}: a decline fit needs {MIN_MONTHS}"


def _listed(reasons: dict[date, str], missing: int) -> str:
    counts: dict[str, int] = {}
    for reason in reasons.values():
        counts[reason] = counts.get(reason, 0) + 1
    parts = [f"{count} {reason}" for reason, count in sorted(counts.items())]
    return ", ".join(parts + ([f"{missing} not reported"] if missing else []))
