"""The computations by name: arguments, what each reads, and the function. A card names those that an agent may run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.specialists.well_data.decline import (
    DeclineArguments,
    ForecastArguments,
    compute_decline,
    compute_forecast,
)
from services.specialists.well_data.downtime import (
    AllocationArguments,
    DowntimeArguments,
    ShutInArguments,
    compute_allocation,
    compute_downtime,
    compute_shut_ins,
)
from services.specialists.well_data.economics import EconomicLimitArguments, compute_economic_limit
from services.specialists.well_data.facts import FactsArguments, compute_facts
from services.specialists.well_data.field_data import FieldData, Well
from services.specialists.well_data.months import add_months
from services.specialists.well_data.production import (
    CumulativeArguments,
    MoversArguments,
    ProductionArguments,
    compute_cumulative,
    compute_movers,
    compute_production,
)
from services.specialists.well_data.ratios import RatioArguments, compute_ratio_trend
from services.specialists.well_data.results import ToolResult
from services.specialists.well_data.selection import ToolArguments, month_of, select_one, select_wells
from services.specialists.well_data.store import DataRequest, LoadedTable
from services.specialists.well_data.subsurface import (
    LogArguments,
    SurveyArguments,
    compute_log_value,
    compute_position,
)


@dataclass(frozen=True, slots=True)
class WellTool:
    """One computation."""

    name: str
    description: str
    arguments: type[ToolArguments]
    compute: Callable[[FieldData, Any], ToolResult]
    reads: frozenset[LoadedTable]

    def request(self, given: ToolArguments) -> DataRequest:
        """What the computation reads for these arguments."""
        first, last = month_of(getattr(given, "first_month", None)), month_of(getattr(given, "last_month", None))
        match given:
            case MoversArguments():
                last = month_of(given.month)
                first = add_months(last, -1) if last else None
            case DeclineArguments():
                # Production before the fit belongs to the EUR.
                first = None
        return DataRequest(self.reads, lambda wells: _chosen(wells, given), first, last, getattr(given, "curve", None))


def _chosen(wells: Sequence[Well], given: ToolArguments) -> Sequence[Well]:
    if hasattr(given, "well"):
        return (select_one(wells, given.well),)
    chosen = select_wells(wells, getattr(given, "selection"))  # noqa: B009 - every other kind has one
    if not isinstance(given, AllocationArguments):
        return chosen
    leases = {well.lease for well in chosen if well.lease}
    return [well for well in wells if well.lease in leases] or chosen


def _tool(
    name: str, description: str, arguments: type[ToolArguments], compute: Callable[..., ToolResult], *reads: LoadedTable
) -> WellTool:
    return WellTool(name, description, arguments, compute, frozenset(reads))


WELL_TOOLS: Mapping[str, WellTool] = {
    tool.name: tool
    for tool in (
        _tool(
            "well_facts",
            "Header and completion facts: status, operator, bench, location, lift, lateral, perforations, proppant.",
            FactsArguments,
            compute_facts,
        ),
        _tool(
            "production",
            "Volumes and rates over whole months, for all selected wells or by well, pad, bench, operator or month.",
            ProductionArguments,
            compute_production,
            "months",
        ),
        _tool(
            "cumulative",
            "Cumulative oil, gas and water of the selected wells up to a month.",
            CumulativeArguments,
            compute_cumulative,
            "months",
        ),
        _tool(
            "movers",
            "The wells whose rate fell or rose most from the month before.",
            MoversArguments,
            compute_movers,
            "months",
        ),
        _tool(
            "shut_ins",
            "Which wells are shut in, since when, why, and the oil deferred.",
            ShutInArguments,
            compute_shut_ins,
            "months",
            "outages",
        ),
        _tool(
            "downtime",
            "Hours down and oil deferred between two days, by cause or well: also for losses within a week.",
            DowntimeArguments,
            compute_downtime,
            "outages",
        ),
        _tool(
            "decline_fit",
            "Decline of one well (qi, Di, b) and its EUR of 30 years with an interval.",
            DeclineArguments,
            compute_decline,
            "months",
            "outages",
        ),
        _tool(
            "actual_against_forecast",
            "What a well made after a month against the forecast of a decline fitted through that month.",
            ForecastArguments,
            compute_forecast,
            "months",
            "outages",
        ),
        _tool(
            "ratio_trend",
            "Gas-oil ratio, water cut or water-oil ratio of one well: trend and breakpoints.",
            RatioArguments,
            compute_ratio_trend,
            "months",
        ),
        _tool(
            "allocated_against_metered",
            "Volumes of the wells of a lease against the lease's meter.",
            AllocationArguments,
            compute_allocation,
            "months",
            "lease_months",
        ),
        _tool(
            "survey_at_depth",
            "True vertical depth, offsets, inclination and azimuth of a wellbore at a measured depth.",
            SurveyArguments,
            compute_position,
            "surveys",
        ),
        _tool(
            "log_at_depth",
            "A log curve's value at a measured depth, or its mean over an interval.",
            LogArguments,
            compute_log_value,
            "curves",
        ),
        _tool(
            "economic_limit",
            "The rate at which a well no longer pays, when its decline reaches it, and the oil until then.",
            EconomicLimitArguments,
            compute_economic_limit,
            "months",
            "outages",
        ),
    )
}
