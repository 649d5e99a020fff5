"""Decides whether a query that a model wrote may run, and writes the query that runs in its place.

The query that runs is never the model's text: it is the checked syntax tree, written out with every name quoted, every
star expanded and the rows limited. The guard is the second protection; the first is the asking user's Snowflake role.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokenizer_core import TokenType

from services.specialists.text_to_sql.bounds import (
    SHOWN_TEXT,
    TextLengths,
    check_expansion,
    check_parts,
    check_scans,
    find_source,
    output_names,
)
from services.specialists.text_to_sql.grammar import ALLOWED, INSTEAD, LISTS, NAMED, PARTS, REWRITTEN, TYPES, WORDS
from services.specialists.text_to_sql.guarded_query import GuardedQuery, OutputColumn
from services.specialists.text_to_sql.joins import check_joins
from services.specialists.text_to_sql.rewrite import MAX_COLUMNS, QUERIES, Rewriter
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.units import Units
from services.specialists.text_to_sql.unsafe_query import UnsafeQuery, bad_construct, too_costly, unknown_column

SQL_DIALECT = "snowflake"
MAX_CHARACTERS = 8_000
MAX_TOKENS = 2_000
MAX_NESTING = 16
MAX_NODES = 6_000
_PLAIN = "SELECT, JOIN, WHERE, GROUP BY, HAVING, QUALIFY, UNION, PIVOT, ORDER BY, LIMIT"
_FUNCTIONS = "a plain aggregate, window, text, number or date function"
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}


def guard_query(sql: str, schema: Schema, *, max_rows: int = 200) -> GuardedQuery:
    """Check a query and rewrite it to return at most `max_rows + 1` rows; the extra row shows that there are more.

    Raises `UnsafeQuery`, and nothing else.
    """
    try:
        return _guarded(_parse(sql), schema, max_rows)
    except UnsafeQuery:
        raise
    except OptimizeError as error:
        remedy = "use the columns that describe_table lists; alias every table"
        raise UnsafeQuery("sql_unknown_column", str(error).replace("\n", " ")[:200], remedy) from error
    except RecursionError as error:
        raise _too_deep() from error
    except MemoryError as error:
        raise too_costly("a query that takes too much memory to check", "write a simpler query") from error
    except Exception as error:
        # The parser is a library that meets text of a model: what it cannot work with is refused, however it fails.
        raise UnsafeQuery("sql_unreadable", "SQL that cannot be analysed", "write it in simpler parts") from error


def _guarded(tree: exp.Query, schema: Schema, max_rows: int) -> GuardedQuery:
    for test in tree.find_all(exp.ArrayContains):
        if isinstance(test.expression, exp.Cast) and test.expression.is_type(exp.DataType.Type.VARIANT):
            # Snowflake wants the cast, and the rewritten query has it always.
            test.set("expression", test.expression.this)
    _check_nodes(tree, before=True)
    check_parts(tree)
    for fetch in list(tree.find_all(exp.Fetch)):
        fetch.replace(exp.Limit(expression=fetch.args.get("count") or exp.Literal.number(1)))
    check_scans(tree)
    Rewriter(schema).rewrite(tree)
    check_expansion(tree)
    check_scans(tree)
    tree = _qualified(tree, schema)
    _put_in_order(tree)
    # Qualifying rewrites the tree (USING, positions, names), so the query that runs is checked again.
    _check_nodes(tree)
    tables, columns = _read(tree, schema)
    check_joins(tree, schema)
    _bound_texts(tree, schema)
    _limit(tree, max_rows)
    return GuardedQuery(
        sql=tree.sql(dialect=SQL_DIALECT, comments=False),
        tables=tables,
        columns=columns,
        output=_output(tree, schema),
        filters=_filters(tree),
        ordered=tree.args.get("order") is not None,
    )


def _parse(sql: str) -> exp.Query:
    if len(sql) > MAX_CHARACTERS:
        raise UnsafeQuery("sql_too_long", f"a query of {len(sql)} characters", f"use at most {MAX_CHARACTERS}")
    if any((character < " " and character not in "\t\r\n") or "\ud800" <= character <= "\udfff" for character in sql):
        raise UnsafeQuery("sql_unreadable", "a control character or half of one", "write plain text")
    _check_tokens(sql)
    try:
        statements = [statement for statement in sqlglot.parse(sql, read=SQL_DIALECT) if statement is not None]
    except SqlglotError as error:
        remedy = "check the syntax; the dialect is Snowflake"
        raise UnsafeQuery("sql_unreadable", "SQL that cannot be parsed", remedy) from error
    statement = statements[0] if len(statements) == 1 else None
    while isinstance(statement, exp.Subquery) and not any(
        value for name, value in statement.args.items() if name != "this"
    ):
        statement = statement.this
    if not isinstance(statement, QUERIES):
        name = statement.key.upper() if statement is not None else f"{len(statements)} statements"
        raise UnsafeQuery("sql_not_a_select", name, "write one SELECT, or SELECTs joined by UNION")
    return statement


def _check_tokens(sql: str) -> None:
    # Before parsing, because sqlglot logs statements that it cannot parse, and logs must not hold queries.
    try:
        tokens = sqlglot.tokenize(sql, read=SQL_DIALECT)
    except SqlglotError as error:
        raise UnsafeQuery("sql_unreadable", "text that is not SQL", "close every quotation mark and comment") from error
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    first = next((token for token in tokens if token.token_type != TokenType.L_PAREN), None)
    if first is None or first.token_type not in {TokenType.SELECT, TokenType.WITH}:
        name = first.text.upper()[:40] if first else "an empty query"
        raise UnsafeQuery("sql_not_a_select", name, "start with SELECT or WITH; this agent only reads")
    if any(token.token_type == TokenType.SEMICOLON for token in tokens):
        raise UnsafeQuery("sql_not_a_select", "more than one statement", "write one SELECT")
    if len(tokens) > MAX_TOKENS:
        raise UnsafeQuery("sql_too_long", f"a query of {len(tokens)} words", f"use at most {MAX_TOKENS}")
    depth = prefixes = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        prefixes = prefixes + 1 if token.token_type in _PREFIXES else 0
        if max(depth, prefixes) > MAX_NESTING:
            raise _too_deep()


def _check_nodes(tree: exp.Expr, *, before: bool = False) -> None:
    """Every node is one of the grammar's; `before` the query is rewritten, it may hold a few more."""
    for count, node in enumerate(tree.walk()):
        if count > MAX_NODES:
            raise UnsafeQuery("sql_too_long", f"a query of more than {MAX_NODES} parts", "ask for less at once")
        if isinstance(node, exp.Anonymous):
            if not isinstance(node.this, str) or node.this.upper() not in NAMED:
                raise _not_allowed(node)
        elif type(node) not in ALLOWED and not (before and type(node) in REWRITTEN):
            raise _not_allowed(node)
        _check_parts_of(node, before)


def _check_parts_of(node: exp.Expr, before: bool) -> None:
    extra = {name for name, value in node.args.items() if value} - PARTS.get(type(node), set(node.args))
    if "recursive" in extra:
        remedy = "take the values from a table, for example SELECT DISTINCT month FROM sales"
        raise bad_construct("a recursive CTE", remedy)
    if extra:
        parts = ", ".join(sorted(extra)).upper().replace("_", "")
        raise bad_construct(f"{node.key.upper()} with {parts}", f"use plain {_PLAIN}")
    if isinstance(node, exp.DataType) and node.this not in TYPES:
        raise UnsafeQuery("sql_type_not_allowed", f"a cast to {node.this}", "cast to a number, text, date or timestamp")
    if isinstance(node, exp.Var) and node.name.upper() not in WORDS:
        raise bad_construct(f"the word {node.name}", "use names of columns and units of time")
    if isinstance(node, exp.Limit | exp.Offset) and not _is_count(node.expression):
        raise bad_construct(f"a computed {node.key.upper()}", "write it as a whole number")
    if isinstance(node, exp.Fetch) and not _is_count(node.args.get("count")):
        raise bad_construct("a computed FETCH", "write LIMIT and a whole number")
    if isinstance(node, exp.Join) and node.args.get("method") not in {None, "", "ASOF"}:
        raise bad_construct(f"a {node.args['method']} JOIN", "write JOIN … ON a.column = b.column")
    if isinstance(node, exp.Join) and node.args.get("match_condition") and not node.args.get("on"):
        raise bad_construct("an ASOF JOIN without ON", "add ON a.column = b.column")
    if not before and isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
        raise bad_construct("a star inside an expression", "write * or t.* alone in the select list, or COUNT(*)")
    if (
        isinstance(node, exp.Count)
        and isinstance(node.this, exp.Star)
        and (node.this.args.get("except_") or node.expressions)
    ):
        raise bad_construct("a star inside an expression", "write COUNT(*)")


def _not_allowed(node: exp.Expr) -> UnsafeQuery:
    if not isinstance(node, exp.Func):
        name = node.key.upper()
        return bad_construct(name, INSTEAD.get(name, f"use plain {_PLAIN}"))
    name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).upper()
    remedy = INSTEAD.get(name, f"use {_FUNCTIONS}")
    return UnsafeQuery("sql_function_not_allowed", f"the function {name}", remedy)


def _qualified(tree: exp.Query, schema: Schema) -> exp.Query:
    known: dict[str, object] = {
        name: {key: spec.type for key, spec in table.columns.items()} for name, table in schema.tables.items()
    }
    qualified = qualify(
        tree, dialect=SQL_DIALECT, schema=known, expand_stars=False, quote_identifiers=True, identify=True
    )
    if not isinstance(qualified, QUERIES):
        raise UnsafeQuery("sql_not_a_select", qualified.key.upper(), "write one SELECT")
    return qualified


def _read(tree: exp.Query, schema: Schema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tables and columns that are read. Raises `UnsafeQuery` for one that is not in the schema."""
    tables: set[str] = set()
    columns: set[str] = set()
    seen: set[int] = set()
    for scope in traverse_scope(tree):
        for node, source in scope.selected_sources.values():
            seen.add(id(node))
            if isinstance(source, exp.Table):
                if source.name not in schema.tables:
                    raise UnsafeQuery("sql_unknown_table", f"the table {source.name}", _tables_remedy(schema))
                tables.add(source.name)
        for column in scope.columns:
            seen.add(id(column))
            if not _is_output(column) and (name := _column_read(column, scope, schema)):
                columns.add(name)
    for part in tree.find_all(exp.Column, exp.Table):
        if id(part) not in seen and not (isinstance(part, exp.Column) and _is_output(part)):
            raise unknown_column(part.sql(SQL_DIALECT))
    if not tables:
        raise UnsafeQuery("sql_unknown_table", "a query that reads no table", _tables_remedy(schema))
    return tuple(sorted(tables)), tuple(sorted(columns))


def _column_read(column: exp.Column, scope: Scope, schema: Schema) -> str | None:
    """TABLE.COLUMN, or None if it is an output of a query inside this one."""
    found = find_source(scope, column.table)
    if isinstance(found, exp.Table) and column.name in schema.tables[found.name].columns:
        return f"{found.name}.{column.name}"
    if isinstance(found, Scope) and column.name in output_names(found):
        return None
    raise unknown_column(f"{found.name}.{column.name}" if isinstance(found, exp.Table) else column.sql(SQL_DIALECT))


def _is_output(column: exp.Column) -> bool:
    """Whether a column without a table is a name of the select list, as ORDER BY takes it before any column."""
    ordered = column.parent
    query = ordered.parent.parent if isinstance(ordered, exp.Ordered) and ordered.parent else None
    return isinstance(query, QUERIES) and not column.table and column.name in query.named_selects


def _put_in_order(tree: exp.Query) -> None:
    """Writes out a name of the select list that ORDER BY uses inside an expression, where it could be a column's."""
    for query in tree.find_all(exp.Select):
        order = query.args.get("order")
        named = {item.alias_or_name: item.unalias() for item in query.expressions}
        for column in list(order.find_all(exp.Column)) if order else ():
            inside = column.find_ancestor(*QUERIES) is query and not isinstance(column.parent, exp.Ordered)
            if inside and not column.table and column.name in named:
                column.replace(exp.paren(named[column.name]))


def _bound_texts(tree: exp.Query, schema: Schema) -> None:
    """Cuts every long value of the result in the warehouse, and writes a list as a text."""
    lengths = TextLengths(schema)
    lengths.check(tree)
    scopes = {id(scope.expression): scope for scope in traverse_scope(tree)}
    for select in _branches(tree):
        if len(select.expressions) > MAX_COLUMNS:
            raise UnsafeQuery("sql_too_costly", "a result of so many columns", f"return at most {MAX_COLUMNS}")
        scope = scopes[id(select)]
        for item in select.expressions:
            value = item.this if isinstance(item, exp.Alias) else item
            listed = _is_list(value, scope)
            if lengths.of(value, scope) <= SHOWN_TEXT and not listed:
                continue
            text: exp.Expr = value.copy()
            if listed:
                text = exp.cast(text, exp.DataType.Type.VARCHAR, copy=False)
            short = exp.Left(this=text, expression=exp.Literal.number(SHOWN_TEXT))
            value.replace(short)


def _is_list(node: exp.Expr, scope: Scope) -> bool:
    if isinstance(node, exp.Paren | exp.Window | exp.WithinGroup | exp.Alias | exp.Filter):
        return _is_list(node.this, scope)
    if isinstance(node, exp.Column):
        source = find_source(scope, node.table)
        while isinstance(source, Scope) and source.set_operation_scopes:
            source = source.set_operation_scopes[0]
        if not isinstance(source, Scope) or not isinstance(source.expression, exp.Select):
            return False
        return any(item.alias_or_name == node.name and _is_list(item, source) for item in source.expression.expressions)
    return isinstance(node, (exp.ApproxTopK, *LISTS))


def _branches(query: exp.Expr) -> list[exp.Select]:
    if isinstance(query, exp.SetOperation):
        return _branches(query.left) + _branches(query.right)
    if isinstance(query, exp.Subquery):
        return _branches(query.this)
    return [query] if isinstance(query, exp.Select) else []


def _limit(tree: exp.Query, max_rows: int) -> None:
    limit = tree.args.get("limit")
    if limit is None or int(limit.expression.name) > max_rows:
        tree.set("limit", exp.Limit(expression=exp.Literal.number(max_rows + 1)))


def _output(tree: exp.Query, schema: Schema) -> tuple[OutputColumn, ...]:
    scopes = {id(scope.expression): scope for scope in traverse_scope(tree)}
    branches, units_of = _branches(tree), Units(schema).of
    found: list[OutputColumn] = []
    for index, item in enumerate(branches[0].expressions):
        units = {units_of(each.expressions[index], scopes[id(each)]) for each in branches}
        found.append(OutputColumn(item.alias_or_name, units.pop() if len(units) == 1 else None))
    return tuple(found)


def _filters(tree: exp.Query) -> tuple[str, ...]:
    clauses = [clause.this for name in ("where", "having", "qualify") if (clause := tree.args.get(name))]
    conditions = [each for part in clauses for each in (part.flatten() if isinstance(part, exp.And) else [part])]
    return tuple(_condition_text(condition) for condition in conditions)


def _condition_text(condition: exp.Expr) -> str:
    # In a subquery, two tables may have columns of the same name, so the qualifiers matter there.
    if not condition.find(exp.Select):
        condition = condition.copy().transform(lambda n: exp.column(n.name) if isinstance(n, exp.Column) else n)
    return condition.sql(dialect=SQL_DIALECT, comments=False)


def _is_count(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and node.name.isascii() and node.name.isdigit()


def _tables_remedy(schema: Schema) -> str:
    return f"use only the tables {', '.join(schema.tables)}"


def _too_deep() -> UnsafeQuery:
    return UnsafeQuery("sql_too_deep", f"nesting deeper than {MAX_NESTING}", "use CTEs instead of nested queries")
