"""Findings and their summary. The summary is made from the rows, never by a model."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from contracts.documents.findings import CellValue, Findings, ResultColumn
from services.specialists.text_to_sql.guarded_query import GuardedQuery
from services.specialists.text_to_sql.rows import Rows
from services.specialists.text_to_sql.schema import Schema

SHOWN_ROWS = 5
SHOWN_COLUMNS = 6
MAX_GROUPED = 60
"""Digits before or after the point; a longer number is shown as it came."""


class SqlFindings(Findings):
    """Rows of a query."""

    sql: str | None = None
    """The query that ran: the citation."""
    tables: tuple[str, ...] = ()
    schema_version: str = ""
    verified: str | None = None
    """The id of the verified query that this one follows, by the model's word."""
    verified_review: str = ""
    """That id with its reviewer and the day of the review."""


def build_findings(query: GuardedQuery, rows: Rows, *, schema: Schema, explanation: str, role: str) -> SqlFindings:
    """Findings from a result, which may be empty."""
    if not query.ordered:
        # The warehouse returns rows in any order; the same rows must make the same findings.
        rows = rows.model_copy(update={"rows": tuple(sorted(rows.rows, key=_sort_key))})
    return SqlFindings(
        outcome="rows" if rows.row_count else "no_rows",
        summary=_summary(query, rows),
        tables=query.tables,
        explanation=explanation,
        role=role,
        **_data_of(schema),
        **{name: value for name, value in rows if name != "size"},
    )


def build_unanswerable(reason: str, *, schema: Schema, role: str) -> SqlFindings:
    """Findings for a question that the warehouse cannot answer."""
    summary = "The warehouse cannot answer this question; no query was run."
    return SqlFindings(outcome="cannot_answer", summary=summary, explanation=reason, role=role, **_data_of(schema))


def _data_of(schema: Schema) -> dict[str, Any]:
    return {"data_label": schema.data_label, "data_through": schema.data_through, "schema_version": schema.version}


def _sort_key(row: tuple[CellValue, ...]) -> list[tuple[bool, Decimal, str]]:
    return [(value is None, _number(value), str(value)) for value in row]


def _number(value: CellValue) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def _summary(query: GuardedQuery, rows: Rows) -> str:
    if not rows.row_count:
        where = f" Conditions: {'; '.join(query.filters)}." if query.filters else ""
        return f"No rows match in {', '.join(query.tables)}.{where}"
    if rows.row_count == 1:
        return f"{_row(rows.columns, rows.rows[0])}."
    count = f"More than {rows.row_count:,}" if rows.truncated else f"{rows.row_count:,}"
    shown = rows.rows[:SHOWN_ROWS]
    which = "" if len(shown) == rows.row_count and not rows.truncated else f", the first {len(shown)}"
    return f"{count} rows{which}: {'; '.join(_row(rows.columns, row) for row in shown)}."


def _row(columns: tuple[ResultColumn, ...], row: tuple[CellValue, ...]) -> str:
    pairs = list(zip(columns, row, strict=True))
    text = ", ".join(f"{column.name} {_value(column, value)}" for column, value in pairs[:SHOWN_COLUMNS])
    return text if len(pairs) <= SHOWN_COLUMNS else f"{text} and {len(pairs) - SHOWN_COLUMNS} more columns"


def _value(column: ResultColumn, value: CellValue) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column.type != "number":
        return str(value)
    return f"{_grouped(value)} {column.unit}" if column.unit else _grouped(value)


def _grouped(value: str | int) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return str(value)
    if not number.is_finite() or abs(number.adjusted()) > MAX_GROUPED:
        return str(value)
    # Three decimals are more than any meter in the field has; ids are text and stay unchanged.
    with localcontext(prec=2 * MAX_GROUPED):
        text = f"{round(number, 3):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
