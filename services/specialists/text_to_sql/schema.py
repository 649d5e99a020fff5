"""The part of the warehouse that the agent may see, described by a file: tables, columns, meanings, joins, conventions.
Guard, prompt and checks take every word of the domain from there."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from switchyard.protocol.errors import why_unreadable

DEFAULT_SCHEMA = Path(__file__).with_name("schema.toml")
"""Your warehouse's: `switchyard schema import` writes it. The repository holds only the demo's, with its data."""
NAME = r"^[A-Z_][A-Z0-9_$]{0,127}$"
TYPE = (
    r"^(VARCHAR|CHAR|STRING|TEXT|BOOLEAN|DATE|TIME|TIMESTAMP(_NTZ|_LTZ|_TZ)?|DATETIME|FLOAT|DOUBLE|REAL"
    r"|(NUMBER|DECIMAL|NUMERIC)|INTEGER|INT|BIGINT|SMALLINT)(\(\d{1,8}(, ?\d{1,2})?\))?$"
)
_JOIN = re.compile(r"^([A-Z_][A-Z0-9_$]*)\.([A-Z_][A-Z0-9_$]*) = ([A-Z_][A-Z0-9_$]*)\.([A-Z_][A-Z0-9_$]*)$")

SqlName = Annotated[str, StringConstraints(pattern=NAME)]


class SchemaError(Exception):
    """The schema file is invalid: correct the fields that the message names."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Part):
    """One column that may be read."""

    type: str = Field(pattern=TYPE, description="Snowflake type, for example NUMBER(12,2).")
    comment: str = Field(description="What it means, in the words that people ask with.")
    unit: str | None = Field(default=None, description="Unit of measure, if the column has one.")
    values: tuple[str, ...] = Field(default=(), description="All values that occur, if they are few.")


class Table(_Part):
    """One table or view that may be read."""

    comment: str
    columns: dict[SqlName, Column] = Field(min_length=1)

    def described(self, name: str) -> str:
        """Name, comment and one line per column, for the model."""
        return "\n".join([f"{name}: {self.comment}", *(_line(key, column) for key, column in self.columns.items())])


class Schema(_Part):
    """The tables that may be read, in one namespace (Snowflake calls it a schema) of one database."""

    database: str = Field(pattern=NAME)
    namespace: str = Field(pattern=NAME)
    data_label: str = Field(default="", description="Label of the data that every answer shows, for example SYNTHETIC.")
    data_through: str = Field(default="", description="Last day that the data covers.")
    audience: str = Field(default="the company's staff", description="Who asks, as the prompt names them.")
    conventions: tuple[str, ...] = Field(default=(), description="How measures are computed and named: one rule each.")
    joins: tuple[str, ...] = Field(default=(), description="Which columns join tables: TABLE.COLUMN = TABLE.COLUMN.")
    tables: dict[SqlName, Table] = Field(min_length=1)

    @model_validator(mode="after")
    def _joins_exist(self) -> Self:
        for join in self.joins:
            if (found := _JOIN.match(join)) is None:
                raise ValueError(f"joins: {join!r} should be TABLE.COLUMN = TABLE.COLUMN")
            for table, column in ((found[1], found[2]), (found[3], found[4])):
                if table not in self.tables or column not in self.tables[table].columns:
                    raise ValueError(f"joins: {table}.{column} is not a column of this file")
        return self

    def described(self) -> str:
        """One line per table, for the model."""
        return "\n".join(f"{name}: {table.comment}" for name, table in self.tables.items())

    def prompted(self) -> str:
        """Everything that the prompt says of this warehouse, except its columns."""
        label = f"The data is {self.data_label}. " if self.data_label else ""
        through = f"It ends on {self.data_through}. " if self.data_through else ""
        parts = {"tables": self.described(), "joins": _lines(self.joins), "conventions": _lines(self.conventions)}
        return f"{label}{through}\n" + "\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in parts.items() if text)

    def subjects(self) -> str:
        """What the tables hold, in words, for a remedy."""
        return ", ".join(name.lower().replace("_", " ") for name in self.tables)

    def gaps(self) -> Iterator[str]:
        """What is valid, but says too little for a model to answer well."""
        for name, table in self.tables.items():
            if not table.comment.strip():
                yield f"tables.{name}.comment: say what one row is"
            for key, column in table.columns.items():
                if not column.comment.strip():
                    yield f"tables.{name}.columns.{key}.comment: say what it means"
        if len(self.tables) > 1 and not self.joins:
            yield "joins: say which columns join the tables"

    @cached_property
    def version(self) -> str:
        """Short SHA-256 of the content, stored with every answer."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def load_schema(path: Path = DEFAULT_SCHEMA) -> Schema:
    """Read a schema file. Raises `SchemaError`, which names every invalid field."""
    try:
        return Schema.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        remedy = "write one with `switchyard schema import`, and name it in SWITCHYARD_WAREHOUSE_SCHEMA"
        raise SchemaError(f"{path}: does not exist. Remedy: {remedy}") from error
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{path}: is not TOML: {why_unreadable(error)}") from error
    except ValidationError as error:
        found = [f"{'.'.join(map(str, each['loc'])) or 'schema'}: {_why(each['msg'])}" for each in error.errors()]
        raise SchemaError(f"{path}: " + "; ".join(found)) from error


def _why(message: str) -> str:
    if TYPE in message:
        return "should be a Snowflake type of one value, for example VARCHAR(40), NUMBER(12,2), DATE"
    return "should be a name in capitals, such as UNIT_PRICE" if NAME in message else message


def _lines(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _line(name: str, column: Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    values = f" One of: {', '.join(column.values)}." if column.values else ""
    return f"  {name} {column.type}{unit}: {column.comment}{values}"
