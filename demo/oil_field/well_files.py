"""The files that `switchyard wells load` reads in the demo: the oil field's own, and those beside them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from demo.oil_field.warehouse import OIL_FIELD_FOLDER

WELLS_TENANT = "northfork"
WELLS_AS_OF = date(2026, 6, 30)
WELL_FILES: tuple[Path, ...] = (
    OIL_FIELD_FOLDER / "monthly_production.csv.gz",
    OIL_FIELD_FOLDER / "downtime.csv.gz",
    *sorted((Path(__file__).parent / "wells").iterdir()),
)
