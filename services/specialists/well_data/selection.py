"""Which wells a computation is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.specialists.well_data.field_data import Well
from services.specialists.well_data.results import NotComputable
from services.specialists.well_data.well_numbers import is_well_number, parse_well_number

MonthText = Annotated[str, Field(pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])$", description="YYYY-MM")]
DayText = Annotated[str, Field(pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])-\d\d$", description="YYYY-MM-DD")]
MAX_CANDIDATES = 5


class ToolArguments(BaseModel):
    """Arguments of a computation: nothing that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WellSelection(ToolArguments):
    """Wells by name or API number, or by what they have in common. Nothing given: all wells that the user may see."""

    wells: Annotated[tuple[str, ...], Field(max_length=50)] = Field(
        default=(), description="Names such as 'Cutbow 7H' or API numbers."
    )
    basin: str | None = None
    field: str | None = None
    formation: str | None = Field(default=None, description="The bench.")
    operator: str | None = None
    county: str | None = None
    pad: str | None = None
    status: Literal["producing", "shut_in", "plugged", "drilling"] | None = None

    def describe(self) -> str:
        """What is selected, in words."""
        criteria = [
            f"{name} {value}"
            for name in ("basin", "field", "formation", "operator", "county", "pad", "status")
            if (value := getattr(self, name))
        ]
        named = [", ".join(self.wells)] if self.wells else []
        return "; ".join(named + criteria) or "all wells that the user may see"


GroupBy = Literal["total", "well", "pad", "field", "formation", "operator", "county", "basin", "month"]


def month_of(text: str | None) -> date | None:
    """The first day of a month given as YYYY-MM."""
    return date.fromisoformat(f"{text}-01") if text else None


def day_of(text: str | None, name: str) -> date | None:
    """A day given as YYYY-MM-DD. Raises `NotComputable` unless the calendar has it."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise NotComputable("bad_date", f"{name} is not a calendar day: {text}") from None


def check_period(first: str | None, last: str | None) -> None:
    """Raise `NotComputable` for a period that ends before it starts."""
    if first and last and last < first:
        raise NotComputable("bad_period", f"the period ends ({last}) before it starts ({first})")


def select_wells(wells: Sequence[Well], selection: WellSelection) -> tuple[Well, ...]:
    """The selected wells, by name. Raises `NotComputable` if a named well is missing or two have the name."""
    chosen = list(wells)
    if selection.wells:
        found = {_find(wells, name).api for name in selection.wells}
        chosen = [well for well in chosen if well.api in found]
    for name in ("basin", "field", "formation", "operator", "county", "pad", "status"):
        if wanted := getattr(selection, name):
            if all(getattr(well, name) is None for well in wells) and wells:
                raise NotComputable("not_in_the_data", f"the loaded headers do not say the {name} of any well")
            chosen = [well for well in chosen if (getattr(well, name) or "").casefold() == wanted.strip().casefold()]
    if not chosen:
        message = f"no well matches {selection.describe()} among the {len(wells)} wells that the user may see"
        raise NotComputable("no_such_well", message)
    return tuple(sorted(chosen, key=lambda well: (well.name, well.api)))


def select_one(wells: Sequence[Well], name: str) -> Well:
    """One well by name or number. Raises `NotComputable`."""
    return _find(wells, name)


def _find(wells: Sequence[Well], name: str) -> Well:
    wanted = name.strip()
    if is_well_number(wanted):
        api = parse_well_number(wanted).well
        named = [well for well in wells if well.api == api]
    else:
        named = [well for well in wells if well.name.casefold() == wanted.casefold()]
    if not named:
        message = f"no well {wanted[:60]} among the {len(wells)} wells that the user may see"
        raise NotComputable("no_such_well", message)
    if len(named) > 1:
        listed = ", ".join(f"{well.api} in {well.field or well.basin}" for well in named[:MAX_CANDIDATES])
        raise NotComputable(
            "ambiguous_well", f"{len(named)} wells are named {wanted[:60]}: {listed}; give the API number"
        )
    return named[0]
