"""The economic limit: the rate at which a well no longer pays its operating cost, and what it makes until then."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from services.specialists.well_data.decline_data import DAYS_PER_YEAR, DeclineModel, collect_decline_data
from services.specialists.well_data.field_data import FieldData
from services.specialists.well_data.months import describe_limits, format_months
from services.specialists.well_data.results import NotComputable, ToolResult
from services.specialists.well_data.selection import ToolArguments, select_one

if TYPE_CHECKING:
    from services.specialists.well_data.decline_fit import Decline

DAYS_PER_MONTH = DAYS_PER_YEAR / 12
MAX_YEARS = 100
Dollars = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class EconomicLimitArguments(ToolArguments):
    """Prices and costs must be in the question: none is assumed."""

    well: Annotated[str, Field(max_length=60)] = Field(description="Name or API number.")
    oil_price: Dollars | None = Field(default=None, description="US dollars per bbl at the well.")
    fixed_cost_per_month: Dollars | None = Field(default=None, description="US dollars per month and well.")
    variable_cost_per_bbl: Dollars = Field(default=0.0, description="US dollars per bbl of oil.")
    net_revenue_interest: Share = 1.0
    working_interest: Share = 1.0
    severance_tax: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.0, description="Fraction of revenue."
    )
    limit_rate: Annotated[float, Field(gt=0, le=100_000)] | None = Field(
        default=None, description="bbl/d, if the question gives the limit itself."
    )
    model: DeclineModel = "modified_hyperbolic"


def compute_economic_limit(data: FieldData, given: EconomicLimitArguments) -> ToolResult:
    """The limit rate, when the forecast reaches it, and the oil until then. Raises `NotComputable`."""
    from services.specialists.well_data.decline_fit import fit_decline

    well = select_one(data.wells, given.well)
    if well.status == "plugged":
        raise NotComputable("plugged", f"{well.label} is plugged: nothing remains to produce")
    limit = given.limit_rate if given.limit_rate is not None else limit_rate(given)
    found = collect_decline_data(data, well, "oil")
    fit = fit_decline(found, given.model)
    of, sources = well.label, [month.source for month in found.window]
    period = format_months(point.month for point in found.points)
    result = ToolResult(f"Economic limit of {of}, decline fitted to {period}")
    result.add("economic limit", of, limit, "bbl/d", "at constant price and cost", ())
    ends = fit.decline.days_at(limit)
    if ends > MAX_YEARS * DAYS_PER_YEAR:
        raise NotComputable("no_limit", f"the forecast of {of} stays above {limit:.2f} bbl/d for {MAX_YEARS} years")
    if ends <= found.end_days:
        reached = found.first + timedelta(days=math.floor(ends))
        result.add("limit reached on the fitted curve", of, f"{reached}", "", period, sources)
        result.add("remaining oil", of, 0.0, "bbl", f"after {found.points[-1].month:%Y-%m}", sources)
        result.not_known.append("the fitted rate is at or below the limit already")
    else:
        low, high = fit.interval(lambda decline: _remaining(decline, found.end_days, limit))
        reached = found.first + timedelta(days=math.floor(ends))
        after = f"from the end of {found.points[-1].month:%Y-%m} to the limit"
        result.add("limit reached", of, f"{reached}", "", after, sources)
        result.add("remaining oil", of, _remaining(fit.decline, found.end_days, limit), "bbl", after, sources, digits=0)
        result.add("remaining oil, 80 % interval", of, f"{low:.0f} to {high:.0f}", "bbl", after, sources)
    result.not_known.append("gas and water revenue and cost, taxes other than given, abandonment and price changes")
    result.not_known += describe_limits([*found.before, *found.window], data.as_of)
    return result


def limit_rate(given: EconomicLimitArguments) -> float:
    """bbl/d at which net revenue equals operating cost. Raises `NotComputable` if a term is missing or no rate pays."""
    missing = [name.replace("_", " ") for name in ("oil_price", "fixed_cost_per_month") if getattr(given, name) is None]
    if given.oil_price is None or given.fixed_cost_per_month is None:
        message = f"the question does not give: {', '.join(missing)}; the loaded data hold no prices or costs"
        raise NotComputable("terms_missing", message)
    revenue = given.oil_price * (1 - given.severance_tax) * given.net_revenue_interest
    margin = revenue - given.variable_cost_per_bbl * given.working_interest
    if margin <= 0:
        raise NotComputable("no_margin", "a barrel costs more than it earns: no rate is economic")
    return given.fixed_cost_per_month * given.working_interest / margin / DAYS_PER_MONTH


def _remaining(decline: Decline, from_day: float, limit: float) -> float:
    until = min(decline.days_at(limit), MAX_YEARS * DAYS_PER_YEAR)
    return decline.volume(from_day, until) if until > from_day else 0.0
