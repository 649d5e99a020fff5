"""The Snowflake simulator: fakesnow over DuckDB, with roles, which fakesnow does not have.

A connection sees the views of the role it was opened with and nothing else; it may only read. Statements that run too
long are cancelled as Snowflake cancels them. Error numbers are Snowflake's, so that callers can be tested against them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.cursor import DictCursor, SnowflakeCursor
from snowflake.connector.errors import DatabaseError, ProgrammingError
from sqlglot import exp, parse
from sqlglot.errors import ParseError

from switchyard.devstack.simulators.snowflake.load import DESCRIPTION, WarehouseRole, WarehouseSchema, load_warehouse

DEFAULT_TIMEOUT_S = 60
ROLE_NOT_GRANTED = 390189
NO_SUCH_OBJECT = 2003
NO_PRIVILEGE = 3001
STATEMENT_TIMED_OUT = 630
SYNTAX_ERROR = 1003
UNKNOWN_FAILURE = 9999
"""fakesnow's own number for what it has no better one for."""


class SnowflakeSimulator:
    """One warehouse in memory. Connections from several threads are fine."""

    def __init__(self, schema: WarehouseSchema, folder: Path, roles: Iterable[WarehouseRole]) -> None:
        _quiet()
        self.schema = schema
        self._roles = {role.name: role for role in roles}
        self._fake = FakeSnow(create_database_on_connect=True, create_schema_on_connect=True)
        first = self._fake.connect(schema.database, schema.namespace)
        load_warehouse(first._duck_conn, schema, folder, self._roles.values())
        first.close()

    def connect(self, **given: Any) -> FakeSnowflakeConnection:
        """What `snowflake.connector.connect` does, for a role that exists. Raises `DatabaseError` for another."""
        role = self._roles.get(str(given.get("role") or "").upper())
        if role is None:
            raise DatabaseError(
                msg="Role specified in the connect string does not exist or is not authorized.", errno=ROLE_NOT_GRANTED
            )
        session = given.get("session_parameters") or {}
        return RoleConnection(
            self._fake.duck_conn.cursor(),
            self._fake.results_cache,
            self.schema.database,
            role.namespace,
            create_database=False,
            create_schema=False,
            warehouse_schema=self.schema,
            timeout_s=float(session.get("STATEMENT_TIMEOUT_IN_SECONDS", DEFAULT_TIMEOUT_S)),
            on_query=given.get("on_query"),
        )

    def close(self) -> None:
        """Drop everything."""
        self._fake.duck_conn.close()


class RoleConnection(FakeSnowflakeConnection):
    """A connection in one role."""

    def __init__(
        self,
        *args: Any,
        warehouse_schema: WarehouseSchema,
        timeout_s: float,
        on_query: Callable[[str], None] | None = None,
        **given: Any,
    ) -> None:
        super().__init__(*args, **given)
        self.warehouse_schema = warehouse_schema
        self.timeout_s = timeout_s
        self.on_query = on_query

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> RoleCursor:
        """A cursor that reads what the role may."""
        return RoleCursor(conn=self, duck_conn=self._duck_conn, use_dict_result=issubclass(cursor_class, DictCursor))


class RoleCursor(FakeSnowflakeCursor):
    """Runs queries on the role's views; anything else is refused as Snowflake would refuse a read-only role."""

    _conn: RoleConnection

    def execute(self, command: str, *args: Any, **given: Any) -> FakeSnowflakeCursor:
        """Run one statement. Raises `ProgrammingError` with Snowflake's number."""
        if command.strip().upper().startswith("USE SECONDARY ROLES"):
            return super().execute("SELECT 'Statement executed successfully.' AS status")
        if self._conn.on_query is not None:
            self._conn.on_query(command)
        command = self._within_role(command)
        timer = Timer(self._conn.timeout_s, self._duck_conn.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return super().execute(command, *args, **given)
        except duckdb.InterruptException as error:
            raise ProgrammingError(
                msg="Statement reached its statement or warehouse timeout and was canceled.",
                errno=STATEMENT_TIMED_OUT,
                sqlstate="57014",
            ) from error
        except duckdb.Error as error:
            raise ProgrammingError(msg=str(error), errno=UNKNOWN_FAILURE, sqlstate="22000") from error
        finally:
            timer.cancel()

    def _within_role(self, command: str) -> str:
        try:
            statements = parse(command, read="snowflake")
        except ParseError as error:
            raise ProgrammingError(
                msg="SQL compilation error: syntax error", errno=SYNTAX_ERROR, sqlstate="42000"
            ) from error
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise ProgrammingError(msg="Insufficient privileges to operate", errno=NO_PRIVILEGE, sqlstate="42501")
        query = statements[0]
        known = {"", self._conn.warehouse_schema.database}, {"", self._conn.warehouse_schema.namespace}
        for table in query.find_all(exp.Table):
            if table.db.upper() == "INFORMATION_SCHEMA" and table.name.upper() in {"TABLES", "COLUMNS"}:
                table.set("catalog", None)
                table.set("db", exp.to_identifier(DESCRIPTION))
                continue
            if not isinstance(table.this, exp.Identifier) or not (
                table.catalog.upper() in known[0] and table.db.upper() in known[1]
            ):
                raise ProgrammingError(
                    msg="Object does not exist or not authorized.", errno=NO_SUCH_OBJECT, sqlstate="02000"
                )
            table.set("catalog", None)
            table.set("db", None)
        return query.sql(dialect="snowflake")


def _quiet() -> None:
    # fakesnow 0.12 fetches results in a way that DuckDB 2.0 calls slow. It is right, and nothing we can change.
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result", category=UserWarning)
