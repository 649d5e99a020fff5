"""Describes a warehouse from what it says of itself: Snowflake's INFORMATION_SCHEMA, or a folder of CSV files.

What nothing says (meanings, units, conventions) is left to fill in; `Schema.gaps` lists it.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from services.specialists.text_to_sql.schema import NAME, TYPE, Column, Schema, Table
from switchyard.protocol.errors import why_unreadable

MAX_VALUES = 12
"""A text column with at most so many different values has them listed."""
MAX_VALUE_CHARACTERS = 40
NUMBER_DIGITS = 38
FIELD_BYTES = 1_000_000
_TEMPORAL = {"DATE", "TIME", "DATETIME", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"}
_KEY_ENDINGS = ("_ID", "_KEY", "_NUMBER", "_CODE", "_NO", "ID")
_TRUTHS = {"true", "false"}


class ImportFailed(Exception):
    """Nothing can be described: the message says why, with the remedy."""


@dataclass
class Imported:
    """A description, and what of the source is not in it."""

    schema: Schema
    left_out: list[str] = field(default_factory=list)


def import_folder(folder: Path, *, database: str, namespace: str) -> Imported:
    """A description of a folder of CSV files with a header, one per table. Raises `ImportFailed`."""
    files = sorted(each for each in folder.glob("*") if each.name.lower().endswith((".csv", ".csv.gz")))
    if not files:
        raise ImportFailed(f"{folder} has no .csv or .csv.gz file: put one with a header there for each table")
    left_out: list[str] = []
    tables: dict[str, Table] = {}
    keys: dict[str, set[str]] = {}
    for file in files:
        name = _sql_name(file.name.split(".")[0])
        columns, unique = _read_columns(file, left_out)
        if name is None or name in tables or not columns:
            left_out.append(f"{file.name}: no usable name, header or row")
            continue
        tables[name] = Table(comment="", columns=columns)
        keys[name] = unique
    if not tables:
        raise ImportFailed(f"{folder}: no file can be read as a table: {'; '.join(left_out)}")
    joins = [
        f"{name}.{column} = {other}.{column}"
        for name, table in tables.items()
        for other, unique in keys.items()
        for column in table.columns
        if name != other and column in unique and column.endswith(_KEY_ENDINGS) and column not in keys[name]
    ]
    return Imported(_schema(database, namespace, tables, joins), left_out)


TABLES_SQL = "SELECT table_name, comment FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name"
COLUMNS_SQL = (
    "SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, comment "
    "FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, ordinal_position"
)


def import_snowflake(connection: Any, *, database: str, namespace: str) -> Imported:
    """A description of one schema of a Snowflake database, as an open connection's role sees it.

    Raises `ImportFailed`, and what the connector raises.
    """
    with connection.cursor() as cursor:
        comments = dict(cursor.execute(TABLES_SQL, (namespace,)).fetchall())
        rows = cursor.execute(COLUMNS_SQL, (namespace,)).fetchall()
    if not rows:
        raise ImportFailed(f"this role sees no table in {database}.{namespace}: check the names and the role's rights")
    left_out: list[str] = []
    tables: dict[str, dict[str, Column]] = {}
    for table, column, kind, length, precision, scale, comment in rows:
        type_ = _snowflake_type(str(kind), length, precision, scale)
        if type_ is None or not re.fullmatch(NAME, table) or not re.fullmatch(NAME, column):
            left_out.append(f"{table}.{column} ({kind}): a name in small letters, or no type of one value")
            continue
        tables.setdefault(table, {})[column] = Column(type=type_, comment=str(comment or ""))
    described = {
        name: Table(comment=str(comments.get(name) or ""), columns=columns) for name, columns in tables.items()
    }
    if not described:
        raise ImportFailed(f"{database}.{namespace}: no column can be described: {'; '.join(left_out[:5])}")
    shared = [
        f"{later}.{column} = {earlier}.{column}"
        for at, later in enumerate(described)
        for earlier in list(described)[:at]
        for column in described[later].columns
        if column in described[earlier].columns and column.endswith(_KEY_ENDINGS)
    ]
    return Imported(_schema(database, namespace, described, shared), left_out)


def schema_text(schema: Schema) -> str:
    """The description as a schema file."""
    return "\n".join(_toml_lines(schema)) + "\n"


def _toml_lines(schema: Schema) -> Iterator[str]:
    yield "# What the Text-to-SQL agent may see: nothing else exists for it. Remove what it must not read."
    yield "# Fill in what is empty, then: switchyard schema check FILE"
    yield ""
    for name in ("database", "namespace", "data_label", "data_through", "audience"):
        yield f"{name} = {_quoted(getattr(schema, name))}"
    for name in ("conventions", "joins"):
        texts: Sequence[str] = getattr(schema, name)
        yield f"{name} = [" + ("]" if not texts else "")
        if texts:
            yield from (f"  {_quoted(text)}," for text in texts)
            yield "]"
    for name, table in schema.tables.items():
        yield ""
        yield f"[tables.{_quoted_key(name)}]"
        yield f"comment = {_quoted(table.comment)}"
        yield ""
        yield f"[tables.{_quoted_key(name)}.columns]"
        for key, column in table.columns.items():
            parts = [f"type = {_quoted(column.type)}"]
            if column.unit is not None:
                parts.append(f"unit = {_quoted(column.unit)}")
            if column.values:
                parts.append(f"values = [{', '.join(map(_quoted, column.values))}]")
            parts.append(f"comment = {_quoted(column.comment)}")
            yield f"{_quoted_key(key)} = {{ {', '.join(parts)} }}"


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _quoted_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Z0-9_]+", name) else f'"{name}"'


def _schema(database: str, namespace: str, tables: Mapping[str, Table], joins: Sequence[str]) -> Schema:
    return Schema(database=database, namespace=namespace, tables=dict(tables), joins=tuple(joins))


def _sql_name(text: str) -> str | None:
    name = re.sub(r"[^A-Z0-9]+", "_", text.strip().upper()).strip("_")
    return name if re.fullmatch(NAME, name) else None


def _snowflake_type(kind: str, length: Any, precision: Any, scale: Any) -> str | None:
    match kind.upper():
        case "TEXT" | "VARCHAR" | "CHAR" | "STRING":
            return f"VARCHAR({int(length)})" if length is not None and int(length) < 100_000_000 else "VARCHAR"
        case "NUMBER" | "DECIMAL" | "NUMERIC":
            return f"NUMBER({int(precision if precision is not None else NUMBER_DIGITS)},{int(scale or 0)})"
        case other:
            return other if re.match(TYPE, other) else None


def _read_columns(file: Path, left_out: list[str]) -> tuple[dict[str, Column], set[str]]:
    """The columns of a file, and those that tell its rows apart. Raises `ImportFailed` if it is no CSV."""
    csv.field_size_limit(FIELD_BYTES)
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            header = next(rows, [])
            columns: list[list[str]] = [[] for _ in header]
            for number, row in enumerate(rows, 2):
                if row and len(row) != len(header):
                    raise ImportFailed(f"{file} line {number}: {len(row)} fields, and the header has {len(header)}")
                for values, value in zip(columns, row, strict=False):
                    values.append(value)
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise ImportFailed(f"{file}: is no CSV in UTF-8: {why_unreadable(error)}") from error
    found: dict[str, Column] = {}
    unique: set[str] = set()
    for text, values in zip(header, columns, strict=True):
        name = text.strip().upper()
        if not re.fullmatch(NAME, name) or name in found:
            left_out.append(f"{file.name}: the column {text!r}: rename it, for example {_sql_name(text) or 'AMOUNT'}")
            continue
        found[name] = _column(values)
        if values and len(set(values)) == len(values):
            unique.add(name)
    return found, unique


def _column(values: Sequence[str]) -> Column:
    present = [value for value in values if value]
    different = set(present)
    if different and {value.lower() for value in different} <= _TRUTHS:
        return Column(type="BOOLEAN", comment="")
    # An id such as 007 would lose its zeros as a number.
    padded = any(re.match(r"^[-+]?0\d", value) for value in different)
    if different and not padded and (numbers := _numbers(different)):
        scale = max(max(0, -int(number.as_tuple().exponent)) for number in numbers)
        whole = max(max(1, number.adjusted() + 1) for number in numbers)
        if whole + scale <= NUMBER_DIGITS:
            return Column(type=f"NUMBER({min(NUMBER_DIGITS, whole + scale + 2)},{scale})", comment="")
    for kind, parse in (("DATE", date.fromisoformat), ("TIMESTAMP_NTZ", datetime.fromisoformat)):
        if different and all(_parses(parse, value) for value in different):
            return Column(type=kind, comment="")
    longest = max(map(len, different), default=1)
    few = len(different) <= MAX_VALUES < len(present) and longest <= MAX_VALUE_CHARACTERS
    listed = tuple(sorted(different)) if few else ()
    return Column(type=f"VARCHAR({max(1, longest)})", comment="", values=listed)


def _numbers(values: set[str]) -> list[Decimal]:
    found = []
    for value in values:
        if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)", value, re.ASCII):
            return []
        try:
            found.append(Decimal(value))
        except InvalidOperation:
            return []
    return found


def _parses(parse: Any, value: str) -> bool:
    if not re.match(r"^\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True
