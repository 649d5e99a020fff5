"""Writes a query with plain parts only: stars become columns, PIVOT becomes aggregates, column lists become aliases.

Afterwards a query names every column that it reads, so that nothing depends on columns that the schema does not list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery, bad_construct, too_costly, unknown_column

MAX_COLUMNS = 100
"""Columns of one SELECT after its stars are spelt out."""
MAX_PIVOTED = 60
MAX_NEW_NODES = 8_000
QUERIES = (exp.Select, exp.SetOperation)
PIVOT_AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count)
_PIVOT_REMEDY = "write PIVOT (SUM(value) FOR key IN ('a', 'b')), or SUM(IFF(key = 'a', value, NULL)) for each key"


@dataclass(frozen=True, slots=True)
class SourceColumns:
    """The names of a table's or query's columns, as Snowflake folds them, in order."""

    names: tuple[str, ...]
    ambiguous: frozenset[str] = frozenset()
    """Names that two columns had before the second one was renamed."""
    written: str = ""
    """The name that a CTE is written with, if it is another one."""


Visible = Mapping[str, SourceColumns]


def fold(identifier: object) -> str:
    """A name as Snowflake reads it: upper case unless quoted."""
    if not isinstance(identifier, exp.Identifier):
        return "" if identifier is None else "?"
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).upper()


@dataclass(slots=True)
class Rewriter:
    """Rewrites one tree in place."""

    schema: Schema
    _new_nodes: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def rewrite(self, tree: exp.Query) -> None:
        """Raises `UnsafeQuery`."""
        for test in list(tree.find_all(exp.Is)):
            if isinstance(test.expression, exp.Boolean):
                test.replace(_known(test))
        for contains in tree.find_all(exp.ArrayContains):
            # Snowflake finds only a VARIANT in a list; without the argument the cast is written.
            contains.set("ensure_variant", None)
        self._query(tree, {})

    def _query(self, node: exp.Expr, visible: Visible) -> SourceColumns:
        while isinstance(node, exp.Subquery):
            node = node.this
        if not isinstance(node, QUERIES):
            raise bad_construct(node.key.upper(), "write a SELECT")
        inside = self._with(node, visible)
        if isinstance(node, exp.SetOperation):
            left, right = self._query(node.this, inside), self._query(node.expression, inside)
            if len(left.names) != len(right.names):
                what = f"{node.key.upper()} of {len(left.names)} and {len(right.names)} columns"
                raise UnsafeQuery("sql_unreadable", what, "give both sides the same columns")
            _order_by_all(node, len(left.names))
            return left
        return self._select(node, inside)

    def _with(self, node: exp.Expr, visible: Visible) -> Visible:
        inside, own = dict(visible), set()
        for cte in node.args["with_"].expressions if node.args.get("with_") else ():
            name = fold(cte.args["alias"].this)
            if name in own:
                raise bad_construct(f"two CTEs of the name {name}", "give each its own name")
            own.add(name)
            columns = self._renamed(cte, self._query(cte.this, inside))
            if name in self.schema.tables:
                # A CTE that reads the table of its own name: in Snowflake that could be itself.
                columns = replace(columns, written=self._fresh())
                cte.args["alias"].set("this", exp.to_identifier(columns.written, quoted=True))
            inside[name] = columns
        return inside

    def _select(self, node: exp.Select, visible: Visible) -> SourceColumns:
        handled = {id(node.args[part]) for part in ("with_", "from_") if node.args.get(part)}
        joins = node.args.get("joins") or []
        sources: dict[str, SourceColumns] = {}
        for holder in ([node.args["from_"]] if node.args.get("from_") else []) + joins:
            alias, columns = self._source(holder.this, visible)
            if alias in sources:
                raise bad_construct(f"two tables that are both called {alias}", "give each table its own alias")
            sources[alias] = columns
            handled.add(id(holder.this))
        merged = _merged(joins, sources)
        self._inline_windows(node)
        for inner in list(_nested(node, handled)):
            self._query(inner, visible)
        for column in _columns_of(node, handled):
            self._without_namespace(column)
            _require_unambiguous(column, sources, merged)
        if isinstance(node.parent, exp.Exists) and len(node.expressions) == 1 and _is_star(node.expressions[0]):
            # Which columns EXISTS selects makes no difference, so it reads none.
            node.set("expressions", [exp.Literal.number(1)])
        return self._spell_out(node, sources, merged)

    def _source(self, source: exp.Expr, visible: Visible) -> tuple[str, SourceColumns]:
        """A table or query in FROM or JOIN: its name there, and its columns."""
        if isinstance(source, exp.Values):
            source = self._values(source)
        if isinstance(source, exp.Table):
            columns = self._table(source, visible)
        elif isinstance(source, exp.Subquery) and isinstance(source.unnest(), QUERIES):
            columns = self._query(source.this, visible)
            if not source.alias and not source.args.get("pivots"):
                # Snowflake wants no alias here, and neither does anything that refers to its columns.
                source.set("alias", exp.TableAlias(this=exp.to_identifier(self._fresh(), quoted=True)))
        else:
            raise bad_construct(f"{source.key.upper()} in FROM", f"use only {self._tables()} and subqueries")
        if pivots := source.args.get("pivots"):
            source, columns = self._pivot(source, pivots, columns)
        if isinstance(source, exp.Subquery):
            columns = self._renamed(source, columns)
        alias = source.args.get("alias")
        return fold(alias.this if alias else source.this), columns

    def _table(self, table: exp.Table, visible: Visible) -> SourceColumns:
        name = table.this
        if not isinstance(name, exp.Identifier):
            raise bad_construct("a table that is not a plain name", f"use only {self._tables()}")
        database, namespace = fold(table.args.get("catalog")), fold(table.args.get("db"))
        qualified = bool(database or namespace)
        known = database in {"", self.schema.database} and namespace in {"", self.schema.namespace}
        if not known or (database and not namespace):
            raise self._unknown_table(table.sql("snowflake"))
        if (alias := table.args.get("alias")) and alias.args.get("columns"):
            remedy = "alias the table alone, and rename columns in the select list"
            raise bad_construct("a column list on a table's alias", remedy)
        # The connection is set to the only permitted namespace.
        table.set("catalog", None)
        table.set("db", None)
        if fold(name) in visible and not qualified:
            columns = visible[fold(name)]
            if columns.written:
                if not alias:
                    table.set("alias", exp.TableAlias(this=exp.to_identifier(fold(name), quoted=True)))
                table.set("this", exp.to_identifier(columns.written, quoted=True))
            return columns
        if fold(name) not in self.schema.tables:
            raise self._unknown_table(name.sql("snowflake"))
        return SourceColumns(tuple(self.schema.tables[fold(name)].columns))

    def _without_namespace(self, column: exp.Column) -> None:
        """`SCHEMA.TABLE.COLUMN` is `TABLE.COLUMN`: the connection is set to the only permitted namespace."""
        database, namespace = fold(column.args.get("catalog")), fold(column.args.get("db"))
        if database not in {"", self.schema.database} or namespace not in {"", self.schema.namespace}:
            raise unknown_column(column.sql("snowflake"))
        column.set("catalog", None)
        column.set("db", None)

    def _values(self, values: exp.Values) -> exp.Subquery:
        """`VALUES (1, 'a'), (2, 'b')` as SELECTs joined by UNION ALL."""
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in values.expressions]
        parts = [
            exp.Select(
                expressions=[
                    exp.alias_(value.copy(), exp.to_identifier(f"COLUMN{number}", quoted=True))
                    for number, value in enumerate(row, 1)
                ]
            )
            for row in rows
        ]
        query: exp.Query = parts[0]
        for part in parts[1:]:
            query = exp.Union(this=query, expression=part, distinct=False)
        alias = values.args.get("alias") or exp.TableAlias(this=exp.to_identifier(self._fresh(), quoted=True))
        written = exp.Subquery(this=query, alias=alias.copy())
        self._spend(sum(1 for _ in written.walk()))
        values.replace(written)
        return written

    def _renamed(self, holder: exp.Expr, columns: SourceColumns) -> SourceColumns:
        """Gives a query's columns the names that its alias lists: `AS t (a, b)`."""
        alias = holder.args.get("alias")
        names = [fold(name) for name in alias.args.get("columns") or ()] if alias else []
        if alias is None or not names:
            return columns
        if len(names) > len(columns.names) or len(set(names)) != len(names):
            raise bad_construct("a column list that does not fit its query", "alias the columns in the select list")
        alias.set("columns", None)
        select = holder.this
        while not isinstance(select, exp.Select):
            select = select.this
        for index, name in enumerate(names):
            projection = select.expressions[index].unalias()
            select.expressions[index].replace(exp.alias_(projection.copy(), exp.to_identifier(name, quoted=True)))
        return SourceColumns((*names, *columns.names[len(names) :]), columns.ambiguous - set(columns.names))

    def _spell_out(
        self, node: exp.Select, sources: Mapping[str, SourceColumns], merged: frozenset[str]
    ) -> SourceColumns:
        written: list[exp.Expr] = []
        for projection in node.expressions:
            if _is_star(projection):
                written += self._columns_for(projection, sources, merged)
            else:
                written.append(projection)
            if len(written) > MAX_COLUMNS:
                raise too_costly(f"more than {MAX_COLUMNS} columns in one SELECT", "name the columns that you need")
        taken: set[str] = set()
        ambiguous: set[str] = set()
        for index, projection in enumerate(written):
            name = _name_of(projection)
            if name and name in taken:
                ambiguous.add(name)
                number = 2
                while f"{name}_{number}" in taken:
                    number += 1
                name = f"{name}_{number}"
                written[index] = exp.alias_(projection.unalias(), exp.to_identifier(name, quoted=True), copy=False)
            taken.add(name)
        self._spend(len(written))
        node.set("expressions", written)
        _order_by_all(node, len(written))
        return SourceColumns(tuple(map(_name_of, written)), frozenset(ambiguous))

    def _columns_for(
        self, star: exp.Expr, sources: Mapping[str, SourceColumns], merged: frozenset[str]
    ) -> list[exp.Expr]:
        table = fold(star.args.get("table")) if isinstance(star, exp.Column) else ""
        if table and table not in sources:
            raise unknown_column(f"{table}.*")
        pattern = star.this if isinstance(star, exp.Column) else star
        left_out = {
            fold(each.this if isinstance(each, exp.Column) else each) for each in pattern.args.get("except_") or ()
        }
        chosen: list[exp.Expr] = []
        seen: set[str] = set()
        for alias, columns in sources.items() if not table else [(table, sources[table])]:
            for name in columns.names:
                if not name:
                    raise bad_construct(
                        "* over a column without a name", "give every column of a CTE or subquery a name"
                    )
                if name in left_out or (name in merged and not table and name in seen):
                    continue
                seen.add(name)
                from_table = None if name in merged and not table else exp.to_identifier(alias, quoted=True)
                chosen.append(exp.column(exp.to_identifier(name, quoted=True), table=from_table))
                self._spend(4)
        if unknown := left_out - {name for columns in sources.values() for name in columns.names}:
            raise unknown_column(min(unknown))
        if not chosen:
            raise bad_construct("a star that leaves no column", "name the columns that you need")
        return chosen

    def _pivot(
        self, source: exp.Expr, pivots: list[exp.Pivot], columns: SourceColumns
    ) -> tuple[exp.Subquery, SourceColumns]:
        pivot = pivots[0]
        own = source.args.get("alias")
        given = pivot.args.get("alias")
        keys = pivot.args.get("fields") or []
        if len(pivots) > 1 or len(keys) != 1 or not isinstance(keys[0], exp.In) or keys[0].args.get("query"):
            raise bad_construct("this PIVOT", _PIVOT_REMEDY)
        if pivot.args.get("default_on_null") or len(keys[0].expressions) > MAX_PIVOTED or columns.ambiguous:
            raise bad_construct("this PIVOT", _PIVOT_REMEDY)
        alias = given.this if given and given.this else own.this if own and own.this else source.this
        if not isinstance(alias, exp.Identifier):
            alias = exp.to_identifier(self._fresh(), quoted=True)
        plain = source.copy()
        plain.set("pivots", None)
        if not plain.alias and isinstance(plain, exp.Subquery):
            plain.set("alias", exp.TableAlias(this=exp.to_identifier(self._fresh(), quoted=True)))
        query, names = (self._unpivoted if pivot.unpivot else self._pivoted)(plain, pivot, keys[0], columns)
        self._spend(sum(1 for _ in query.walk()))
        wrapped = exp.Subquery(this=query, alias=exp.TableAlias(this=alias.copy()))
        if given and given.args.get("columns"):
            wrapped.args["alias"].set("columns", [name.copy() for name in given.args["columns"]])
        source.replace(wrapped)
        return wrapped, SourceColumns(names)

    def _pivoted(
        self, plain: exp.Expr, pivot: exp.Pivot, key: exp.In, columns: SourceColumns
    ) -> tuple[exp.Query, tuple[str, ...]]:
        by = _plain_column(key.this, columns)
        aggregates = [each.unalias() for each in pivot.expressions]
        if any(not isinstance(each, PIVOT_AGGREGATES) for each in aggregates):
            raise bad_construct("this PIVOT", _PIVOT_REMEDY)
        values = [_plain_column(each.this, columns) for each in aggregates]
        kept = [name for name in columns.names if name not in {by, *values}]
        projections: list[exp.Expr] = [_quoted(name) for name in kept]
        for entry in key.expressions:
            literal = entry.this if isinstance(entry, exp.PivotAlias) else entry
            if not isinstance(literal, exp.Literal):
                raise bad_construct("this PIVOT", _PIVOT_REMEDY)
            label = fold(entry.args["alias"]) if isinstance(entry, exp.PivotAlias) else literal.sql("snowflake")
            for aggregate, value, written in zip(aggregates, values, pivot.expressions, strict=True):
                chosen = exp.If(this=exp.EQ(this=_quoted(by), expression=literal.copy()), true=_quoted(value))
                suffix = f"_{fold(written.args['alias'])}" if isinstance(written, exp.Alias) else ""
                name = exp.to_identifier(label + suffix, quoted=True)
                projections.append(exp.alias_(type(aggregate)(this=chosen), name))
        query = exp.Select(expressions=projections, from_=exp.From(this=plain))
        if kept:
            query.set("group", exp.Group(expressions=[_quoted(name) for name in kept]))
        names = tuple(map(_name_of, projections))
        if len(set(names)) != len(names) or len(names) > MAX_COLUMNS:
            raise bad_construct("a PIVOT with two columns of one name, or too many", _PIVOT_REMEDY)
        return query, names

    def _unpivoted(
        self, plain: exp.Expr, pivot: exp.Pivot, key: exp.In, columns: SourceColumns
    ) -> tuple[exp.Query, tuple[str, ...]]:
        if len(pivot.expressions) != 1:
            raise bad_construct("this UNPIVOT", "write UNPIVOT (value FOR name IN (column, column))")
        value, label = fold(pivot.expressions[0]), fold(key.this)
        entries = [entry.this if isinstance(entry, exp.PivotAlias) else entry for entry in key.expressions]
        measures = [_plain_column(entry, columns) for entry in entries]
        kept = [name for name in columns.names if name not in measures]
        parts: list[exp.Query] = []
        for measure in measures:
            part = exp.Select(
                expressions=[
                    *map(_quoted, kept),
                    exp.alias_(exp.Literal.string(measure), exp.to_identifier(label, quoted=True)),
                    exp.alias_(_quoted(measure), exp.to_identifier(value, quoted=True)),
                ],
                from_=exp.From(this=plain.copy()),
            )
            self._spend(sum(1 for _ in part.walk()))
            if not pivot.args.get("include_nulls"):
                absent = exp.Is(this=_quoted(measure), expression=exp.Null())
                part.set("where", exp.Where(this=exp.Not(this=absent)))
            parts.append(part)
        query = parts[0]
        for each in parts[1:]:
            query = exp.Union(this=query, expression=each, distinct=False)
        names = (*kept, label, value)
        if len(set(names)) != len(names):
            raise bad_construct("an UNPIVOT with two columns of one name", "name its columns apart")
        return query, names

    def _inline_windows(self, node: exp.Select) -> None:
        """`OVER w` becomes what `WINDOW w AS (…)` defines, because Snowflake has no WINDOW clause."""
        defined = {fold(window.this): window for window in node.args.get("windows") or ()}
        for window in list(node.find_all(exp.Window)):
            name = window.args.get("alias")
            if not isinstance(name, exp.Identifier) or window.parent is node:
                continue
            definition = defined.get(fold(name))
            if definition is None:
                raise bad_construct(f"the window {name.name}", "write the window out in OVER (…)")
            for part in ("partition_by", "order", "spec"):
                if (given := definition.args.get(part)) is not None:
                    copies = [each.copy() for each in given] if isinstance(given, list) else given.copy()
                    window.set(part, copies)
                    self._spend(sum(1 for _ in definition.walk()))
            window.set("alias", None)
        node.set("windows", None)

    def _fresh(self) -> str:
        return f"_Q{next(self._numbers)}"

    def _spend(self, nodes: int) -> None:
        self._new_nodes += nodes
        if self._new_nodes > MAX_NEW_NODES:
            raise too_costly("a query that grows too large when it is written out", "name the columns that you need")

    def _tables(self) -> str:
        return f"the tables {', '.join(self.schema.tables)}"

    def _unknown_table(self, name: str) -> UnsafeQuery:
        return UnsafeQuery("sql_unknown_table", f"the table {name}", f"use only {self._tables()}")


def _order_by_all(node: exp.Query, columns: int) -> None:
    """`ORDER BY ALL` by every column of the result, in order."""
    order = node.args.get("order")
    given = order.expressions if order else []
    only = given[0].this if len(given) == 1 else None
    if order and isinstance(only, exp.Column) and only.sql().upper() == "ALL":
        each = [given[0].copy() for _ in range(columns)]
        for number, ordered in enumerate(each, 1):
            ordered.set("this", exp.Literal.number(number))
        order.set("expressions", each)


def _nested(node: exp.Select, handled: set[int]) -> Iterator[exp.Expr]:
    """The queries inside a SELECT's own expressions, outermost only."""
    for found in _own(node, handled):
        if isinstance(found, QUERIES):
            yield found


def _columns_of(node: exp.Select, handled: set[int]) -> Iterator[exp.Column]:
    for found in _own(node, handled):
        if isinstance(found, exp.Column):
            yield found


def _own(node: exp.Select, handled: set[int]) -> Iterator[exp.Expr]:
    def ends(each: exp.Expr) -> bool:
        return each is not node and (isinstance(each, QUERIES) or id(each) in handled)

    for found in node.walk(prune=ends):
        if found is not node and id(found) not in handled:
            yield found


def _merged(joins: list[exp.Join], sources: Mapping[str, SourceColumns]) -> frozenset[str]:
    """The columns that USING merges."""
    names = {
        fold(name if isinstance(name, exp.Identifier) else name.this)
        for join in joins
        for name in join.args.get("using") or ()
    }
    for name in names:
        if not any(name in columns.names for columns in sources.values()):
            raise unknown_column(name)
    return frozenset(names)


def _require_unambiguous(column: exp.Column, sources: Mapping[str, SourceColumns], merged: frozenset[str]) -> None:
    name, table = fold(column.this), fold(column.args.get("table"))
    if isinstance(column.this, exp.Star) or (name in merged and not table):
        return
    searched = [sources[table]] if table in sources else [] if table else list(sources.values())
    if any(name in columns.ambiguous for columns in searched):
        what = f"the column {name}, which stands for two columns"
        raise UnsafeQuery("sql_unknown_column", what, "name the columns of the CTE or subquery instead of *")


def _known(test: exp.Is) -> exp.Expr:
    """`x IS TRUE` with COALESCE: the parser's library would write `x`, which is NULL where the test is false."""
    wanted = bool(test.expression.this)
    known: exp.Expr = exp.Coalesce(this=test.this.copy(), expressions=[exp.Boolean(this=not wanted)])
    return known if wanted != bool(test.args.get("negate")) else exp.Not(this=known)


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _name_of(projection: exp.Expr) -> str:
    if isinstance(projection, exp.Alias):
        return fold(projection.args["alias"])
    if isinstance(projection, exp.Subquery):
        alias = projection.args.get("alias")
        return fold(alias.this) if alias else ""
    inner = projection.unnest()
    return fold(inner.this) if isinstance(inner, exp.Column) else ""


def _quoted(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True))


def _plain_column(node: exp.Expr, columns: SourceColumns) -> str:
    name = fold(node.this if isinstance(node, exp.Column) else node)
    if name not in columns.names:
        raise unknown_column(node.sql("snowflake"))
    return name
