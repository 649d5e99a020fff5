from __future__ import annotations

import contextlib
import logging
import time

import pytest

from services.specialists.text_to_sql.guard import MAX_CHARACTERS, guard_query
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery

NOT_A_SELECT = {
    "nothing": "",
    "only a comment": "-- SELECT 1",
    "only a semicolon": ";",
    "delete": "DELETE FROM wells",
    "update": "UPDATE wells SET status = 'plugged'",
    "insert": "INSERT INTO wells SELECT * FROM wells",
    "merge": "MERGE INTO wells USING downtime ON FALSE WHEN MATCHED THEN DELETE",
    "create table as": "CREATE TABLE stolen AS SELECT * FROM wells",
    "drop": "DROP TABLE wells",
    "truncate": "TRUNCATE TABLE wells",
    "alter session": "ALTER SESSION SET QUERY_TAG = ''",
    "use role": "USE ROLE ACCOUNTADMIN",
    "grant": "GRANT ROLE FIELD_ALL TO USER me",
    "set a variable": "SET x = 1",
    "show": "SHOW TABLES",
    "describe": "DESCRIBE TABLE wells",
    "explain": "EXPLAIN SELECT * FROM wells",
    "call": "CALL SYSTEM$WAIT(10)",
    "execute immediate": "EXECUTE IMMEDIATE 'DROP TABLE wells'",
    "scripting block": "BEGIN SELECT * FROM wells; END",
    "copy into a stage": "COPY INTO @~/out FROM wells",
    "put": "PUT file:///etc/passwd @~",
    "get": "GET @~ file:///tmp",
    "list a stage": "LIST @~",
    "values": "VALUES (1)",
    "two statements": "SELECT * FROM wells; SELECT * FROM downtime",
    "a second statement that destroys": "SELECT 1 FROM wells; DROP TABLE wells",
    "a second statement behind a comment": "SELECT 1 FROM wells /* ; */ ; DROP TABLE wells --",
    "insert behind a CTE": "WITH t AS (SELECT * FROM wells) INSERT INTO wells SELECT * FROM t",
    "a shell command": "!source secrets.sql",
}

UNKNOWN_TABLE = {
    "a table that is not listed": "SELECT * FROM salaries",
    "another schema": "SELECT * FROM hr.wells",
    "another database": "SELECT * FROM other.prod.wells",
    "the information schema": "SELECT * FROM information_schema.tables",
    "the information schema, in full": "SELECT * FROM oilfield.information_schema.columns",
    "account usage": "SELECT * FROM snowflake.account_usage.query_history",
    "quoted in lower case, which is another name": 'SELECT * FROM "wells"',
    "one quoted name with a dot in it": 'SELECT * FROM "OILFIELD.PROD.WELLS"',
    "a quoted schema in lower case": 'SELECT * FROM "prod".wells',
    "a look-alike letter": "SELECT * FROM w\u0435lls",
    "in a subquery": "SELECT * FROM wells WHERE api_number IN (SELECT id FROM salaries)",
    "in a CTE that is never read": "WITH t AS (SELECT * FROM salaries) SELECT api_number FROM wells",
    "deep in nested CTEs": "WITH a AS (WITH b AS (SELECT * FROM salaries) SELECT * FROM b) SELECT * FROM a",
    "in the select list": "SELECT (SELECT MAX(amount) FROM salaries) AS x FROM wells",
    "in exists": "SELECT api_number FROM wells WHERE EXISTS (SELECT 1 FROM salaries)",
    "in a join": "SELECT w.api_number FROM wells w JOIN salaries s ON TRUE",
    "behind a comma": "SELECT w.api_number FROM wells w, salaries s",
    "in order by": "SELECT api_number FROM wells ORDER BY (SELECT MAX(amount) FROM salaries)",
    "no table at all": "SELECT 1",
    "a schema that is called like a table": "SELECT * FROM wells.wells",
}

UNKNOWN_COLUMN = {
    "a column that does not exist": "SELECT salary FROM wells",
    "a column of another table": "SELECT w.oil_bbl FROM wells w",
    "quoted in lower case": 'SELECT "api_number" FROM wells',
    "in where": "SELECT api_number FROM wells WHERE secret = 1",
    "an unknown alias": "SELECT x.api_number FROM wells w",
    "a sequence": "SELECT my_seq.NEXTVAL FROM wells",
    "metadata of a stage": "SELECT METADATA$FILENAME FROM wells",
    "out of a CTE that does not pass it on": "WITH t AS (SELECT api_number FROM wells) SELECT operator FROM t",
    "ambiguous": "SELECT api_number FROM wells w, downtime d",
}

FUNCTION = {
    "the user": "SELECT CURRENT_USER() FROM wells",
    "the user without parentheses": "SELECT CURRENT_USER FROM wells",
    "the role": "SELECT CURRENT_ROLE() FROM wells",
    "the role without parentheses": "SELECT CURRENT_ROLE FROM wells",
    "the account": "SELECT CURRENT_ACCOUNT() FROM wells",
    "the session": "SELECT CURRENT_SESSION() FROM wells",
    "the source text of objects": "SELECT GET_DDL('TABLE', 'WELLS') FROM wells",
    "a system function": "SELECT SYSTEM$WHITELIST() FROM wells",
    "the last query's id": "SELECT LAST_QUERY_ID() FROM wells",
    "a function of one's own": "SELECT my_udf(api_number) FROM wells",
    "a function in a schema": "SELECT hr.peek(api_number) FROM wells",
    "a model": "SELECT SNOWFLAKE.CORTEX.COMPLETE('m', well_name) FROM wells",
    "a hash over all columns": "SELECT HASH(*) FROM wells",
    "an object of all columns": "SELECT OBJECT_CONSTRUCT(*) FROM wells",
    "random rows": "SELECT RANDOM() FROM wells",
    "huge text": "SELECT REPEAT('x', 1000000000) FROM wells",
    "a regular expression from a column": "SELECT api_number FROM wells WHERE REGEXP_LIKE(well_name, field)",
    "a presigned address": "SELECT GET_PRESIGNED_URL(@s, 'f') FROM wells",
    "in where": "SELECT api_number FROM wells WHERE operator = CURRENT_USER()",
    "in order by": "SELECT api_number FROM wells ORDER BY CURRENT_ROLE()",
    "in qualify": "SELECT api_number FROM wells QUALIFY ROW_NUMBER() OVER (ORDER BY CURRENT_USER()) = 1",
    "in a join": "SELECT w.api_number FROM wells w JOIN downtime d ON d.cause = CURRENT_USER()",
    "a path into an object": "SELECT well_name:a.b FROM wells",
}

CONSTRUCT = {
    "time travel": "SELECT * FROM wells AT (TIMESTAMP => '2026-01-01'::TIMESTAMP)",
    "time travel by offset": "SELECT * FROM wells AT (OFFSET => -60)",
    "before a statement": "SELECT * FROM wells BEFORE (STATEMENT => '01b')",
    "changes": "SELECT * FROM wells CHANGES (INFORMATION => DEFAULT) AT (OFFSET => -60)",
    "sample": "SELECT * FROM wells SAMPLE (10)",
    "tablesample": "SELECT * FROM wells TABLESAMPLE (5 ROWS)",
    "match_recognize": "SELECT * FROM wells MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS TRUE)",
    "connect by": "SELECT api_number FROM wells START WITH TRUE CONNECT BY api_number = PRIOR api_number",
    "lateral flatten": "SELECT f.value FROM wells w, LATERAL FLATTEN(INPUT => w.well_name) f",
    "a table function": "SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))",
    "a generator": "SELECT 1 FROM TABLE(GENERATOR(ROWCOUNT => 1000000))",
    "a query history": "SELECT * FROM TABLE(information_schema.query_history())",
    "identifier": "SELECT * FROM IDENTIFIER('SALARIES')",
    "identifier as a column": "SELECT IDENTIFIER('api_number') FROM wells",
    "a stage": "SELECT $1 FROM @~/secrets.csv",
    "a named stage": "SELECT t.$1 FROM @hr.exports t",
    "a column by number": "SELECT $1 FROM wells",
    "a session variable": "SELECT api_number FROM wells WHERE operator = $who",
    "a bind variable": "SELECT api_number FROM wells WHERE operator = ?",
    "a named bind variable": "SELECT api_number FROM wells WHERE operator = :who",
    "a file": "SELECT * FROM '/etc/passwd'",
    "a directory of a stage": "SELECT * FROM DIRECTORY(@s)",
    "inline values": "SELECT * FROM (VALUES (1)) t(a)",
    "recursion": "WITH RECURSIVE t AS (SELECT api_number FROM wells) SELECT * FROM t",
    "select into": "SELECT api_number INTO stolen FROM wells",
    "a lock": "SELECT api_number FROM wells FOR UPDATE",
    "an asof join": "SELECT w.state FROM wells w ASOF JOIN downtime d MATCH_CONDITION (w.spud_date >= d.started_at)",
    "a natural join": "SELECT * FROM wells NATURAL JOIN downtime",
    "replaced columns": "SELECT * REPLACE (1 AS api_number) FROM wells",
    "columns by pattern": "SELECT * ILIKE '%NUMBER%' FROM wells",
    "an object": "SELECT {'a': api_number} FROM wells",
    "an array": "SELECT [api_number] FROM wells",
    "an element of an array": "SELECT well_name[0] FROM wells",
    "collation": "SELECT api_number FROM wells WHERE well_name COLLATE 'en-ci' = 'x'",
    "no limit": "SELECT api_number FROM wells LIMIT NULL",
    "a computed limit": "SELECT api_number FROM wells LIMIT 10 * 10",
    "a limit from a query": "SELECT api_number FROM wells LIMIT (SELECT 5)",
    "a negative limit": "SELECT api_number FROM wells LIMIT -1",
}

OTHER = {
    "a cast to variant": ("SELECT well_name::VARIANT FROM wells", "sql_type_not_allowed"),
    "a cast to a place": ("SELECT well_name::GEOGRAPHY FROM wells", "sql_type_not_allowed"),
    "an open quotation mark": ("SELECT 'x FROM wells", "sql_unreadable"),
    "an open comment": ("SELECT api_number /* FROM wells", "sql_unreadable"),
    "nonsense": ("SELECT FROM WHERE wells SELECT", "sql_unreadable"),
    "a null byte": ("SELECT api_number FROM wells\x00", "sql_unreadable"),
    "an escape character": ("SELECT api_number FROM wells \x1b[0m", "sql_unreadable"),
    "nested parentheses": (f"SELECT {'(' * 100}1{')' * 100} FROM wells", "sql_too_deep"),
    "ten thousand parentheses": (f"SELECT {'(' * 3900}1{')' * 3900} FROM wells", "sql_too_long"),
    "nested queries": (
        "SELECT api_number FROM " + "(SELECT api_number FROM " * 20 + "wells" + ")" * 20,
        "sql_too_deep",
    ),
    "nested case": (
        "SELECT " + "CASE WHEN TRUE THEN " * 200 + "1" + " ELSE 2 END" * 200 + " FROM wells",
        "sql_too_deep",
    ),
    "many negations": (f"SELECT api_number FROM wells WHERE {'NOT ' * 900} h", "sql_too_deep"),
    "huge text": (f"SELECT api_number FROM wells WHERE well_name = '{'x' * MAX_CHARACTERS}'", "sql_too_long"),
    "a very long list": (f"SELECT api_number FROM wells WHERE api_number IN ({'1,' * 2000}1)", "sql_too_long"),
}


COSTLY = {
    "three tables without a condition": "SELECT COUNT(*) FROM wells a, downtime b, work_orders c",
    "a condition on one side only": "SELECT COUNT(*) FROM wells a JOIN downtime b ON a.state = 'TX' AND b.hours > 1",
    "a column that is the same in every row": "SELECT COUNT(*) FROM wells a JOIN downtime b ON "
    "a.data_label = b.data_label",
    "equal or anything": "SELECT COUNT(*) FROM wells a JOIN downtime b ON a.api_number = b.api_number OR b.hours > 0",
    "two inequalities": "SELECT COUNT(*) FROM wells a JOIN wells b ON a.state < b.state JOIN wells c "
    "ON b.state < c.state",
    "two correlated inequalities": "SELECT (SELECT COUNT(*) FROM wells b WHERE b.state < a.state), "
    "(SELECT COUNT(*) FROM wells b WHERE b.county < a.county) FROM wells a",
    "a text that doubles in a subquery": "SELECT (SELECT LISTAGG(skills) FROM technicians) || (SELECT "
    "LISTAGG(skills) FROM "
    "technicians) || (SELECT LISTAGG(skills) FROM technicians) || (SELECT LISTAGG(skills) FROM technicians) || "
    "(SELECT LISTAGG(skills) FROM technicians) || (SELECT LISTAGG(skills) FROM technicians) FROM wells",
    "a padding from a column": "SELECT LPAD(well_name, lateral_length_ft, 'x') FROM wells",
    "a hundred and one columns": f"SELECT {', '.join(['state'] * 101)} FROM wells",
}

HIDDEN = {
    "behind an alias in ORDER BY of a subquery": "SELECT name AS salary FROM technicians ORDER BY "
    "(SELECT MAX(salary) FROM wells)",
    "behind an alias in a window": "SELECT 1 AS salary FROM technicians ORDER BY ROW_NUMBER() OVER (ORDER BY salary)",
    "behind an alias in HAVING": "SELECT 1 AS salary FROM technicians GROUP BY name HAVING salary > 0",
    "behind an aggregate's alias": "SELECT SUM(hours) AS salary FROM downtime HAVING SUM(salary) > 1",
    "in ORDER BY of a union": "SELECT name AS salary FROM technicians UNION SELECT name FROM "
    "technicians ORDER BY UPPER(salary)",
    "in USING": "SELECT w.state FROM wells w JOIN technicians t USING (salary)",
    "in another namespace": "SELECT hr.wells.state FROM wells",
    "in a repeated name": "WITH j AS (SELECT * FROM wells w JOIN downtime d USING (api_number)) "
    "SELECT data_label FROM j",
}


def params(cases: dict[str, str]) -> list[object]:
    return [pytest.param(sql, id=name) for name, sql in cases.items()]


def rejection(sql: str, schema: Schema) -> UnsafeQuery:
    with pytest.raises(UnsafeQuery) as caught:
        guard_query(sql, schema)
    return caught.value


@pytest.mark.parametrize("sql", params(NOT_A_SELECT))
def test_statement_other_than_one_select_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code in {"sql_not_a_select", "sql_unreadable"}


@pytest.mark.parametrize("sql", params(UNKNOWN_TABLE))
def test_unlisted_table_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code == "sql_unknown_table"


@pytest.mark.parametrize("sql", params(UNKNOWN_COLUMN))
def test_unlisted_column_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code == "sql_unknown_column"


@pytest.mark.parametrize("sql", params(FUNCTION))
def test_unlisted_function_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code in {
        "sql_function_not_allowed",
        "sql_construct_not_allowed",
        "sql_unknown_column",
    }


@pytest.mark.parametrize("sql", params(CONSTRUCT))
def test_unlisted_construct_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code in {
        "sql_construct_not_allowed",
        "sql_function_not_allowed",
        "sql_unreadable",
        "sql_unknown_table",
    }


@pytest.mark.parametrize(("sql", "code"), [pytest.param(*case, id=name) for name, case in OTHER.items()])
def test_query_too_large_or_unreadable_is_refused(sql: str, code: str, schema: Schema) -> None:
    assert rejection(sql, schema).code == code


def test_unsafe_query_names_the_rejected_part_and_the_remedy(schema: Schema) -> None:
    found = rejection("SELECT CURRENT_USER() FROM wells", schema)
    assert found.what == "the function CURRENT_USER"
    assert found.remedy
    assert rejection("SELECT * FROM salaries", schema).remedy == (
        "use only the tables WELLS, MONTHLY_PRODUCTION, DOWNTIME, WORK_ORDERS, TECHNICIANS"
    )


@pytest.mark.parametrize("sql", params(NOT_A_SELECT | CONSTRUCT))
def test_refused_queries_are_not_logged(sql: str, schema: Schema, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        rejection(sql, schema)
    assert caplog.records == []


@pytest.mark.parametrize("sql", params(COSTLY))
def test_too_costly_query_is_refused(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code == "sql_too_costly"


@pytest.mark.parametrize("sql", params(HIDDEN))
def test_unlisted_column_is_refused_in_any_clause(sql: str, schema: Schema) -> None:
    assert rejection(sql, schema).code == "sql_unknown_column"


@pytest.mark.parametrize("leaf", ["1", "hours", "cause"])
@pytest.mark.parametrize(
    "doubled",
    [
        "c + c",
        "c || c",
        "c / c",
        "COALESCE(c, c)",
        "GREATEST(c, c)",
        "IFF(c = c, c, c)",
        "CASE WHEN c = c THEN c ELSE c END",
    ],
)
@pytest.mark.parametrize("end", ["SELECT c FROM q29", "SELECT COUNT(*) FROM q29 a JOIN q29 b ON a.c = b.c"])
def test_ctes_that_double_an_expression_thirty_times_are_checked_at_once(
    schema: Schema, leaf: str, doubled: str, end: str
) -> None:
    steps = "".join(f", q{n} AS (SELECT {doubled} AS c FROM q{n - 1})" for n in range(1, 30))
    started = time.process_time()
    with contextlib.suppress(UnsafeQuery):
        guard_query(f"WITH q0 AS (SELECT {leaf} AS c FROM downtime){steps} {end}", schema)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["'\ud800'", '"\udfff"', "'a' AS \"\U0001f600\udc00\"", "'\x07'"])
def test_text_that_no_encoding_holds_is_refused(schema: Schema, text: str) -> None:
    with pytest.raises(UnsafeQuery, match="control character"):
        guard_query(f"SELECT {text} FROM wells", schema)
