from __future__ import annotations

from collections.abc import Sequence

from contracts.documents.findings import CellValue, ResultColumn
from services.specialists.text_to_sql.findings import SqlFindings, build_findings, build_unanswerable
from services.specialists.text_to_sql.guard import guard_query
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.schema import Schema

NAME = ResultColumn(name="WELL_NAME", type="text")
OIL = ResultColumn(name="OIL_BBL", type="number", unit="bbl")
WELLS = "SELECT well_name, lateral_length_ft FROM wells"


def findings(
    columns: Sequence[ResultColumn],
    rows: Sequence[Sequence[CellValue]],
    schema: Schema,
    *,
    more: bool = False,
    sql: str = WELLS,
) -> SqlFindings:
    query: GuardedQuery = guard_query(sql, schema)
    result = Rows(
        columns=tuple(columns),
        rows=tuple(map(tuple, rows)),
        row_count=len(rows),
        truncated=more,
        sql=query.sql,
        elapsed_ms=1,
    )
    return build_findings(query, result, schema=schema, explanation="", role="FIELD_ALL")


def test_single_row_is_shown_in_full_with_units(schema: Schema) -> None:
    summary_text = findings([NAME, OIL], [("Cutbow 7H", "12345.60")], schema)
    assert summary_text.summary == "WELL_NAME Cutbow 7H, OIL_BBL 12,345.6 bbl."


def test_many_rows_are_counted_and_the_first_ones_shown(schema: Schema) -> None:
    summary_text = findings([NAME, OIL], [(f"W{number}", number * 1000) for number in range(1, 8)], schema)
    assert summary_text.summary == (
        "7 rows, the first 5: WELL_NAME W1, OIL_BBL 1,000 bbl; WELL_NAME W2, OIL_BBL 2,000 bbl; "
        "WELL_NAME W3, OIL_BBL 3,000 bbl; WELL_NAME W4, OIL_BBL 4,000 bbl; WELL_NAME W5, OIL_BBL 5,000 bbl."
    )


def test_unordered_rows_are_sorted(schema: Schema) -> None:
    shuffled = [("b", "10"), ("a", None), ("b", "9"), ("a", "2.5")]
    assert findings([NAME, OIL], shuffled, schema).rows == (("a", "2.5"), ("a", None), ("b", "9"), ("b", "10"))


def test_ordered_rows_keep_the_querys_order(schema: Schema) -> None:
    ordered = findings([NAME], [("b",), ("a",)], schema, sql="SELECT well_name FROM wells ORDER BY well_name DESC")
    assert ordered.rows == (("b",), ("a",))


def test_truncated_result_summary_starts_with_more_than(schema: Schema) -> None:
    assert findings([NAME], [("a",), ("b",)], schema, more=True).summary.startswith("More than 2 rows, the first 2:")


def test_few_rows_are_shown_without_a_first(schema: Schema) -> None:
    assert findings([NAME], [("a",), ("b",)], schema).summary == "2 rows: WELL_NAME a; WELL_NAME b."


def test_empty_result_summary_has_the_conditions(schema: Schema) -> None:
    sql = "SELECT well_name FROM wells WHERE basin = 'Mars' AND status = 'producing'"
    summary_text = findings([NAME], [], schema, sql=sql)
    assert summary_text.outcome == "no_rows"
    assert summary_text.summary == "No rows match in WELLS. Conditions: BASIN = 'Mars'; STATUS = 'producing'."


def test_missing_values_and_booleans_are_shown_in_words(schema: Schema) -> None:
    columns = [ResultColumn(name="A", type="number", unit="bbl"), ResultColumn(name="B", type="boolean")]
    assert findings(columns, [(None, True)], schema).summary == "A (none), B yes."


def test_text_that_looks_like_a_number_is_not_regrouped(schema: Schema) -> None:
    assert findings([ResultColumn(name="API", type="text")], [("4232990210",)], schema).summary == "API 4232990210."


def test_wide_rows_summary_counts_the_omitted_columns(schema: Schema) -> None:
    columns = [ResultColumn(name=f"C{number}", type="text") for number in range(8)]
    assert findings(columns, [tuple("abcdefgh")], schema).summary.endswith("C5 f and 2 more columns.")


def test_findings_carry_their_evidence(schema: Schema) -> None:
    summary_text = findings([NAME, OIL], [("Cutbow 7H", 1)], schema)
    assert summary_text.sql == guard_query(WELLS, schema).sql
    assert (summary_text.tables, summary_text.role, summary_text.data_label) == (("WELLS",), "FIELD_ALL", "SYNTHETIC")
    assert (summary_text.data_through, summary_text.schema_version) == ("2026-06-30", schema.version)


def test_summary_has_no_text_of_the_model(schema: Schema) -> None:
    summary_text = build_unanswerable("Because I say so.", schema=schema, role="FIELD_ALL")
    assert summary_text.outcome == "cannot_answer"
    assert "Because" not in summary_text.summary
    assert summary_text.explanation == "Because I say so."
