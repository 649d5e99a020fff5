"""Loads a folder of compressed CSV files into DuckDB: the tables, and for each role its views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DUCKDB_TYPES = {
    **dict.fromkeys(("TIMESTAMP_NTZ", "DATETIME"), "TIMESTAMP"),
    **dict.fromkeys(("TIMESTAMP_LTZ", "TIMESTAMP_TZ"), "TIMESTAMPTZ"),
    **dict.fromkeys(("FLOAT", "REAL"), "DOUBLE"),
    **dict.fromkeys(("INTEGER", "INT", "BIGINT", "SMALLINT"), "BIGINT"),
}
_TEXTS = frozenset({"VARCHAR", "CHAR", "STRING", "TEXT"})
_NUMBERS = frozenset({"NUMBER", "DECIMAL", "NUMERIC"})
DESCRIPTION = "INFORMATION_OF_TABLES"
"""The DuckDB schema that stands for INFORMATION_SCHEMA, whose name DuckDB keeps for itself."""


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


class WarehouseDataInvalid(Exception):
    """A table's file is missing, or does not fit the schema: the message names the file, the reason and the remedy."""


def load_warehouse(
    duckdb: DuckDBPyConnection, schema: WarehouseSchema, folder: Path, roles: Iterable[WarehouseRole]
) -> None:
    """Create and fill the schema's tables in DuckDB's current database, and each role's views.

    Afterwards DuckDB can read and write no file. Raises `WarehouseDataInvalid`.
    """
    import duckdb as engine

    for name, table in schema.tables.items():
        path = find_table_file(folder, name)
        qualified = f'{schema.namespace}."{name}"'
        types = {column: _duckdb_type(spec.type) for column, spec in table.columns.items()}
        columns = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
        duckdb.execute(f"CREATE TABLE {qualified} ({columns})")
        try:
            # By name: the file may have its columns in another order, in small letters, and others besides.
            header = duckdb.execute("SELECT columns FROM sniff_csv(?, header = true)", [str(path)]).fetchone()
            found = {str(each["name"]).upper(): str(each["name"]) for each in (header or ([],))[0]}
            if missing := types.keys() - found.keys():
                raise WarehouseDataInvalid(
                    f"{path} lacks {', '.join(sorted(missing))}: add it, or remove it from the schema"
                )
            read = ", ".join(f"CAST({_quoted(found[column])} AS {kind})" for column, kind in types.items())
            duckdb.execute(
                f"INSERT INTO {qualified} SELECT {read} FROM read_csv(?, header = true, all_varchar = true)",  # noqa: S608
                [str(path)],
            )
        except engine.Error as error:
            first = str(error).strip().splitlines()[0]
            raise WarehouseDataInvalid(f"{path} does not fit the schema: {first}") from error
    for role in roles:
        duckdb.execute(f"CREATE SCHEMA {role.namespace}")
        for name in schema.tables:
            condition = role.conditions.get(name, "TRUE")
            try:
                duckdb.execute(
                    f'CREATE VIEW {role.namespace}."{name}" AS '  # noqa: S608 - the owner of the warehouse names these
                    f'SELECT * FROM {schema.namespace}."{name}" WHERE {condition}'
                )
            except engine.Error as error:
                first = str(error).strip().splitlines()[0]
                raise WarehouseDataInvalid(f"role {role.name}, table {name}: {condition}: {first}") from error
    _describe_itself(duckdb, schema)
    # From here on SQL that a model wrote may arrive, and DuckDB, unlike Snowflake, would read local files.
    duckdb.execute("SET enable_external_access = false")


def find_table_file(folder: Path, name: str) -> Path:
    """The CSV file of a table: its name in small letters or as it is. Raises `WarehouseDataInvalid`."""
    for suffix in (".csv.gz", ".csv"):
        for stem in (name.lower(), name):
            if (path := folder / f"{stem}{suffix}").is_file():
                return path
    raise WarehouseDataInvalid(f"{folder / name.lower()}.csv is missing: put a CSV file there for each table")


def _describe_itself(duckdb: DuckDBPyConnection, schema: WarehouseSchema) -> None:
    """INFORMATION_SCHEMA as Snowflake has it, as far as a description of tables needs it."""
    duckdb.execute(f"CREATE SCHEMA {DESCRIPTION}")
    duckdb.execute(
        f"CREATE TABLE {DESCRIPTION}.TABLES (TABLE_CATALOG VARCHAR, TABLE_SCHEMA VARCHAR, TABLE_NAME VARCHAR, "
        "COMMENT VARCHAR)"
    )
    duckdb.execute(
        f"CREATE TABLE {DESCRIPTION}.COLUMNS (TABLE_CATALOG VARCHAR, TABLE_SCHEMA VARCHAR, TABLE_NAME VARCHAR, "
        "COLUMN_NAME VARCHAR, ORDINAL_POSITION INTEGER, DATA_TYPE VARCHAR, CHARACTER_MAXIMUM_LENGTH INTEGER, "
        "NUMERIC_PRECISION INTEGER, NUMERIC_SCALE INTEGER, COMMENT VARCHAR)"
    )
    for name, table in schema.tables.items():
        place = [schema.database, schema.namespace, name]
        duckdb.execute(f"INSERT INTO {DESCRIPTION}.TABLES VALUES (?, ?, ?, ?)", [*place, table.comment])  # noqa: S608
        for at, (column, spec) in enumerate(table.columns.items(), 1):
            base, first, second = _type_parts(spec.type)
            length, precision = (first, None) if base in _TEXTS else (None, first)
            kind = "TEXT" if base in _TEXTS else base
            row = [*place, column, at, kind, length, precision, second, spec.comment]
            places = ", ".join("?" * len(row))
            duckdb.execute(f"INSERT INTO {DESCRIPTION}.COLUMNS VALUES ({places})", row)  # noqa: S608 - constants


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _type_parts(snowflake: str) -> tuple[str, int | None, int | None]:
    found = re.fullmatch(r"([A-Z_]+)(?:\((\d+)(?:, ?(\d+))?\))?", snowflake)
    if found is None:
        raise WarehouseDataInvalid(f"{snowflake} is not a type that can be loaded: write one such as NUMBER(12,2)")
    return found[1], int(found[2]) if found[2] else None, int(found[3]) if found[3] else None


def _duckdb_type(snowflake: str) -> str:
    base, first, second = _type_parts(snowflake)
    if base in _TEXTS:
        return "VARCHAR"
    if base in _NUMBERS:
        return f"DECIMAL({first or 38},{second or 0})"
    return DUCKDB_TYPES.get(base, base)
