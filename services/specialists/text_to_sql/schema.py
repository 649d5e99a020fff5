"""The part of the warehouse that the agent may see: tables, columns, units, meanings. Read from `schema.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_SCHEMA = Path(__file__).with_name("schema.toml")
NAME = r"^[A-Z][A-Z0-9_]{0,127}$"


class SchemaError(Exception):
    """The schema file is invalid: correct the field that the message names."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Part):
    """One column that may be read."""

    type: str = Field(description="Snowflake type, for example NUMBER(12,2).")
    comment: str
    unit: str | None = Field(default=None, description="Unit of measure, if the column has one.")
    values: tuple[str, ...] = Field(default=(), description="All values that occur, if they are few.")


class Table(_Part):
    """One table or view that may be read."""

    comment: str
    columns: dict[str, Column] = Field(min_length=1)

    def described(self, name: str) -> str:
        """Name, comment and one line per column, for the model."""
        return "\n".join([f"{name}: {self.comment}", *(_line(key, column) for key, column in self.columns.items())])


class Schema(_Part):
    """The tables that may be read, in one namespace (Snowflake calls it a schema) of one database."""

    database: str = Field(pattern=NAME)
    namespace: str = Field(pattern=NAME)
    data_label: str = Field(default="", description="Label of the data that every answer shows, for example SYNTHETIC.")
    data_through: str = Field(default="", description="Last day that the data covers.")
    tables: dict[str, Table] = Field(min_length=1)

    def described(self) -> str:
        """One line per table, for the model."""
        return "\n".join(f"{name}: {table.comment}" for name, table in self.tables.items())

    @cached_property
    def version(self) -> str:
        """Short SHA-256 of the content, stored with every answer."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def load_schema(path: Path = DEFAULT_SCHEMA) -> Schema:
    """Read a schema file. Raises `SchemaError`."""
    try:
        return Schema.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SchemaError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _line(name: str, column: Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    values = f" One of: {', '.join(column.values)}." if column.values else ""
    return f"  {name} {column.type}{unit}: {column.comment}{values}"
