"""`switchyard schema`: the file that describes the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.console import console, count, print_json, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import JsonOption

if TYPE_CHECKING:
    from services.specialists.text_to_sql.guarded_query import GuardedQuery
    from services.specialists.text_to_sql.schema_import import Imported

app = CommandGroup()
_CONNECTOR_MISSING = "install snowflake-connector-python, or import a folder of CSV files"


@app.callback()
def schema_group() -> None:
    """The file that describes the warehouse to the Text-to-SQL agent."""


@app.command()
async def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A schema file, or a folder that holds schema.toml.")],
    as_json: JsonOption = False,
) -> None:
    """Check a schema file and the verified queries beside it; list what is left to fill in or to review. Exit code 1 if
    one of them is invalid."""
    from services.specialists.text_to_sql.guard import guard_query
    from services.specialists.text_to_sql.schema import SchemaError, load_schema
    from services.specialists.text_to_sql.verified import load_verified, review_queries
    from switchyard.runtime.core.clock import SystemClock

    path = file / "schema.toml" if file.is_dir() else file
    try:
        schema, queries = load_schema(path), load_verified(path)
    except SchemaError as error:
        raise CommandFailed(str(error), remedy="correct the fields that are named") from error

    async def guarded(sql: str, rows: int) -> GuardedQuery:
        return guard_query(sql, schema, max_rows=rows)

    verified = await review_queries(queries, schema, guarded, SystemClock().now().date())
    gaps = list(schema.gaps())
    columns = sum(len(table.columns) for table in schema.tables.values())
    if as_json:
        tables = {name: list(table.columns) for name, table in schema.tables.items()}
        print_json({"version": schema.version, "tables": tables, "joins": schema.joins, "to_fill_in": gaps,
                    "verified": [each.id for each in verified.current], "not_used": verified.stale})  # fmt: skip
        return
    for gap in gaps:
        print_text(gap, style="yellow")
    for stale in verified.stale:
        print_text(f"verified.toml: {stale}", style="yellow")
    print_text(
        f"{schema.database}.{schema.namespace}: {count(len(schema.tables), 'table')}, {count(columns, 'column')}, "
        f"{count(len(schema.joins), 'join')}, version {schema.version}; {len(gaps)} to fill in"
    )
    if queries:
        print_text(f"verified queries: {len(verified.current)} in use, {len(verified.stale)} not used")


@app.command("import")
def import_schema(  # noqa: PLR0917 - options, each by its name
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="CSV files with a header, one per table.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option(help="Instead: a connection of Snowflake's connections.toml, to read its description.")
    ] = None,
    database: Annotated[str, typer.Option(help="The database's name.")] = "LOCAL",
    namespace: Annotated[str, typer.Option("--schema", help="The name of its schema.")] = "PUBLIC",
    out: Annotated[Path | None, typer.Option(help="The file to write; FOLDER/schema.toml without it.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the file.")] = False,
) -> None:
    """Write a schema file from a folder of CSV files or from Snowflake's INFORMATION_SCHEMA, to be filled in."""
    from services.specialists.text_to_sql.schema_import import ImportFailed, import_folder, schema_text

    if (folder is None) == (connection is None):
        raise InvalidArgument("the source is missing", remedy="give either FOLDER or --connection NAME")
    if folder is not None and not folder.is_dir():
        raise InvalidArgument(f"{folder} is not a folder", remedy="name a folder of CSV files")
    file = out or (folder or Path()) / "schema.toml"
    if file.exists() and not replace:
        raise InvalidArgument(f"{file} exists", remedy="choose another --out, or give --replace")
    names = {"database": database.upper(), "namespace": namespace.upper()}
    try:
        found = import_folder(folder, **names) if folder else _from_snowflake(str(connection), **names)
    except ImportFailed as error:
        raise CommandFailed(str(error)) from error
    except ValueError as error:
        raise InvalidArgument(f"{names['database']}.{names['namespace']}: {error}", remedy="use plain names") from error
    file.write_text(schema_text(found.schema), encoding="utf-8")
    for left_out in found.left_out:
        print_text(f"left out: {left_out}", style="yellow")
    gaps = sum(1 for _ in found.schema.gaps())
    console.print(f"{file}: {count(len(found.schema.tables), 'table')}, {gaps} to fill in", soft_wrap=True)
    console.print(f"next: fill in what is empty, then switchyard schema check {file}", soft_wrap=True)


def _from_snowflake(name: str, *, database: str, namespace: str) -> Imported:
    from services.specialists.text_to_sql.schema_import import import_snowflake

    try:
        import snowflake.connector as snowflake
    except ModuleNotFoundError as error:
        raise CommandFailed("Snowflake's connector is not installed", remedy=_CONNECTOR_MISSING) from error
    try:
        with snowflake.connect(connection_name=name, database=database, schema=namespace) as connection:
            return import_snowflake(connection, database=database, namespace=namespace)
    except snowflake.Error as error:
        remedy = f"see [{name}] in ~/.snowflake/connections.toml, and the role's rights"
        raise CommandFailed(f"Snowflake refused: {error.msg or error}", remedy=remedy) from error
