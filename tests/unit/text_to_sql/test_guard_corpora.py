from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from demo.oil_field.warehouse import oil_field_schema
from evals.cases import AnalystCase, HostileCase, analyst_cases, hostile_cases
from evals.compare import same_result
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery
from tests.unit.text_to_sql.conftest import Run, Views

MAX_ANALYSTS_REFUSED = 0.05
SCHEMA = oil_field_schema()
NOT_IN_DUCKDB = {
    "snowflake-12": "APPROX_TOP_K",
    "snowflake-22": "WIDTH_BUCKET",
    "snowflake-55": "HLL",
    "own-1": "RATIO_TO_REPORT",
    "own-33": "CONDITIONAL_CHANGE_EVENT",
    "own-53": "MATCH_CONDITION",
    "snowflake-42": "ARRAY_TO_STRING over ARRAY_AGG",
    "own-108": "ARRAY_TO_STRING over ARRAY_AGG",
    "own-112": "ORDER BY ALL",
    "snowflake-59": "VARIANT",
    "snowflake-41": "the order of ARRAY_AGG",
}
"""Queries that the simulator's engine cannot run, with the part that it lacks."""
OTHER_IN_DUCKDB = {"snowflake-17", "snowflake-21", "snowflake-31", "snowflake-47", "own-21", "own-109"}
"""Queries that run otherwise there as they were written: the simulator merges columns of one name, DuckDB takes a
table's name for a column, and sqlglot writes IS NOT TRUE as NOT."""


def guarded(sql: str) -> GuardedQuery | UnsafeQuery:
    try:
        return guard_query(sql, SCHEMA)
    except UnsafeQuery as error:
        return error


ACCEPTED = {case.id: (case, query) for case in analyst_cases() if isinstance(query := guarded(case.sql), GuardedQuery)}
RUNNABLE = [pytest.param(*pair, id=name) for name, pair in ACCEPTED.items() if name not in NOT_IN_DUCKDB]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in hostile_cases()])
def test_hostile_statement_is_refused_with_a_remedy(case: HostileCase, schema: Schema) -> None:
    with pytest.raises(UnsafeQuery) as caught:
        guard_query(case.sql, schema)
    assert caught.value.what
    assert caught.value.remedy


def test_analyst_queries_are_refused_at_most_once_in_twenty() -> None:
    refused = [case.id for case in analyst_cases() if case.id not in ACCEPTED]
    assert len(refused) <= MAX_ANALYSTS_REFUSED * len(analyst_cases()), refused


@pytest.mark.parametrize(("case", "query"), [pytest.param(*pair, id=name) for name, pair in ACCEPTED.items()])
def test_analyst_query_is_reported_with_the_columns_it_reads(case: AnalystCase, query: GuardedQuery) -> None:
    assert query.columns == case.columns
    assert query.tables == tuple(sorted(case.reads))


def comparable(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(json.dumps([_rounded(value) for value in row], default=str) for row in rows)


def _rounded(value: Any) -> Any:
    if isinstance(value, float | Decimal):
        return f"{value:.6g}"
    if isinstance(value, list):
        value = ", ".join(json.loads(json.dumps(value)))
    # The guard cuts long texts.
    return "".join(sorted(value[:501])) if isinstance(value, str) else value


def same(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> bool:
    """Whether two results are equal; sums of floats may differ in the last digit that is compared."""
    if comparable(left) == comparable(right):
        return True
    return len(left) < 2_000 and same_result(
        *([_plain_row(row) for row in rows] for rows in (left, right)), ordered=False
    )


def _plain_row(row: tuple[Any, ...]) -> list[Any]:
    return [str(value) if isinstance(value, float | Decimal) else _rounded(value) for value in row]


@pytest.mark.parametrize(("case", "query"), [each for each in RUNNABLE if each.id not in OTHER_IN_DUCKDB])
def test_rewritten_query_returns_the_rows_of_the_original(case: AnalystCase, query: GuardedQuery, run: Run) -> None:
    whole = guard_query(case.sql, SCHEMA, max_rows=10_000_000)
    assert same(run(whole.sql), run(case.sql))


@pytest.mark.parametrize(("case", "query"), RUNNABLE)
def test_rewritten_query_reads_only_the_reported_columns(
    case: AnalystCase, query: GuardedQuery, run: Run, views: Views
) -> None:
    whole = guard_query(case.sql, SCHEMA, max_rows=10_000_000)
    assert same(run(whole.sql, views(query.columns)), run(whole.sql))
