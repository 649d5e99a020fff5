from __future__ import annotations

import pytest

from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.schema import Schema
from tests.unit.text_to_sql.conftest import Run

USEFUL = {
    "qualify": "SELECT api_number FROM monthly_production "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY api_number ORDER BY oil_bbl DESC) = 1",
    "a CTE": "WITH t AS (SELECT api_number, SUM(oil_bbl) AS oil FROM monthly_production GROUP BY 1) "
    "SELECT w.basin, SUM(t.oil) AS oil FROM t JOIN wells w ON w.api_number = t.api_number GROUP BY ALL",
    "a CTE named like its table": "WITH wells AS (SELECT * FROM wells) SELECT well_name FROM wells",
    "a correlated subquery": "SELECT w.api_number, (SELECT MAX(p.oil_bbl) FROM monthly_production p "
    "WHERE p.api_number = w.api_number) AS best FROM wells w",
    "a correlated exists": "SELECT w.api_number FROM wells w "
    "WHERE NOT EXISTS (SELECT 1 FROM downtime d WHERE d.api_number = w.api_number)",
    "an in with a subquery": "SELECT well_name FROM wells WHERE api_number IN (SELECT api_number FROM downtime)",
    "using": "SELECT w.well_name, p.oil_bbl FROM wells w JOIN monthly_production p USING (api_number)",
    "a left join": "SELECT w.api_number FROM wells w LEFT JOIN downtime d ON d.api_number = w.api_number",
    "dates": "SELECT DATE_TRUNC('month', started_at), DATEADD(month, -3, CURRENT_DATE()), "
    "DATEDIFF(day, started_at, ended_at), DATE_PART(year, started_at), EXTRACT(month FROM started_at), "
    "YEAR(started_at), LAST_DAY(started_at), TO_CHAR(started_at, 'YYYY-MM'), started_at::DATE FROM downtime",
    "numbers": "SELECT ROUND(oil_bbl, 1), NULLIF(oil_bbl, 0), COALESCE(oil_bbl, 0), ZEROIFNULL(oil_bbl), "
    "DIV0(gas_mcf, oil_bbl), IFF(oil_bbl > 1, 1, 0), GREATEST(oil_bbl, water_bbl), ABS(oil_bbl), "
    "CASE WHEN oil_bbl > 1 THEN 'x' ELSE 'y' END FROM monthly_production",
    "text": "SELECT UPPER(name), SPLIT_PART(skills, ',', 1), LEFT(name, 3), name || base FROM technicians "
    "WHERE skills LIKE '%pump%' OR CONTAINS(skills, 'weld') OR name ILIKE 'a%' OR base IN ('Midland', 'Greeley')",
    "aggregates": "SELECT COUNT(*), COUNT(DISTINCT api_number), COUNT_IF(oil_bbl > 1), MEDIAN(oil_bbl), "
    "STDDEV(oil_bbl), PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY oil_bbl), CORR(oil_bbl, water_bbl), "
    "MAX_BY(api_number, oil_bbl) FROM monthly_production",
    "a list": "SELECT base, LISTAGG(name, ', ') WITHIN GROUP (ORDER BY name) FROM technicians GROUP BY base",
    "a running window": "SELECT SUM(oil_bbl) OVER (PARTITION BY api_number ORDER BY production_month "
    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW), LAG(oil_bbl) OVER (ORDER BY production_month) FROM monthly_production",
    "a hint, which is dropped": "SELECT /*+ ANYTHING */ api_number FROM wells",
    "comments, which are dropped": "SELECT api_number -- ; DROP TABLE wells\nFROM wells /* UNION */ ;",
    "quoted names": 'SELECT "W"."API_NUMBER" AS "my well" FROM "WELLS" AS "W"',
    "the table's full name": "SELECT api_number FROM OILFIELD.PROD.WELLS",
    "text that only looks dangerous": "SELECT api_number FROM wells WHERE well_name = '; DROP TABLE wells; --'",
    "other alphabets in text": "SELECT api_number FROM wells WHERE well_name = 'Öl-Größe 油井'",
    "a column's full name": "SELECT oilfield.prod.wells.state FROM prod.wells",
    "inline values": "SELECT v.label FROM wells w JOIN (VALUES ('DJ', 'north')) AS v (basin, label) "
    "ON v.basin = w.basin",
    "one inequality": "SELECT a.state FROM wells a JOIN wells b ON a.api_number < b.api_number",
    "one row beside a table": "SELECT w.state, t.n FROM wells w CROSS JOIN (SELECT COUNT(*) AS n FROM downtime) t",
    "a list of values beside a table": "SELECT w.state, t.cause FROM wells w CROSS JOIN (SELECT "
    "DISTINCT cause FROM downtime) t",
    "top": "SELECT TOP 5 api_number FROM wells",
    "excluded columns": "SELECT * EXCLUDE (data_label) FROM wells",
}


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in USEFUL.items()])
def test_analyst_query_is_accepted(sql: str, schema: Schema) -> None:
    assert guard_query(sql, schema).sql.startswith(("SELECT", "WITH"))


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in USEFUL.items()])
def test_accepted_query_is_accepted_again_unchanged(sql: str, schema: Schema) -> None:
    once = guard_query(sql, schema)
    again = guard_query(once.sql, schema)
    assert again.sql == once.sql
    assert again.columns == once.columns


def test_accepted_query_has_quoted_names_and_no_comment(schema: Schema) -> None:
    query = guard_query("select well_name -- my secret\nfrom oilfield.prod.wells where basin = 'DJ'", schema)
    assert query.sql == (
        'SELECT "WELLS"."WELL_NAME" AS "WELL_NAME" FROM "WELLS" AS "WELLS" WHERE "WELLS"."BASIN" = \'DJ\' LIMIT 201'
    )


def test_star_is_expanded(schema: Schema) -> None:
    query = guard_query("SELECT * FROM technicians", schema)
    assert "*" not in query.sql
    assert [column.name for column in query.output] == list(schema.tables["TECHNICIANS"].columns)


def test_accepted_query_lists_its_tables_and_columns(schema: Schema) -> None:
    query = guard_query("SELECT w.well_name FROM wells w JOIN downtime d ON d.api_number = w.api_number", schema)
    assert query.tables == ("DOWNTIME", "WELLS")
    assert query.columns == ("DOWNTIME.API_NUMBER", "WELLS.API_NUMBER", "WELLS.WELL_NAME")


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ("", "LIMIT 11"),
        ("LIMIT 3", "LIMIT 3"),
        ("LIMIT 10", "LIMIT 10"),
        ("LIMIT 11", "LIMIT 11"),
        ("LIMIT 999", "LIMIT 11"),
    ],
)
def test_limit_is_added_or_lowered_to_one_over_the_maximum(asked: str, runs: str, schema: Schema) -> None:
    assert guard_query(f"SELECT api_number FROM wells {asked}", schema, max_rows=10).sql.endswith(runs)


def test_inner_limit_is_kept_and_the_outer_one_added(schema: Schema) -> None:
    sql = guard_query("SELECT x.api_number FROM (SELECT api_number FROM wells LIMIT 999) x", schema, max_rows=10).sql
    assert "LIMIT 999" in sql
    assert sql.endswith("LIMIT 11")


def test_guard_query_lists_the_conditions(schema: Schema) -> None:
    query = guard_query("SELECT w.well_name FROM wells w WHERE w.basin = 'Mars' AND w.status = 'producing'", schema)
    assert query.filters == ("BASIN = 'Mars'", "STATUS = 'producing'")


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("SUM(oil_bbl)", "bbl"),
        ("ROUND(AVG(gas_mcf), 1)", "mcf"),
        ("SUM(oil_bbl) / NULLIF(SUM(days_on), 0)", "bbl/d"),
        ("SUM(gas_mcf) / SUM(oil_bbl)", "mcf/bbl"),
        ("SUM(water_bbl) / (SUM(water_bbl) + SUM(oil_bbl))", None),
        ("SUM(oil_bbl + water_bbl)", "bbl"),
        ("SUM(oil_bbl + gas_mcf)", None),
        ("SUM(CASE WHEN days_on > 1 THEN oil_bbl ELSE 0 END)", "bbl"),
        ("SUM(IFF(days_on > 1, oil_bbl, 0))", "bbl"),
        ("SUM(days_on) * 24", None),
        ("COUNT(oil_bbl)", None),
        ("MAX(production_month)", None),
    ],
)
def test_units_follow_the_expression_and_are_left_out_when_unsure(
    expression: str, unit: str | None, schema: Schema
) -> None:
    assert guard_query(f"SELECT {expression} AS x FROM monthly_production", schema).output[0].unit == unit


def test_units_follow_through_a_cte(schema: Schema) -> None:
    query = guard_query(
        "WITH t AS (SELECT api_number AS a, SUM(oil_bbl) AS oil FROM monthly_production GROUP BY 1) "
        "SELECT MAX(oil) AS best FROM t",
        schema,
    )
    assert query.output[0].unit == "bbl"


def test_order_by_expression_has_its_names_expanded(schema: Schema) -> None:
    sql = guard_query("SELECT name AS salary FROM technicians ORDER BY UPPER(salary)", schema).sql
    assert sql.endswith('ORDER BY UPPER(("TECHNICIANS"."NAME")) LIMIT 201')


def test_pivot_is_rewritten_as_aggregates(schema: Schema) -> None:
    query = guard_query(
        "SELECT * FROM (SELECT state, status, api_number FROM wells) "
        "PIVOT (COUNT(api_number) FOR status IN ('producing', 'plugged' AS gone)) AS p",
        schema,
    )
    assert "PIVOT" not in query.sql
    assert [column.name for column in query.output] == ["STATE", "'producing'", "GONE"]


def test_exists_reads_no_column_of_its_star(schema: Schema) -> None:
    query = guard_query("SELECT state FROM wells WHERE EXISTS (SELECT * FROM downtime)", schema)
    assert (query.tables, query.columns) == (("DOWNTIME", "WELLS"), ("WELLS.STATE",))


@pytest.mark.parametrize(
    ("test", "plain"),
    [
        ("IS TRUE", "x > '2024-01-01'"),
        ("IS NOT TRUE", "x <= '2024-01-01' OR x IS NULL"),
        ("IS FALSE", "x <= '2024-01-01'"),
        ("IS NOT FALSE", "x > '2024-01-01' OR x IS NULL"),
    ],
)
def test_guard_query_test_for_true_or_false_counts_unknown_values(
    test: str, plain: str, schema: Schema, run: Run
) -> None:
    written = f"SELECT COUNT(*) FROM wells WHERE (first_production_date > '2024-01-01') {test}"
    counted = run(guard_query(written, schema).sql)
    assert counted == run(f"SELECT COUNT(*) FROM wells WHERE {plain.replace('x ', 'first_production_date ')}")
    assert counted != run("SELECT COUNT(*) FROM wells")


def test_guard_query_cte_of_a_tables_name_reads_the_table(schema: Schema, run: Run) -> None:
    query = guard_query(
        "WITH wells AS (SELECT api_number FROM wells UNION ALL SELECT api_number FROM prod.wells) "
        "SELECT COUNT(*) FROM wells JOIN prod.wells AS w USING (api_number)",
        schema,
    )
    assert '"WELLS" AS (' not in query.sql
    assert run(query.sql) == run("SELECT 2 * COUNT(*) FROM wells")
