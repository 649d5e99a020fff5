from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from snowflake.connector import errors

from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.warehouse import (
    MAX_RESULT_BYTES,
    QueryLimits,
    SnowflakeWarehouse,
    TokenNotAccepted,
    WarehouseEndpoint,
)
from switchyard.identity.client import UserToken
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskError
from tests.user_tokens import user_token

if TYPE_CHECKING:
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")
ADDRESS = WarehouseEndpoint(account="local", database="OILFIELD", namespace="PROD")


TOKEN = user_token("the-token", subject="0190a000-0000-7000-8000-000000000001")


def warehouse(connect: Any) -> SnowflakeWarehouse:
    return SnowflakeWarehouse(ADDRESS, TOKEN, connect=connect)


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


async def test_users_with_the_same_question_get_their_own_rows(
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


async def test_result_over_the_limit_is_truncated_and_marked(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    found = await rows("SELECT api_number FROM wells", snowflake_simulator, schema, limits=QueryLimits(max_rows=10))
    assert (len(found.rows), found.row_count, found.truncated) == (10, 10, True)


async def test_result_of_exactly_the_limit_is_not_marked_truncated(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    found = await rows(
        "SELECT api_number FROM wells LIMIT 10", snowflake_simulator, schema, limits=QueryLimits(max_rows=10)
    )
    assert (found.row_count, found.truncated) == (10, False)


async def test_empty_result_has_its_columns(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    found = await rows("SELECT api_number FROM wells WHERE basin = 'Mars'", snowflake_simulator, schema)
    assert (found.row_count, found.rows, found.truncated) == (0, (), False)
    assert [column.name for column in found.columns] == ["API_NUMBER"]


async def test_role_not_granted_is_rejected(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    error = await failure("SELECT api_number FROM wells", snowflake_simulator, schema, role="ACCOUNTADMIN")
    assert isinstance(error, PermanentTaskError)
    assert error.code == "role_not_granted"


async def test_query_over_its_time_is_cancelled_and_rejected(
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


async def test_query_failing_in_the_warehouse_is_rejected_without_its_text(
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
        *(
            (errors.DatabaseError(msg="the token", errno=number), TokenNotAccepted, "token_not_accepted")
            for number in (390303, 390318, 390195, 390144)
        ),
        (errors.ProgrammingError(msg="not authorized", errno=2003), PermanentTaskError, "not_authorized"),
        (errors.ProgrammingError(msg="division by zero", errno=100051), PermanentTaskError, "query_failed"),
        (errors.OperationalError(msg="could not connect", errno=250001), RetryableTaskError, "warehouse_unreachable"),
        (errors.ServiceUnavailableError(), RetryableTaskError, "warehouse_unreachable"),
    ],
)
async def test_warehouse_errors_are_retryable_or_permanent(
    error: Exception, family: type[TaskError], code: str, schema: Schema
) -> None:
    query = guard_query("SELECT api_number FROM wells", schema)
    with pytest.raises(family) as caught:
        await warehouse(Recorder(error)).run(query, case_id="case-1", role="FIELD_ALL", limits=QueryLimits())
    assert caught.value.code == code


async def test_connection_uses_the_users_token_and_names_the_case(schema: Schema) -> None:
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
    tag = json.loads(login.received["session_parameters"]["QUERY_TAG"])
    assert tag == {"case": "case-1", "agent": "text_to_sql", "user": TOKEN.access.subject}
    assert login.received["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 9


class LogIns:
    """A stand-in for Snowflake's login that accepts no token but these, and records what it receives."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = accepted
        self.received: list[str] = []

    def __call__(self, **received: Any) -> Any:
        self.received.append(received["token"])
        if received["token"] not in self.accepted:
            raise errors.DatabaseError(msg="OAuth access token expired", errno=390318)
        return Answer(["A"], [("1",)])


@pytest.mark.parametrize(("accepted", "found"), [(("fresh",), True), ((), False)])
async def test_token_that_is_not_accepted_is_replaced_once(
    accepted: tuple[str, ...], found: bool, schema: Schema
) -> None:
    log_ins, renewed = LogIns(*accepted), 0

    async def renew() -> UserToken:
        nonlocal renewed
        renewed += 1
        return user_token("fresh")

    as_user = SnowflakeWarehouse(ADDRESS, TOKEN, renew=renew, connect=log_ins)
    query = guard_query("SELECT api_number FROM wells", schema)
    if found:
        rows = await as_user.run(query, case_id="c", role="FIELD_ALL", limits=QueryLimits())
        assert rows.rows == (("1",),)
    else:
        with pytest.raises(TokenNotAccepted):
            await as_user.run(query, case_id="c", role="FIELD_ALL", limits=QueryLimits())
    assert (log_ins.received, renewed) == (["the-token", "fresh"], 1)


def test_token_is_absent_from_the_warehouses_repr() -> None:
    assert "the-token" not in repr(warehouse(None))


class Answer:
    """A connection and a cursor that answer with rows, or fail on the way."""

    def __init__(self, names: list[str], rows: list[tuple[Any, ...]], failure: Exception | None = None) -> None:
        self.description = [SimpleNamespace(name=name, type_code=99) for name in names]
        self.rows = rows
        self.failure = failure

    def __call__(self, **_: Any) -> Answer:
        return self

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def cursor(self) -> Answer:
        return self

    def execute(self, sql: str) -> None: ...

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        if self.failure is not None:
            raise self.failure
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


async def answered(answer: Answer, schema: Schema, limits: QueryLimits | None = None) -> Rows:
    query = guard_query("SELECT api_number, state FROM wells", schema)
    return await warehouse(answer).run(query, case_id="c", role="FIELD_ALL", limits=limits or QueryLimits())


async def test_columns_with_one_name_or_an_unknown_type_are_returned(schema: Schema) -> None:
    found = await answered(Answer(["A", "A"], [("1", "2")]), schema)
    assert [(column.name, column.type) for column in found.columns] == [("A", "other"), ("A", "other")]
    assert found.rows == (("1", "2"),)


async def test_result_with_unexpected_columns_is_returned_without_units(schema: Schema) -> None:
    found = await answered(Answer(["A"], [("1",)]), schema)
    assert [column.unit for column in found.columns] == [None]


async def test_join_of_stars_with_a_repeated_name_is_answered(
    snowflake_simulator: SnowflakeSimulator, schema: Schema
) -> None:
    found = await rows(
        "WITH j AS (SELECT * FROM wells w JOIN downtime d ON w.api_number = d.api_number) "
        "SELECT * FROM j WHERE hours > 10",
        snowflake_simulator,
        schema,
    )
    names = [column.name for column in found.columns]
    assert len(set(names)) == len(names)
    assert found.rows[0][names.index("API_NUMBER")] == found.rows[0][names.index("API_NUMBER_2")]


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("year 10000 is out of range"),
        OverflowError("date value out of range"),
        errors.InterfaceError(msg="Failed to convert", errno=252005),
        errors.OperationalError(msg="Failed to read the arrow stream", errno=255005),
    ],
)
async def test_unreadable_value_fails_the_task_with_its_code(failure: Exception, schema: Schema) -> None:
    with pytest.raises(PermanentTaskError) as caught:
        await answered(Answer(["A", "B"], [], failure), schema)
    assert caught.value.code == "unreadable_result"
    assert caught.value.remedy


async def test_result_over_its_size_is_truncated_and_marked(schema: Schema) -> None:
    wide = [("x" * 500,) * 2] * 9_000
    found = await answered(Answer(["A", "B"], wide), schema, QueryLimits(max_rows=10_000))
    assert found.truncated
    assert found.size <= MAX_RESULT_BYTES + 1_000
    assert 0 < found.row_count < 9_000


async def test_long_text_is_cut_in_the_warehouse(snowflake_simulator: SnowflakeSimulator, schema: Schema) -> None:
    query = guard_query("SELECT LISTAGG(api_number, ', ') AS wells, ARRAY_AGG(api_number) AS listed FROM wells", schema)
    assert query.sql.count("501") == 2
    found = await rows("SELECT LISTAGG(api_number, ', ') AS wells FROM wells", snowflake_simulator, schema)
    assert len(str(found.rows[0][0])) == 500
