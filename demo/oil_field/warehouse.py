"""The synthetic oil field in a Snowflake simulator: its data, and which rows each role may see."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from services.specialists.text_to_sql.schema import load_schema
from switchyard.devstack.simulators.snowflake.load import WarehouseRole

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

OIL_FIELD_FOLDER = Path(__file__).parent / "data"
BASINS_BY_ROLE: dict[str, tuple[str, ...]] = {
    "FIELD_ALL": (),
    "FIELD_PERMIAN": ("Permian",),
    "FIELD_EAGLE_FORD": ("Eagle Ford",),
    "FIELD_WILLISTON": ("Williston",),
    "FIELD_MIDCON": ("DJ", "Anadarko"),
}
"""The basins whose rows a role sees; none means all. In Snowflake these are row-access policies."""


def open_warehouse(folder: Path = OIL_FIELD_FOLDER) -> SnowflakeSimulator:
    """The simulator with the oil field loaded."""
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

    roles = [WarehouseRole(name, _conditions(basins)) for name, basins in BASINS_BY_ROLE.items()]
    return SnowflakeSimulator(load_schema(), folder, roles)


def read_table(name: str, folder: Path = OIL_FIELD_FOLDER) -> list[dict[str, str]]:
    """A table's rows as text, by column."""
    with gzip.open(folder / f"{name.lower()}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _conditions(basins: tuple[str, ...]) -> dict[str, str]:
    if not basins:
        return {}
    listed = ", ".join(f"'{basin}'" for basin in basins)
    among = f"IN ({listed})"
    of_well = f"API_NUMBER IN (SELECT API_NUMBER FROM PROD.WELLS WHERE BASIN {among})"  # noqa: S608 - constants
    return {
        "WELLS": f"BASIN {among}",
        "TECHNICIANS": f"REGION {among}",
        **dict.fromkeys(("MONTHLY_PRODUCTION", "DOWNTIME", "WORK_ORDERS"), of_well),
    }
