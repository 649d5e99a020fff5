from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from snowflake.connector import errors

from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.warehouse import QueryLimits, SnowflakeWarehouse, WarehouseEndpoint
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskError

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")
ADDRESS = WarehouseEndpoint(account="local", database="OILFIELD", namespace="PROD")


def warehouse(connect: Any) -> SnowflakeWarehouse:
    return SnowflakeWarehouse(ADDRESS, SecretStr("the-token"), connect=connect)


async def rows(
    sql: str,
    snowflake_simulator: SnowflakeSimulator,
    schema: Schema,
    *,
    role: str = "FIELD_ALL",
    limits: QueryLimits | None = None,
) -> Rows:
    limits = limits or QueryLimits()
    query = guard_query(sql, schema, max_rows=limits.max_rows)
    return await warehouse(snowflake_simulator.connect).run(query, case_id="case-1", role=role, limits=limits)


async def failure(sql: str, snowflake_simulator: SnowflakeSimulator, schema: Schema, **given: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await rows(sql, snowflake_simulator, schema, **given)
    return caught.value


async def test_rows_come_with_types_and_units(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    found = await rows(
        "SELECT production_month, SUM(oil_bbl) AS oil, COUNT(*) AS n, MAX(days_on) AS days FROM monthly_production "
        "WHERE production_month = '2026-06-01' GROUP BY 1",
        snowflake_simulator,
        schema,
    )
    assert [(column.name, column.type, column.unit) for column in found.columns] == [
        ("PRODUCTION_MONTH", "date", None),
        ("OIL", "number", "bbl"),
        ("N", "number", None),
        ("DAYS", "number", "d"),
    ]
    (row,) = found.rows
    assert row[0] == "2026-06-01"
    assert isinstance(row[1], str)
    assert isinstance(row[2], int)
    assert row[3] == "30.00"


async def test_two_users_ask_the_same_and_get_their_own_rows(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    asked = "SELECT DISTINCT basin FROM wells ORDER BY basin"
    roles = ("FIELD_PERMIAN", "FIELD_WILLISTON", "FIELD_MIDCON", "FIELD_ALL")
    found = await asyncio.gather(*(rows(asked, snowflake_simulator, schema, role=role) for role in roles))
    assert [[basin for (basin,) in result.rows] for result in found] == [
        ["Permian"],
        ["Williston"],
        ["Anadarko", "DJ"],
        ["Anadarko", "DJ", "Eagle Ford", "Permian", "Williston"],
    ]


async def test_a_result_over_the_limit_is_cut_and_says_so(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    found = await rows("SELECT api_number FROM wells", snowflake_simulator, schema, limits=QueryLimits(max_rows=10))
    assert (len(found.rows), found.row_count, found.truncated) == (10, 10, True)


async def test_a_result_of_exactly_the_limit_is_not_called_cut(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    found = await rows(
        "SELECT api_number FROM wells LIMIT 10", snowflake_simulator, schema, limits=QueryLimits(max_rows=10)
    )
    assert (found.row_count, found.truncated) == (10, False)


async def test_an_empty_result_is_a_result(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    found = await rows("SELECT api_number FROM wells WHERE basin = 'Mars'", snowflake_simulator, schema)
    assert (found.row_count, found.rows, found.truncated) == (0, (), False)
    assert [column.name for column in found.columns] == ["API_NUMBER"]


async def test_a_role_that_is_not_granted_is_rejected(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    error = await failure("SELECT api_number FROM wells", snowflake_simulator, schema, role="ACCOUNTADMIN")
    assert isinstance(error, PermanentTaskError)
    assert error.code == "role_not_granted"


async def test_a_query_that_takes_too_long_is_cancelled_and_rejected(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    endless = (
        "SELECT COUNT(*) AS n FROM monthly_production a, monthly_production b, monthly_production c "
        "WHERE a.oil_bbl + b.oil_bbl < c.oil_bbl"
    )
    # The guard refuses such a query; this is about one that it does not recognise.
    query = replace(guard_query("SELECT COUNT(*) AS n FROM monthly_production", schema), sql=endless)
    with pytest.raises(PermanentTaskError) as caught:
        await warehouse(snowflake_simulator.connect).run(
            query, case_id="case-1", role="FIELD_ALL", limits=QueryLimits(timeout_s=1)
        )
    assert caught.value.code == "query_timeout"


async def test_a_query_that_the_warehouse_cannot_run_is_rejected_without_its_text(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    error = await failure("SELECT CAST(well_name AS INT) AS my_secret FROM wells", snowflake_simulator, schema)
    assert error.code == "query_failed"
    assert "secret" not in str(error).lower()


class Recorder:
    """A stand-in for Snowflake's login that records what it receives, and refuses it."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.received: dict[str, Any] = {}

    def __call__(self, **received: Any) -> Any:
        self.received = received
        raise self.error


@pytest.mark.parametrize(
    ("error", "family", "code"),
    [
        (errors.DatabaseError(msg="OAuth access token expired", errno=390318), PermanentTaskError, "needs_reauth"),
        (errors.DatabaseError(msg="Invalid OAuth access token", errno=390303), PermanentTaskError, "needs_reauth"),
        (errors.ProgrammingError(msg="not authorized", errno=2003), PermanentTaskError, "not_authorized"),
        (errors.ProgrammingError(msg="division by zero", errno=100051), PermanentTaskError, "query_failed"),
        (errors.OperationalError(msg="could not connect", errno=250001), RetryableTaskError, "warehouse_unreachable"),
        (errors.ServiceUnavailableError(), RetryableTaskError, "warehouse_unreachable"),
    ],
)
async def test_errors_say_whether_to_try_again(
    error: Exception, family: type[TaskError], code: str, schema: Schema
) -> None:
    query = guard_query("SELECT api_number FROM wells", schema)
    with pytest.raises(family) as caught:
        await warehouse(Recorder(error)).run(query, case_id="case-1", role="FIELD_ALL", limits=QueryLimits())
    assert caught.value.code == code


async def test_the_connection_is_the_users_and_names_the_case(schema: Schema) -> None:
    login = Recorder(errors.OperationalError(msg="stop here"))
    with pytest.raises(RetryableTaskError):
        await warehouse(login).run(
            guard_query("SELECT api_number FROM wells", schema),
            case_id="case-1",
            role="FIELD_DJ",
            limits=QueryLimits(timeout_s=9),
        )
    assert (login.received["authenticator"], login.received["token"], login.received["role"]) == (
        "oauth",
        "the-token",
        "FIELD_DJ",
    )
    assert login.received["session_parameters"]["QUERY_TAG"] == "case-1"
    assert login.received["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 9


def test_the_token_is_not_shown_when_the_warehouse_is_printed() -> None:
    assert "the-token" not in repr(warehouse(None))
