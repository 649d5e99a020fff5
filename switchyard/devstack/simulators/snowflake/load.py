"""Loads a folder of CSV files into DuckDB: the tables, and for each role its views."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from demo.oil_field.generate import WAREHOUSE_SEED, generate_oil_field, write_csv
from demo.oil_field.roles import WAREHOUSE_ROLES, WarehouseRole
from services.specialists.text_to_sql.schema import Schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DUCKDB_TYPES = {"NUMBER": "DECIMAL", "TIMESTAMP_NTZ": "TIMESTAMP"}


class WarehouseDataMissing(Exception):
    """A table's file is not in the folder. Make the files with `python -m demo.oil_field generate FOLDER`."""


def column_names(schema: Schema) -> dict[str, list[str]]:
    """Column names by table, in the order of the schema file."""
    return {name: list(table.columns) for name, table in schema.tables.items()}


def load_warehouse(
    duckdb: DuckDBPyConnection, schema: Schema, folder: Path | None = None, *, seed: int = WAREHOUSE_SEED
) -> None:
    """Create and fill the schema's tables in DuckDB's current database, and each role's views.

    Without a folder the data is generated. Afterwards DuckDB can read and write no file. Raises `WarehouseDataMissing`.
    """
    if folder is None:
        with TemporaryDirectory(prefix="switchyard-warehouse-") as made:
            write_csv(generate_oil_field(seed), Path(made), column_names(schema))
            _load_tables(duckdb, schema, Path(made))
    else:
        _load_tables(duckdb, schema, folder)
    for role in WAREHOUSE_ROLES.values():
        _create_views(duckdb, schema, role)
    # From here on SQL that a model wrote may arrive, and DuckDB, unlike Snowflake, would read local files.
    duckdb.execute("SET enable_external_access = false")


def _load_tables(duckdb: DuckDBPyConnection, schema: Schema, folder: Path) -> None:
    for name, table in schema.tables.items():
        path = folder / f"{name.lower()}.csv"
        if not path.is_file():
            raise WarehouseDataMissing(f"{path} is missing. {WarehouseDataMissing.__doc__}")
        types = {column: _duckdb_type(spec.type) for column, spec in table.columns.items()}
        columns = ", ".join(f"{column} {kind}" for column, kind in types.items())
        duckdb.execute(f"CREATE TABLE {schema.namespace}.{name} ({columns})")
        comment = table.comment.replace("'", "''")
        duckdb.execute(f"COMMENT ON TABLE {schema.namespace}.{name} IS '{comment}'")
        for column, spec in table.columns.items():
            text = (f"[{spec.unit}] " if spec.unit else "") + spec.comment
            text = text.replace("'", "''")
            duckdb.execute(f"COMMENT ON COLUMN {schema.namespace}.{name}.{column} IS '{text}'")
        duckdb.execute(
            f"INSERT INTO {schema.namespace}.{name} SELECT * FROM read_csv(?, header = true, columns = ?)",  # noqa: S608
            [str(path), types],
        )


def _create_views(duckdb: DuckDBPyConnection, schema: Schema, role: WarehouseRole) -> None:
    duckdb.execute(f"CREATE SCHEMA {role.namespace}")
    for name in schema.tables:
        duckdb.execute(
            f"CREATE VIEW {role.namespace}.{name} AS "  # noqa: S608 - names come from the schema file
            f"SELECT * FROM {schema.namespace}.{name} WHERE {role.condition(name)}"
        )


def _duckdb_type(snowflake: str) -> str:
    base, arguments = re.fullmatch(r"([A-Z_]+)(\(.*\))?", snowflake).groups()  # type: ignore[union-attr]
    return "VARCHAR" if base == "VARCHAR" else DUCKDB_TYPES.get(base, base) + (arguments or "")
