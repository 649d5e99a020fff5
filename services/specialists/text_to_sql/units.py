"""Derives the unit of a result column from the schema."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Units:
    """The units of the expressions of one qualified query."""

    schema: Schema
    _outputs: dict[tuple[int, str], str | None] = field(default_factory=dict)
    """By query and column: CTEs that are built on each other are looked at once."""

    def of(self, node: exp.Expr, scope: Scope) -> str | None:
        """The unit of an expression; None if it has none or the unit is uncertain."""
        if isinstance(node, exp.Column):
            return self._of_column(node, scope)
        if isinstance(node, UNIT_PRESERVING):
            return self.of(node.this, scope)
        if isinstance(node, UNIT_MATCHING):
            return _shared([self.of(part, scope) for part in node.iter_expressions() if not part.is_number])
        if isinstance(node, exp.Case):
            results = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
        elif isinstance(node, exp.If):
            results = [node.args.get("true"), node.args.get("false")]
        elif isinstance(node, exp.Div | exp.Mul):
            return self._of_product(node, scope)
        else:
            return None
        return _shared([self.of(part, scope) for part in results if part is not None and not _is_unitless(part)])

    def _of_column(self, column: exp.Column, scope: Scope) -> str | None:
        if column.table not in scope.selected_sources:
            return None
        source = scope.selected_sources[column.table][1]
        if isinstance(source, exp.Table):
            return self.schema.tables[source.name].columns[column.name].unit
        if not isinstance(source, Scope) or not isinstance(source.expression, exp.Select):
            return None
        key = (id(source), column.name)
        if key not in self._outputs:
            items = source.expression.expressions
            item = next((each for each in items if each.alias_or_name == column.name), None)
            self._outputs[key] = None if item is None else self.of(item, source)
        return self._outputs[key]

    def _of_product(self, node: exp.Div | exp.Mul, scope: Scope) -> str | None:
        # A constant may be a conversion (24 hours per day) or a scale: only two known units are certain.
        left, right = self.of(node.this, scope), self.of(node.expression, scope)
        certain = isinstance(node, exp.Div) and left and right and left != right
        return f"{left}/{right}" if certain else None


def _shared(units: list[str | None]) -> str | None:
    return units[0] if units and len(set(units)) == 1 else None


def _is_unitless(node: exp.Expr) -> bool:
    return bool(node.is_number) or isinstance(node, exp.Null)
