"""For any text the guard answers with a query or with its own refusal, and what it reports as read is what is read."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from snowflake.connector.errors import Error

from demo.oil_field.warehouse import oil_field_schema
from evals.cases import analyst_cases, hostile_cases
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery
from tests.unit.text_to_sql.conftest import Run, Views

SCHEMA = oil_field_schema()
SQLGLOTS: list[str] = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "sqlglot_snowflake.json.gz").read_bytes())
)
ANALYSTS = [case.sql for case in analyst_cases()]
WRITTEN = [*ANALYSTS, *(case.sql for case in hostile_cases() if len(case.sql) < 600)]
NAMES = [
    "home_address",
    "salary",
    "t.*",
    "*",
    "METADATA$ROW_ID",
    "$1",
    "wells",
    '"NAME"',
    "secret.wells",
    "@stage",
    "a0",
]
WORD = re.compile(r"'[^']*'|\"[^\"]*\"|\w+|\s+|[^\w\s]")


def outcome(sql: str) -> GuardedQuery | None:
    refused = None
    try:
        return guard_query(sql, SCHEMA)
    except UnsafeQuery as error:
        refused = error
    assert refused.code.startswith("sql_")
    assert refused.remedy
    return None


@pytest.mark.parametrize("part", range(8))
def test_statement_of_sqlglots_tests_is_answered_with_a_query_or_refused(part: int) -> None:
    for sql in SQLGLOTS[part::8]:
        outcome(sql)
        # On a table that exists, so that more of the guard is reached.
        outcome(re.sub(r"(?i)\b(from|join)\s+[a-z_]\w*", r"\1 wells", sql))


@st.composite
def mutated(draw: st.DrawFn, written: list[str]) -> str:
    """A written statement with words cut, doubled, moved, or taken from another one."""
    words = WORD.findall(draw(st.sampled_from(written)))
    other = WORD.findall(draw(st.sampled_from(WRITTEN)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(words) - 1)))
        size = draw(st.integers(1, 8))
        match draw(st.sampled_from(("cut", "double", "swap", "take", "name", "text"))):
            case "cut":
                del words[at : at + size]
            case "double":
                words[at:at] = words[at : at + size]
            case "swap":
                to = draw(st.integers(0, max(0, len(words) - 1)))
                words[at:at], words[to:to] = words[to : to + size], words[at : at + size]
            case "take":
                start = draw(st.integers(0, max(0, len(other) - 1)))
                words[at:at] = other[start : start + size]
            case "name":
                words[at : at + 1] = [draw(st.sampled_from(NAMES))]
            case _:
                words[at:at] = [draw(st.text(max_size=5))]
    return "".join(words)


@settings(max_examples=max(400, settings().max_examples), deadline=None)
@given(mutated(WRITTEN))
def test_mutated_statement_is_answered_with_a_query_or_refused(sql: str) -> None:
    outcome(sql)


@settings(max_examples=max(200, settings().max_examples), deadline=None)
@given(sql=mutated(ANALYSTS))
@example(sql="SELECT name AS salary FROM technicians ORDER BY UPPER(salary)")
@example(sql="SELECT * FROM technicians PIVOT (COUNT(technician_id) FOR region IN ('DJ', 'Permian'))")
def test_mutated_query_reads_only_reported_columns(sql: str, run: Run, views: Views) -> None:
    query = outcome(sql)
    if query is None:
        return
    try:
        run(query.sql)
    except Error:
        return  # not a query for this engine
    run(query.sql, views(query.columns))
