"""Bounds what joins may cost: no cross product of tables, and none in disguise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from services.specialists.text_to_sql.bounds import find_source, output_names
from services.specialists.text_to_sql.grammar import RANKED
from services.specialists.text_to_sql.rewrite import QUERIES
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import too_costly

_JOIN_REMEDY = "join every table by an equality of columns, for example ON b.customer_id = a.customer_id"
_SMALL_LIMIT = 100
_KEEPS_VALUES_APART = (
    exp.Column, exp.Identifier, exp.Paren, exp.Cast, exp.DataType, exp.Upper, exp.Lower, exp.Trim, exp.Year, exp.Month,
    exp.Quarter, exp.TimestampTrunc, exp.DateTrunc, exp.TsOrDsToDate, exp.LastDay, exp.Literal, exp.Var,
)  # fmt: skip
"""What both sides of an equality between two sources may be made of."""


@dataclass(slots=True)
class _Known:
    """The schema, and what was found out of the columns of queries: CTEs built on each other are looked at once."""

    schema: Schema
    varied: dict[tuple[int, str], bool] = field(default_factory=dict)
    apart: dict[tuple[int, str], bool] = field(default_factory=dict)


def check_joins(tree: exp.Expr, schema: Schema) -> None:
    """Refuses a cross product of tables. Only what is small needs no join condition: one row, or one list of distinct
    values; and one condition of the query may be other than an equality. Raises `UnsafeQuery`."""
    unequal, known = 0, _Known(schema)
    for scope in traverse_scope(tree):
        if isinstance(scope.expression, exp.Select) and len(scope.selected_sources) > 1:
            unequal += _check_joined(scope, known)
        if scope.is_correlated_subquery and not _is_equated(scope):
            unequal += 1
    if unequal > 1:
        raise too_costly("more than one join without an equality", _JOIN_REMEDY)


def _check_joined(scope: Scope, known: _Known) -> int:
    """How many joins of a SELECT have a condition, but no equality."""
    sizes = {name: _rows(source) for name, (_, source) in scope.selected_sources.items()}
    groups = {name: {name} for name in sizes}
    conditions = [join.args["on"] for join in scope.expression.args.get("joins") or () if join.args.get("on")]
    if where := scope.expression.args.get("where"):
        conditions.append(where.this)
    for condition in conditions:
        _connect(groups, _links(condition, scope, known, equal=True))
    if _is_small(groups, sizes):
        return 0
    unequal = sum(_connect(groups, _links(condition, scope, known, equal=False)) for condition in conditions)
    if not _is_small(groups, sizes):
        raise too_costly("tables that are joined without a condition", _JOIN_REMEDY)
    return unequal


def _is_equated(scope: Scope) -> bool:
    """Whether a correlated subquery is tied to the query around it by an equality."""
    where = scope.expression.args.get("where")
    return where is not None and _equates(where.this, {id(column) for column in scope.external_columns})


def _equates(condition: exp.Expr, outside: set[int]) -> bool:
    if isinstance(condition, exp.Paren):
        return _equates(condition.this, outside)
    if isinstance(condition, exp.And | exp.Or):
        every = all if isinstance(condition, exp.Or) else any
        return every(_equates(part, outside) for part in condition.flatten())
    return isinstance(condition, exp.EQ | exp.NullSafeEQ | exp.EqualNull) and any(
        id(side.unnest()) in outside for side in (condition.this, condition.expression)
    )


def _connect(groups: dict[str, set[str]], pairs: Iterable[frozenset[str]]) -> int:
    merged = 0
    for pair in pairs:
        left, right = (groups[name] for name in pair)
        if left is not right:
            merged += 1
            for name in right:
                left.add(name)
                groups[name] = left
    return merged


def _is_small(groups: Mapping[str, set[str]], sizes: Mapping[str, str]) -> bool:
    """Whether the product of what no condition connects is small."""
    apart = {id(group): {sizes[name] for name in group} for group in groups.values()}.values()
    larger = [kinds for kinds in apart if kinds != {"one"}]
    return len(larger) < 2 or (len(larger) == 2 and any("many" not in kinds for kinds in larger))


def _links(condition: exp.Expr, scope: Scope, known: _Known, *, equal: bool) -> set[frozenset[str]]:
    """The pairs of sources that a condition connects in every case."""
    if isinstance(condition, exp.Paren):
        return _links(condition.this, scope, known, equal=equal)
    if isinstance(condition, exp.And):
        return set().union(*(_links(part, scope, known, equal=equal) for part in condition.flatten()))
    if isinstance(condition, exp.Or):
        return set.intersection(*(_links(part, scope, known, equal=equal) for part in condition.flatten()))
    if equal and isinstance(condition, exp.EQ | exp.NullSafeEQ | exp.EqualNull):
        sides = (condition.this, condition.expression)
        names = [_sources_of(side, scope, known) for side in sides]
        one_each = len(names[0]) == len(names[1]) == 1 and names[0] != names[1]
        apart = one_each and _varied(*sides) and all(_tells_apart(side, scope, known) for side in sides)
        return {names[0] | names[1]} if apart else set()
    if equal or isinstance(condition, exp.NEQ | exp.Not):
        return set()
    return {frozenset(pair) for pair in combinations(sorted(_sources_of(condition, scope, known)), 2)}


def _varied(left: exp.Expr, right: exp.Expr) -> bool:
    """Whether an equality can hold for some rows only: an expression may have the same value for all of them."""
    if any(isinstance(side.unnest(), exp.Column) for side in (left, right)):
        return True
    return all(isinstance(node, _KEEPS_VALUES_APART) for side in (left, right) for node in side.walk())


def _tells_apart(node: exp.Expr, scope: Scope, known: _Known) -> bool:
    """Whether an expression may have many values: to join on a flag is nearly a cross product."""
    if isinstance(node, exp.Column):
        source = find_source(scope, node.table)
        if isinstance(source, exp.Table):
            column = known.schema.tables[source.name].columns[node.name]
            return not column.values and column.type != "BOOLEAN"
        return source is None or _output_tells_apart(source, node.name, known)
    if isinstance(node, (exp.Count, exp.Sum, exp.Avg, *RANKED)):
        return True
    if isinstance(node, exp.DPipe | exp.Concat | exp.ConcatWs):
        return any(_tells_apart(part, scope, known) for part in node.iter_expressions())
    if isinstance(node, exp.Window | exp.Coalesce):
        return _tells_apart(node.this, scope, known)
    moved = isinstance(node, exp.Add | exp.Sub) and any(
        isinstance(part, exp.Literal) for part in node.unnest_operands()
    )
    kept = moved or isinstance(node, (*_KEEPS_VALUES_APART, exp.Alias, exp.Max, exp.Min, exp.AnyValue))
    return kept and all(_tells_apart(part, scope, known) for part in node.iter_expressions())


def _output_tells_apart(scope: Scope, name: str, known: _Known) -> bool:
    key = (id(scope), name)
    if key not in known.apart:
        known.apart[key] = all(_tells_apart(item, inner, known) for item, inner in _outputs(scope, name))
    return known.apart[key]


def _outputs(scope: Scope, name: str) -> list[tuple[exp.Expr, Scope]]:
    """What a column of a query is in each of its SELECTs."""
    if parts := scope.set_operation_scopes:
        names = output_names(scope)
        at = names.index(name) if name in names else 0
        return [found for part in parts for found in _outputs(part, output_names(part)[at])]
    query = scope.expression
    items = query.expressions if isinstance(query, exp.Select) else []
    return [(item, scope) for item in items if item.alias_or_name == name]


def _sources_of(node: exp.Expr, scope: Scope, known: _Known) -> frozenset[str]:
    """The sources whose rows an expression tells apart."""
    return frozenset(
        column.table
        for column in node.find_all(exp.Column)
        if column.table in scope.selected_sources and _varies(column, scope, known)
    )


def _varies(node: exp.Expr, scope: Scope, known: _Known) -> bool:
    """Whether an expression can differ from row to row: to join on one that cannot is a cross product."""
    if isinstance(node, exp.Column):
        if node.table not in scope.selected_sources:
            return False
        source = scope.selected_sources[node.table][1]
        if isinstance(source, exp.Table):
            return len(known.schema.tables[source.name].columns[node.name].values) != 1
        return not isinstance(source, Scope) or _known_to_vary(source, node.name, known)
    if isinstance(node, RANKED):
        return True
    if isinstance(node, exp.Window) and not node.args.get("partition_by") and not node.args.get("order"):
        return isinstance(node.this.unnest(), RANKED)
    return any(_varies(each, scope, known) for each in node.iter_expressions())


def _known_to_vary(scope: Scope, name: str, known: _Known) -> bool:
    key = (id(scope), name)
    if key not in known.varied:
        known.varied[key] = _output_varies(scope, name, known)
    return known.varied[key]


def _output_varies(scope: Scope, name: str, known: _Known) -> bool:
    if parts := scope.set_operation_scopes:
        names = output_names(scope)
        if name not in names or any(len(output_names(part)) != len(names) for part in parts):
            return True
        at = names.index(name)
        written = {
            part.expression.expressions[at].unalias().sql() for part in parts if isinstance(part.expression, exp.Select)
        }
        return len(written) > 1 or any(_known_to_vary(part, output_names(part)[at], known) for part in parts)
    query = scope.expression
    if not isinstance(query, exp.Select) or not query.args.get("from_"):
        return True
    item = next((each for each in query.expressions if each.alias_or_name == name), None)
    return item is None or _varies(item, scope, known)


def _rows(source: object) -> str:
    """How many rows a source has: one, few, or many."""
    query = source.expression if isinstance(source, Scope) else None
    if isinstance(query, exp.SetOperation):
        sides = [_rows_of(each) for each in (query.left, query.right)]
        return "few" if "many" not in sides else "many"
    return _rows_of(query)


def _rows_of(query: object) -> str:
    while isinstance(query, exp.Subquery):
        query = query.this
    if isinstance(query, exp.SetOperation):
        sides = [_rows_of(each) for each in (query.left, query.right)]
        return "few" if "many" not in sides else "many"
    if not isinstance(query, exp.Select):
        return "many"
    group, limit = query.args.get("group"), query.args.get("limit")
    if not query.args.get("from_"):
        return "one"
    if not group and any(_aggregates(each, query) for each in query.expressions):
        return "one"
    if limit and int(limit.expression.name) <= _SMALL_LIMIT:
        return "one" if int(limit.expression.name) <= 1 else "few"
    if query.args.get("distinct"):
        keys = sum(map(_keys, query.expressions))
    elif group and group.args.get("all"):
        keys = sum(_keys(each) for each in query.expressions if not _aggregates(each, query))
    else:
        keys = sum(map(_keys, group.expressions)) if group else 9
    return "few" if keys <= 2 else "many"


def _keys(part: exp.Expr) -> int:
    """How many values tell the groups of one part of GROUP BY or DISTINCT apart."""
    if isinstance(part, exp.Alias | exp.Paren):
        return _keys(part.this)
    if isinstance(part, exp.Tuple | exp.Cube | exp.Rollup | exp.GroupingSets | exp.Concat | exp.ConcatWs):
        return sum(map(_keys, part.expressions))
    if isinstance(part, exp.DPipe):
        return _keys(part.this) + _keys(part.expression)
    return 0 if isinstance(part, exp.Literal) else 1


def _aggregates(node: exp.Expr, query: exp.Select) -> bool:
    """Whether an expression of the query's own select list makes one row of many."""
    return any(each.find_ancestor(exp.Window, *QUERIES) is query for each in node.find_all(exp.AggFunc))
