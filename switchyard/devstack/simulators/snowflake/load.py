"""Loads a folder of compressed CSV files into DuckDB: the tables, and for each role its views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DUCKDB_TYPES = {"NUMBER": "DECIMAL", "TIMESTAMP_NTZ": "TIMESTAMP"}


class WarehouseSchema(Protocol):
    """The tables of one namespace. A table has `columns`, and a column a `type`."""

    @property
    def database(self) -> str:
        """Snowflake's database."""

    @property
    def namespace(self) -> str:
        """Snowflake's schema."""

    @property
    def tables(self) -> Mapping[str, Any]:
        """Tables by name."""


@dataclass(frozen=True, slots=True)
class WarehouseRole:
    """A warehouse role: the SQL condition on the rows that it sees, by table; without one it sees all."""

    name: str
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The DuckDB schema that holds its views."""
        return f"SEEN_BY_{self.name}"


class WarehouseDataMissing(Exception):
    """A table's file is missing. Remedy: put one `<table>.csv.gz` per table of the schema into the folder."""


def load_warehouse(
    duckdb: DuckDBPyConnection, schema: WarehouseSchema, folder: Path, roles: Iterable[WarehouseRole]
) -> None:
    """Create and fill the schema's tables in DuckDB's current database, and each role's views.

    Afterwards DuckDB can read and write no file. Raises `WarehouseDataMissing`.
    """
    for name, table in schema.tables.items():
        path = folder / f"{name.lower()}.csv.gz"
        if not path.is_file():
            raise WarehouseDataMissing(f"{path} is missing. Put one <table>.csv.gz per table of the schema there.")
        qualified = f"{schema.namespace}.{name}"
        types = {column: _duckdb_type(spec.type) for column, spec in table.columns.items()}
        duckdb.execute(f"CREATE TABLE {qualified} ({', '.join(f'{column} {kind}' for column, kind in types.items())})")
        duckdb.execute(
            f"INSERT INTO {qualified} SELECT * FROM read_csv(?, header = true, columns = ?)",  # noqa: S608
            [str(path), types],
        )
    for role in roles:
        duckdb.execute(f"CREATE SCHEMA {role.namespace}")
        for name in schema.tables:
            duckdb.execute(
                f"CREATE VIEW {role.namespace}.{name} AS "  # noqa: S608 - the owner of the warehouse names these
                f"SELECT * FROM {schema.namespace}.{name} WHERE {role.conditions.get(name, 'TRUE')}"
            )
    # From here on SQL that a model wrote may arrive, and DuckDB, unlike Snowflake, would read local files.
    duckdb.execute("SET enable_external_access = false")


def _duckdb_type(snowflake: str) -> str:
    base, arguments = re.fullmatch(r"([A-Z_]+)(\(.*\))?", snowflake).groups()  # type: ignore[union-attr]
    return "VARCHAR" if base == "VARCHAR" else DUCKDB_TYPES.get(base, base) + (arguments or "")
