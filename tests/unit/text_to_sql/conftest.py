from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from demo.oil_field.warehouse import oil_field_schema, open_warehouse
from services.specialists.text_to_sql.guard_process import GuardProcess
from services.specialists.text_to_sql.schema import Schema

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator


@pytest.fixture(scope="session")
def schema() -> Schema:
    return oil_field_schema()


@pytest.fixture(scope="session")
def guard(schema: Schema) -> Iterator[GuardProcess]:
    made = GuardProcess(schema)
    yield made
    made.close_now()


@pytest.fixture(scope="session")
def snowflake_simulator() -> Iterator[SnowflakeSimulator]:
    made = open_warehouse()
    yield made
    made.close()


Run = Callable[..., list[tuple[Any, ...]]]
Views = Callable[[tuple[str, ...]], str]


@pytest.fixture(scope="session")
def run(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> Run:
    """Runs a query on the tables of one DuckDB schema, as the simulator does."""
    from switchyard.devstack.simulators.snowflake.simulator import RoleConnection

    fake = snowflake_simulator._fake
    # With several threads, MODE and other aggregates choose differently among equals each time.
    fake.duck_conn.execute("SET threads = 1")

    def execute(sql: str, namespace: str = "PROD") -> list[tuple[Any, ...]]:
        connection = RoleConnection(
            fake.duck_conn.cursor(),
            fake.results_cache,
            schema.database,
            namespace,
            create_database=False,
            create_schema=False,
            warehouse_schema=schema,
            timeout_s=60,
        )
        with warnings.catch_warnings(), closing(connection), closing(connection.cursor()) as cursor:
            warnings.simplefilter("ignore")
            return [tuple(row) for row in cursor.execute(sql).fetchall()]

    return execute


@pytest.fixture(scope="session")
def views(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> Views:
    """Builds a schema of the same tables that has only the columns to keep."""
    engine = snowflake_simulator._fake.duck_conn.cursor()
    engine.execute("CREATE schema OILFIELD.ONLY_REPORTED")

    def build(keep: tuple[str, ...]) -> str:
        for name, table in schema.tables.items():
            columns = ", ".join(column for column in table.columns if f"{name}.{column}" in keep)
            engine.execute(
                f"CREATE OR REPLACE VIEW OILFIELD.ONLY_REPORTED.{name} AS "
                f"SELECT {columns or '1 AS NOTHING'} FROM OILFIELD.PROD.{name}"
            )
        return "ONLY_REPORTED"

    return build
