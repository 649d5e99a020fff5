from __future__ import annotations

import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from demo.oil_field.warehouse import oil_field_schema
from services.specialists.text_to_sql.grammar import ALLOWED
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery

SCHEMA = oil_field_schema()
FRAGMENTS = [
    *("SELECT", "FROM", "WHERE", "WITH", "AS", "JOIN", "ON", "UNION", "LIMIT", "GROUP BY ALL", "ORDER BY", "QUALIFY"),
    *("wells", "downtime", "w", "d", "api_number", "basin", "*", "w.*", "1", "'x'", "NULL", "TRUE", "=", "<", "+"),
    *("(", ")", ",", ".", ";", "--", "/*", "*/", "$1", "@s", "?", ":a", '"', "'", "::", "COUNT(*)", "SUM(hours)"),
    *("CURRENT_USER()", "LATERAL FLATTEN(", "TABLE(", "IDENTIFIER(", "AT(", "salaries", "hr.wells", "RESULT_SCAN("),
]


def outcome(sql: str, max_rows: int = 200) -> GuardedQuery | None:
    try:
        return guard_query(sql, SCHEMA, max_rows=max_rows)
    except UnsafeQuery:
        return None


@settings(max_examples=max(300, settings().max_examples), deadline=None)
@given(st.text(max_size=200))
def test_text_of_any_kind_is_a_query_or_refused(text: str) -> None:
    outcome(text)


@settings(max_examples=max(400, settings().max_examples), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25))
def test_accepted_query_uses_listed_tables_and_constructs_only(words: list[str]) -> None:
    query = outcome("SELECT " + " ".join(words))
    if query is None:
        return
    tree = sqlglot.parse_one(query.sql, read="snowflake")
    defined = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert all(type(node) in ALLOWED for node in tree.walk())
    assert {table.name for table in tree.find_all(exp.Table)} <= set(SCHEMA.tables) | defined
    assert all(not table.db and not table.catalog for table in tree.find_all(exp.Table))


@settings(max_examples=max(200, settings().max_examples), deadline=None)
@given(st.integers(0, 10**12), st.integers(1, 1_000))
def test_query_returns_at_most_one_row_over_the_limit(asked: int, most: int) -> None:
    query = outcome(f"SELECT api_number FROM wells LIMIT {asked}", most)
    assert query is not None
    assert int(query.sql.rsplit(" ", 1)[1]) == (asked if asked <= most else most + 1)


@settings(max_examples=max(200, settings().max_examples), deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=60))
def test_text_literals_stay_literals(text: str) -> None:
    literal = exp.Literal.string(text).sql(dialect="snowflake")
    query = outcome(f"SELECT api_number FROM wells WHERE well_name = {literal}")
    assert query is not None
    parsed = sqlglot.parse_one(query.sql, read="snowflake")
    assert [node.name for node in parsed.find_all(exp.Literal) if node.is_string] == [text]


@settings(max_examples=max(200, settings().max_examples), deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_quoted_name_of_an_unlisted_table_is_refused(name: str) -> None:
    quoted = exp.to_identifier(name, quoted=True).sql(dialect="snowflake")
    query = outcome(f"SELECT COUNT(*) AS n FROM {quoted}")
    assert (query is not None) is (name in SCHEMA.tables)
