"""Bounds what a query may cost: to check it here, and to run it in the warehouse.

Sizes are estimated on the tree as it was written, before anything is expanded, so the estimate itself stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from services.specialists.text_to_sql.grammar import LISTS, RANKED
from services.specialists.text_to_sql.rewrite import QUERIES, fold
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import bad_construct, too_costly

MAX_EXPANDED_NODES = 6_000
MAX_SCANS = 48
"""Tables read, each counted as often as the CTEs around it are used."""
MAX_LIST = 500
MAX_GROUPINGS = 64
MAX_PATTERN = 200
MAX_TEXT = 100_000
"""Characters that one value may have while the query runs."""
LISTED_TEXT = 20_000
"""Characters assumed of a text that LISTAGG or ARRAY_AGG makes."""
_MEMBER = 8
"""Characters that a member of a long list has at least."""
OTHER_TEXT = 64
"""Characters of a number, a date or a text of unknown length."""
SHOWN_TEXT = 501
"""Characters of a value that are returned: one more than are shown, so that a cut shows."""

_JOIN_REMEDY = "join every table by an equality of columns, for example ON b.customer_id = a.customer_id"
_SMALL_LIMIT = 100
_EXPRESSIONS = (
    exp.RegexpLike, exp.RegexpILike, exp.RegexpReplace, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpCount,
    exp.RegexpInstr,
)  # fmt: skip
_KEEPS_VALUES_APART = (
    exp.Column, exp.Identifier, exp.Paren, exp.Cast, exp.DataType, exp.Upper, exp.Lower, exp.Trim, exp.Year, exp.Month,
    exp.Quarter, exp.TimestampTrunc, exp.DateTrunc, exp.TsOrDsToDate, exp.LastDay, exp.Literal, exp.Var,
)  # fmt: skip
"""What both sides of an equality between two sources may be made of."""


def check_expansion(tree: exp.Expr) -> None:
    """Refuses a query that grows when names of the select list are put in where they are used. Raises `UnsafeQuery`."""
    total = 0
    for select in tree.find_all(exp.Select):
        sizes: dict[str, int] = {}
        positions: list[int] = []
        for projection in select.expressions:
            size = _expanded(projection, sizes)
            positions.append(size)
            total += size
            if isinstance(projection, exp.Alias):
                sizes[fold(projection.args["alias"])] = size
            _require(total)
        for part in ("where", "group", "having", "qualify", "order"):
            if clause := select.args.get(part):
                total += _expanded(clause, sizes)
                total += sum(max(positions) for each in clause.find_all(exp.Literal) if each.is_int and positions)
            _require(total)


def _expanded(node: exp.Expr, sizes: Mapping[str, int]) -> int:
    return sum(
        sizes.get(fold(each.this), 1) if isinstance(each, exp.Column) and not each.table else 1 for each in node.walk()
    )


def _require(nodes: int) -> None:
    if nodes > MAX_EXPANDED_NODES:
        raise too_costly("names that are built on each other too often", "compute each value once, in a CTE")


def check_scans(tree: exp.Expr) -> None:
    """Refuses a query whose CTEs multiply what it reads. Raises `UnsafeQuery`."""
    if (count := _scans(tree, {})) > MAX_SCANS:
        raise too_costly(f"{count} reads of tables", f"read tables at most {MAX_SCANS} times, CTEs included")


def _scans(query: exp.Expr, outer: Mapping[str, int]) -> int:
    defined: dict[str, int] = dict(outer)
    while isinstance(query, exp.Subquery):
        query = query.this
    if with_ := query.args.get("with_"):
        for cte in with_.expressions:
            defined[fold(cte.args["alias"].this)] = _scans(cte.this, defined)
    total = 0
    for node in query.walk(prune=lambda each: each is not query and isinstance(each, (*QUERIES, exp.With))):
        if node is query or isinstance(node, exp.With):
            continue
        if isinstance(node, QUERIES):
            total += _scans(node, defined)
        elif isinstance(node, exp.Table):
            total += defined.get(fold(node.this), 1)
        if total > MAX_SCANS * 1_000:
            break
    return total


def check_parts(tree: exp.Expr) -> None:
    """Refuses lists, groupings, patterns and fillings that are too long. Raises `UnsafeQuery`."""
    for node in tree.walk():
        if isinstance(node, exp.In) and len(node.expressions) > MAX_LIST:
            raise too_costly(f"a list of {len(node.expressions)} values", f"list at most {MAX_LIST}, or join a CTE")
        if isinstance(node, exp.Group) and _groupings(node) > MAX_GROUPINGS:
            raise too_costly("so many groupings", "use CUBE with at most 6 columns, or GROUPING SETS")
        if isinstance(node, exp.Like | exp.ILike) and len(node.expression.name) > MAX_PATTERN:
            raise bad_construct("a long pattern", f"write a pattern of at most {MAX_PATTERN} characters")
        if isinstance(node, _EXPRESSIONS):
            pattern = node.args.get("expression")
            if not isinstance(pattern, exp.Literal) or len(pattern.name) > MAX_PATTERN:
                what = "a regular expression that is computed or long"
                raise bad_construct(what, f"write a pattern of at most {MAX_PATTERN} characters")


def _groupings(group: exp.Group) -> int:
    count = 1
    for part in group.expressions:
        count *= _grouping(part)
    return count


def _grouping(part: exp.Expr) -> int:
    if isinstance(part, exp.Cube):
        return 1 << min(len(part.expressions), 20)
    if isinstance(part, exp.Rollup):
        return 1 + len(part.expressions)
    return sum(map(_grouping, part.expressions)) if isinstance(part, exp.GroupingSets) else 1


def check_joins(tree: exp.Expr, schema: Schema) -> None:
    """Refuses a cross product of tables. Only what is small needs no join condition: one row, or one list of distinct
    values; and one condition of the query may be other than an equality. Raises `UnsafeQuery`."""
    unequal = 0
    for scope in traverse_scope(tree):
        if isinstance(scope.expression, exp.Select) and len(scope.selected_sources) > 1:
            unequal += _check_joined(scope, schema)
        if scope.is_correlated_subquery and not _is_equated(scope):
            unequal += 1
    if unequal > 1:
        raise too_costly("more than one join without an equality", _JOIN_REMEDY)


def _check_joined(scope: Scope, schema: Schema) -> int:
    """How many joins of a SELECT have a condition, but no equality."""
    sizes = {name: _rows(source) for name, (_, source) in scope.selected_sources.items()}
    groups = {name: {name} for name in sizes}
    conditions = [join.args["on"] for join in scope.expression.args.get("joins") or () if join.args.get("on")]
    if where := scope.expression.args.get("where"):
        conditions.append(where.this)
    for condition in conditions:
        _connect(groups, _links(condition, scope, schema, equal=True))
    if _is_small(groups, sizes):
        return 0
    unequal = sum(_connect(groups, _links(condition, scope, schema, equal=False)) for condition in conditions)
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


def _links(condition: exp.Expr, scope: Scope, schema: Schema, *, equal: bool) -> set[frozenset[str]]:
    """The pairs of sources that a condition connects in every case."""
    if isinstance(condition, exp.Paren):
        return _links(condition.this, scope, schema, equal=equal)
    if isinstance(condition, exp.And):
        return set().union(*(_links(part, scope, schema, equal=equal) for part in condition.flatten()))
    if isinstance(condition, exp.Or):
        return set.intersection(*(_links(part, scope, schema, equal=equal) for part in condition.flatten()))
    if equal and isinstance(condition, exp.EQ | exp.NullSafeEQ | exp.EqualNull):
        sides = (condition.this, condition.expression)
        names = [_sources_of(side, scope, schema) for side in sides]
        one_each = len(names[0]) == len(names[1]) == 1 and names[0] != names[1]
        return {names[0] | names[1]} if one_each and _varied(*sides) else set()
    if equal or isinstance(condition, exp.NEQ | exp.Not):
        return set()
    return {frozenset(pair) for pair in combinations(sorted(_sources_of(condition, scope, schema)), 2)}


def _varied(left: exp.Expr, right: exp.Expr) -> bool:
    """Whether an equality can hold for some rows only: an expression may have the same value for all of them."""
    if any(isinstance(side.unnest(), exp.Column) for side in (left, right)):
        return True
    return all(isinstance(node, _KEEPS_VALUES_APART) for side in (left, right) for node in side.walk())


def _sources_of(node: exp.Expr, scope: Scope, schema: Schema) -> frozenset[str]:
    """The sources whose rows an expression tells apart."""
    return frozenset(
        column.table
        for column in node.find_all(exp.Column)
        if column.table in scope.selected_sources and _varies(column, scope, schema)
    )


def _varies(node: exp.Expr, scope: Scope, schema: Schema) -> bool:
    """Whether an expression can differ from row to row: to join on one that cannot is a cross product."""
    if isinstance(node, exp.Column):
        if node.table not in scope.selected_sources:
            return False
        source = scope.selected_sources[node.table][1]
        if isinstance(source, exp.Table):
            return len(schema.tables[source.name].columns[node.name].values) != 1
        return not isinstance(source, Scope) or _output_varies(source, node.name, schema)
    if isinstance(node, RANKED):
        return True
    if isinstance(node, exp.Window) and not node.args.get("partition_by") and not node.args.get("order"):
        return isinstance(node.this.unnest(), RANKED)
    return any(_varies(each, scope, schema) for each in node.iter_expressions())


def _output_varies(scope: Scope, name: str, schema: Schema) -> bool:
    if parts := scope.set_operation_scopes:
        names = output_names(scope)
        if name not in names or any(len(output_names(part)) != len(names) for part in parts):
            return True
        at = names.index(name)
        written = {
            part.expression.expressions[at].unalias().sql() for part in parts if isinstance(part.expression, exp.Select)
        }
        return len(written) > 1 or any(_output_varies(part, output_names(part)[at], schema) for part in parts)
    query = scope.expression
    if not isinstance(query, exp.Select) or not query.args.get("from_"):
        return True
    item = next((each for each in query.expressions if each.alias_or_name == name), None)
    return item is None or _varies(item, scope, schema)


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


@dataclass(slots=True)
class TextLengths:
    """The most characters that values of a qualified query can have."""

    schema: Schema
    _known: dict[int, int] = field(default_factory=dict)
    _scopes: dict[int, Scope] = field(default_factory=dict)

    def check(self, tree: exp.Expr) -> None:
        """Refuses a query whose texts may grow without bound. Raises `UnsafeQuery`."""
        self._scopes = {id(scope.expression): scope for scope in traverse_scope(tree)}
        for scope in self._scopes.values():
            if isinstance(scope.expression, exp.Select):
                for node in scope.expression.iter_expressions():
                    if not isinstance(node, exp.With | exp.From | exp.Limit | exp.Offset):
                        self.of(node, scope)

    def of(self, node: exp.Expr, scope: Scope) -> int:
        """The length of one expression."""
        if id(node) not in self._known:
            # A part that is met again while it is being measured reads itself: no such query was accepted.
            self._known[id(node)] = OTHER_TEXT
            length = self._measure(node, scope)
            if length > MAX_TEXT:
                raise too_costly("a text that grows too long", "shorten it with LEFT, or leave the repetition out")
            self._known[id(node)] = length
        return self._known[id(node)]

    def _measure(self, node: exp.Expr, scope: Scope) -> int:
        if isinstance(node, exp.Literal):
            return len(node.name)
        if isinstance(node, exp.Column):
            return self._of_column(node, scope)
        if isinstance(node, (*QUERIES, exp.Subquery)):
            inner = self._scopes.get(id(node.unnest()))
            return self._at(inner, 0) if inner is not None else OTHER_TEXT
        parts = [self.of(each, scope) for each in node.iter_expressions()]
        longest = max(parts, default=0)
        if isinstance(node, exp.ConcatWs):
            length = sum(parts) + parts[0] * max(0, len(parts) - 2) if parts else 0
        elif isinstance(node, exp.DPipe | exp.Concat | exp.Stuff):
            length = sum(parts)
        elif isinstance(node, exp.Replace | exp.RegexpReplace):
            length = _replaced(node, parts)
        elif isinstance(node, exp.Left | exp.Right):
            length = min(longest, _number(node.expression, longest))
        elif isinstance(node, exp.Pad):
            length = max(longest, _number(node.expression, MAX_TEXT + 1))
        elif isinstance(node, exp.Split | exp.RegexpExtractAll):
            length = parts[0] if parts else OTHER_TEXT
        elif isinstance(node, exp.ArrayToString | exp.GroupConcat):
            length = self._joined(node, scope)
        elif isinstance(node, (exp.ApproxTopK, *LISTS)):
            length = max(longest, LISTED_TEXT)
        else:
            length = max(longest, OTHER_TEXT) if isinstance(node, exp.Func) else longest
        return length

    def _joined(self, node: exp.Expr, scope: Scope) -> int:
        """A list as one text: a list that was split from a text may have as many members as it had characters."""
        listed = self.of(node.this, scope) if isinstance(node, exp.ArrayToString) else LISTED_TEXT
        between = node.args.get("separator" if isinstance(node, exp.GroupConcat) else "expression")
        members = listed + 1 if listed < LISTED_TEXT else listed // _MEMBER
        return listed + members * (self.of(between, scope) if isinstance(between, exp.Expr) else 1)

    def _of_column(self, column: exp.Column, scope: Scope) -> int:
        source = find_source(scope, column.table)
        if isinstance(source, exp.Table):
            name = self.schema.tables[source.name].columns[column.name].type
            size = name.partition("(")[2].rstrip(")")
            return (
                int(size) if name.startswith(("VARCHAR", "TEXT", "CHAR", "STRING")) and size.isdigit() else OTHER_TEXT
            )
        if isinstance(source, Scope):
            return self._of_output(source, column.name)
        return OTHER_TEXT

    def _of_output(self, scope: Scope, name: str) -> int:
        names = output_names(scope)
        return self._at(scope, names.index(name)) if name in names else OTHER_TEXT

    def _at(self, scope: Scope, index: int) -> int:
        if scope.set_operation_scopes:
            return max(self._at(part, index) for part in scope.set_operation_scopes)
        query = scope.expression
        return self.of(query.selects[index], scope) if isinstance(query, exp.Query) else OTHER_TEXT


def _replaced(node: exp.Expr, parts: list[int]) -> int:
    text = parts[0] if parts else OTHER_TEXT
    found, put = node.args.get("expression"), node.args.get("replacement")
    new = len(put.name) if isinstance(put, exp.Literal) else (max(parts[1:], default=0) if put else 0)
    if isinstance(node, exp.RegexpReplace):
        return text + (text + 1) * new
    old = max(1, len(found.name)) if isinstance(found, exp.Literal) else 1
    return text if new <= old else (text + 1) * -(-new // old)


def _number(node: object, otherwise: int) -> int:
    return int(node.name) if isinstance(node, exp.Literal) and node.is_int else otherwise


def find_source(scope: Scope | None, name: str) -> exp.Table | Scope | None:
    """What a column's qualifier stands for, here or around."""
    while scope is not None:
        if name in scope.selected_sources:
            source = scope.selected_sources[name][1]
            return source if isinstance(source, exp.Table | Scope) else None
        scope = scope.parent
    return None


def output_names(scope: Scope) -> list[str]:
    """The names of the columns of a query."""
    query = scope.expression
    return query.named_selects if isinstance(query, exp.Query) else []
