"""Derives the unit of a result column from the schema."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from services.specialists.text_to_sql.schema import Schema

UNIT_PRESERVING = (
    exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Median, exp.Mode, exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.AnyValue,
    exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Paren, exp.Neg, exp.Alias, exp.Cast, exp.TryCast, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.Window, exp.Nullif,
)  # fmt: skip
"""Functions whose result has the unit of the first operand."""

UNIT_MATCHING = (exp.Add, exp.Sub, exp.Coalesce, exp.Greatest, exp.Least)
"""Operations that keep a unit which all operands share. Numbers without a unit are ignored."""


def unit_of(node: exp.Expr, scope: Scope, schema: Schema) -> str | None:
    """The unit of an expression in a qualified query; None if it has none or the unit is uncertain."""
    if isinstance(node, exp.Column):
        return _of_column(node, scope, schema)
    if isinstance(node, UNIT_PRESERVING):
        return unit_of(node.this, scope, schema)
    if isinstance(node, UNIT_MATCHING):
        return _shared([unit_of(part, scope, schema) for part in node.iter_expressions() if not part.is_number])
    if isinstance(node, exp.Case):
        results = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
    elif isinstance(node, exp.If):
        results = [node.args.get("true"), node.args.get("false")]
    elif isinstance(node, exp.Div | exp.Mul):
        return _of_product(node, scope, schema)
    else:
        return None
    return _shared([unit_of(part, scope, schema) for part in results if part is not None and not _is_unitless(part)])


def _of_column(column: exp.Column, scope: Scope, schema: Schema) -> str | None:
    if column.table not in scope.selected_sources:
        return None
    source = scope.selected_sources[column.table][1]
    if isinstance(source, exp.Table):
        return schema.tables[source.name].columns[column.name].unit
    if isinstance(source, Scope) and isinstance(source.expression, exp.Select):
        for item in source.expression.expressions:
            if item.alias_or_name == column.name:
                return unit_of(item, source, schema)
    return None


def _of_product(node: exp.Div | exp.Mul, scope: Scope, schema: Schema) -> str | None:
    # A constant may be a conversion (24 hours per day) or a scale: only two known units are certain.
    left, right = unit_of(node.this, scope, schema), unit_of(node.expression, scope, schema)
    certain = isinstance(node, exp.Div) and left and right and left != right
    return f"{left}/{right}" if certain else None


def _shared(units: list[str | None]) -> str | None:
    return units[0] if units and len(set(units)) == 1 else None


def _is_unitless(node: exp.Expr) -> bool:
    return bool(node.is_number) or isinstance(node, exp.Null)
