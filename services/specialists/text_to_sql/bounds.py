"""Bounds what a query may cost: to check it here, and to run it in the warehouse.

Sizes are estimated on the tree as it was written, before anything is expanded, so the estimate itself stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from services.specialists.text_to_sql.grammar import LISTS
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

_EXPRESSIONS = (
    exp.RegexpLike, exp.RegexpILike, exp.RegexpReplace, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpCount,
    exp.RegexpInstr,
)  # fmt: skip


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
