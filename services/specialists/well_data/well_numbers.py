"""API well numbers: 10 digits name a well, 12 a wellbore (sidetracks count), 14 a completion of a wellbore."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGITS = re.compile(r"^[0-9]{10}([0-9]{2}([0-9]{2})?)?$")
_DASHED = re.compile(r"^[0-9]{2}-?[0-9]{3}-?[0-9]{5}(-?[0-9]{2}(-?[0-9]{2})?)?$")
TEXAS = "42"


@dataclass(frozen=True, order=True, slots=True)
class WellNumber:
    """An API number. `sidetrack` and `completion` are two digits each, or empty if it does not go that far."""

    well: str
    """Ten digits as SS-CCC-NNNNN."""
    sidetrack: str = ""
    completion: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.well, self.sidetrack, self.completion) if part)

    @property
    def wellbore(self) -> str:
        """The 12-digit number; without a sidetrack the original hole, 00."""
        return f"{self.well}-{self.sidetrack or '00'}"

    @property
    def state(self) -> str:
        """The state's API code: 42 is Texas."""
        return self.well[:2]


def is_well_number(text: str) -> bool:
    """Whether a text has the form of an API number."""
    return bool(_DASHED.match(text.strip()))


def parse_well_number(text: str) -> WellNumber:
    """An API number of 10, 12 or 14 digits, with or without dashes. Raises `ValueError`."""
    digits = text.strip().replace("-", "")
    if not is_well_number(text) or not _DIGITS.match(digits):
        raise ValueError(f"{text[:40]!r} is no API number: expected 10, 12 or 14 digits, such as 42-329-90210")
    well = f"{digits[:2]}-{digits[2:5]}-{digits[5:10]}"
    return WellNumber(well, digits[10:12], digits[12:14])
