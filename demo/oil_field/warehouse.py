"""A folder of CSV files in a Snowflake simulator: the synthetic oil field, or any other with a schema file."""

from __future__ import annotations

import csv
import gzip
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from services.specialists.text_to_sql.schema import NAME, Schema, load_schema
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
"""The basins whose rows a role sees, as `roles.toml` has them; none means all. In Snowflake: row-access policies."""


SCHEMA_FILE, ROLES_FILE = "schema.toml", "roles.toml"


def oil_field_schema() -> Schema:
    """What the demo's agent may see."""
    return load_schema(OIL_FIELD_FOLDER / SCHEMA_FILE)


def open_warehouse(folder: Path = OIL_FIELD_FOLDER, role_names: Iterable[str] = ()) -> SnowflakeSimulator:
    """The simulator with any folder loaded: `schema.toml`, a CSV file for each of its tables, and, where roles see only
    some rows, `roles.toml`. Without that file, those who are named see everything.

    Raises `SchemaError`, `InvalidRoles` or `WarehouseDataInvalid`.
    """
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

    schema = load_schema(folder / SCHEMA_FILE)
    return SnowflakeSimulator(schema, folder, read_roles(folder / ROLES_FILE, schema) or map(WarehouseRole, role_names))


class InvalidRoles(Exception):
    """`roles.toml` is invalid: [ROLE], and in it TABLE = "condition on its rows"."""


def read_roles(file: Path, schema: Schema) -> list[WarehouseRole]:
    """The roles of a file, none without one. Raises `InvalidRoles`."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise InvalidRoles(f"{file}: {error}") from error
    for role, conditions in found.items():
        if not re.fullmatch(NAME, role) or not isinstance(conditions, dict):
            raise InvalidRoles(f"{file}: {role}: should be a role in capitals, as [{role.upper()}]")
        for table, condition in conditions.items():
            if table not in schema.tables or not isinstance(condition, str):
                raise InvalidRoles(f'{file}: {role}.{table}: should be a table of {SCHEMA_FILE} = "a condition"')
    return [WarehouseRole(role, conditions) for role, conditions in found.items()]


def read_table(name: str, folder: Path = OIL_FIELD_FOLDER) -> list[dict[str, str]]:
    """A table's rows as text, by column."""
    with gzip.open(folder / f"{name.lower()}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
