"""Header and completion facts of wells."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from services.specialists.well_data.field_data import FieldData, Well
from services.specialists.well_data.results import ToolResult
from services.specialists.well_data.selection import ToolArguments, WellSelection, select_wells

_FACTS: tuple[tuple[str, str, str, int], ...] = (
    ("status", "status", "", 0),
    ("operator", "operator", "", 0),
    ("field", "field", "", 0),
    ("formation", "formation", "", 0),
    ("county", "county", "", 0),
    ("state", "state", "", 0),
    ("pad", "pad", "", 0),
    ("lease", "lease", "", 0),
    ("lift_type", "artificial lift", "", 0),
    ("spud_date", "spud date", "", 0),
    ("first_production", "first production", "", 0),
    ("completed_on", "completion date", "", 0),
    ("latitude", "surface latitude", "degrees", 6),
    ("longitude", "surface longitude", "degrees", 6),
    ("lateral_length_ft", "lateral length", "ft", 1),
    ("perforated_top_ft", "top of perforations", "ft", 1),
    ("perforated_base_ft", "base of perforations", "ft", 1),
    ("stages", "stages, count", "", 0),
    ("proppant_lb", "proppant", "lb", 0),
)


class FactsArguments(ToolArguments):
    """Header and completion facts."""

    selection: WellSelection = WellSelection()
    limit: Annotated[int, Field(ge=1, le=50)] = Field(default=10, description="Wells, by name.")


def compute_facts(data: FieldData, given: FactsArguments) -> ToolResult:
    """What the loaded headers say, with what they do not say listed. Raises `NotComputable`."""
    wells = select_wells(data.wells, given.selection)
    at = f"as of {data.as_of}" if data.as_of else ""
    result = ToolResult(f"Header of {given.selection.describe()}")
    result.add("wells, count", given.selection.describe(), len(wells), "", at, (well.source for well in wells))
    for well in wells[: given.limit]:
        _add_facts(result, data, well, at)
    if len(wells) > given.limit:
        result.not_known.append(f"{len(wells) - given.limit} more wells match and are not shown")
    return result


def _add_facts(result: ToolResult, data: FieldData, well: Well, at: str) -> None:
    missing = []
    bores = sorted(
        {bore for bore in (*data.surveys, *(curve.wellbore for curve in data.curves)) if bore.startswith(well.api)}
    )
    result.add("API number", well.label, well.api, "", at, (well.source,))
    for name, shown, unit, digits in _FACTS:
        value = getattr(well, name)
        if value is None:
            missing.append(shown.removesuffix(", count"))
        else:
            text = f"{value:%Y-%m-%d}" if isinstance(value, date) else value
            result.add(shown, well.label, text, unit, at, (well.source,), digits=digits)
    if bores:
        result.add("wellbores with a survey or a log", well.label, ", ".join(bores), "", at, (well.source,))
    if missing:
        result.not_known.append(f"{well.label}: the header does not say {', '.join(missing)}")
