"""Decides whether a query that a model wrote may run, and writes the query that runs in its place.

The query that runs is never the model's text: it is the checked syntax tree, written out with every name quoted, every
star expanded and the rows limited. The guard is the second protection; the first is the asking user's Snowflake role.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokenizer_core import TokenType

from services.specialists.text_to_sql.grammar import ALLOWED, PARTS, TYPES, WORDS
from services.specialists.text_to_sql.schema import Schema
from services.specialists.text_to_sql.units import unit_of
from switchyard.runtime.core.errors import PermanentTaskError

SQL_DIALECT = "snowflake"
MAX_CHARACTERS = 8_000
MAX_TOKENS = 2_000
MAX_NESTING = 12
MAX_NODES = 4_000
_PLAIN = "SELECT, JOIN, WHERE, GROUP BY, HAVING, QUALIFY, ORDER BY, LIMIT"
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}


class UnsafeQuery(PermanentTaskError):
    """The query may not run. `what` names the rejected part, `remedy` what to write instead.

    `what` may repeat words of the query, so it is returned to the model and never goes into an event or a log.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(code, f"refused: {what}", "sql", remedy)
        self.what = what


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of the result, with its unit of measure if the schema determines one."""

    name: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class GuardedQuery:
    """A query that may run, and the tables and columns that it reads."""

    sql: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    """TABLE.COLUMN, sorted."""
    output: tuple[OutputColumn, ...]
    filters: tuple[str, ...]
    """The conditions of the outermost query, as SQL."""
    ordered: bool


def guard_query(sql: str, schema: Schema, *, max_rows: int = 200) -> GuardedQuery:
    """Check a query and rewrite it to return at most `max_rows + 1` rows; the extra row shows that there are more.

    Raises `UnsafeQuery`.
    """
    tree = _parse(sql)
    try:
        _check_nodes(tree)
        _check_tables(tree, schema)
        tree = _qualified(tree, schema)
        # Qualifying rewrites the tree (stars, USING, positions), so the query that runs is checked again.
        _check_nodes(tree)
        tables, columns = _read(tree, schema)
        _limit(tree, max_rows)
        return GuardedQuery(
            sql=tree.sql(dialect=SQL_DIALECT, comments=False),
            tables=tables,
            columns=columns,
            output=_output(tree, schema),
            filters=_filters(tree),
            ordered=tree.args.get("order") is not None,
        )
    except RecursionError as error:
        raise _too_deep() from error


def _parse(sql: str) -> exp.Select:
    if len(sql) > MAX_CHARACTERS:
        raise UnsafeQuery("sql_too_long", f"a query of {len(sql)} characters", f"use at most {MAX_CHARACTERS}")
    if any(ord(character) < 32 and character not in "\t\r\n" for character in sql):
        raise UnsafeQuery("sql_unreadable", "a control character", "write plain text")
    _check_tokens(sql)
    try:
        statements = [statement for statement in sqlglot.parse(sql, read=SQL_DIALECT) if statement is not None]
    except RecursionError as error:
        raise _too_deep() from error
    except SqlglotError as error:
        remedy = "check the syntax; the dialect is Snowflake"
        raise UnsafeQuery("sql_unreadable", "SQL that cannot be parsed", remedy) from error
    statement = statements[0] if len(statements) == 1 else None
    if not isinstance(statement, exp.Select):
        name = statement.key.upper() if statement is not None else f"{len(statements)} statements"
        raise UnsafeQuery("sql_not_a_select", name, "write one SELECT; use CTEs or OR instead of UNION")
    return statement


def _check_tokens(sql: str) -> None:
    # Before parsing, because sqlglot logs statements that it cannot parse, and logs must not hold queries.
    try:
        tokens = sqlglot.tokenize(sql, read=SQL_DIALECT)
    except SqlglotError as error:
        raise UnsafeQuery("sql_unreadable", "text that is not SQL", "close every quotation mark and comment") from error
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens or tokens[0].token_type not in {TokenType.SELECT, TokenType.WITH}:
        first = tokens[0].text.upper()[:40] if tokens else "an empty query"
        raise UnsafeQuery("sql_not_a_select", first, "start with SELECT or WITH; this agent only reads")
    if any(token.token_type == TokenType.SEMICOLON for token in tokens):
        raise UnsafeQuery("sql_not_a_select", "more than one statement", "write one SELECT")
    if len(tokens) > MAX_TOKENS:
        raise UnsafeQuery("sql_too_long", f"a query of {len(tokens)} words", f"use at most {MAX_TOKENS}")
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if depth > MAX_NESTING:
            raise _too_deep()


def _check_nodes(tree: exp.Expr) -> None:
    for count, node in enumerate(tree.walk()):
        if count > MAX_NODES:
            raise UnsafeQuery("sql_too_long", f"a query of more than {MAX_NODES} parts", "ask for less at once")
        if type(node) not in ALLOWED:
            raise _not_allowed(node)
        extra = {name for name, value in node.args.items() if value} - PARTS.get(type(node), set(node.args))
        if extra:
            parts = ", ".join(sorted(extra)).upper().replace("_", "")
            raise _bad_construct(f"{node.key.upper()} with {parts}", f"use plain {_PLAIN}")
        if isinstance(node, exp.DataType) and node.this not in TYPES:
            remedy = "cast to a number, text, date or timestamp"
            raise UnsafeQuery("sql_type_not_allowed", f"a cast to {node.this}", remedy)
        if isinstance(node, exp.Var) and node.name.upper() not in WORDS:
            raise _bad_construct(f"the word {node.name}", "use names of columns and units of time")
        if isinstance(node, exp.Limit | exp.Offset) and not _is_count(node.expression):
            raise _bad_construct(f"a computed {node.key.upper()}", "write it as a whole number")


def _not_allowed(node: exp.Expr) -> UnsafeQuery:
    if isinstance(node, exp.SetOperation):
        return UnsafeQuery("sql_not_a_select", node.key.upper(), "write one SELECT; use CTEs or OR instead")
    if isinstance(node, exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).upper()
        return UnsafeQuery("sql_function_not_allowed", f"the function {name}", "use a plain aggregate or date function")
    return _bad_construct(node.key.upper(), f"use plain {_PLAIN}")


def _bad_construct(what: str, remedy: str) -> UnsafeQuery:
    return UnsafeQuery("sql_construct_not_allowed", what, remedy)


def _check_tables(tree: exp.Select, schema: Schema) -> None:
    defined = {_folded(cte.args["alias"].this) for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        name = table.this
        if not isinstance(name, exp.Identifier):
            raise _bad_construct("a table that is not a plain name", _tables_remedy(schema))
        if _folded(table.args.get("catalog")) not in {"", schema.database}:
            raise _unknown_table(table.sql(SQL_DIALECT), schema)
        if _folded(table.args.get("db")) not in {"", schema.namespace}:
            raise _unknown_table(table.sql(SQL_DIALECT), schema)
        if _folded(name) not in schema.tables.keys() | defined:
            raise _unknown_table(name.sql(SQL_DIALECT), schema)
        # The connection is set to the only permitted namespace.
        table.set("catalog", None)
        table.set("db", None)


def _qualified(tree: exp.Select, schema: Schema) -> exp.Select:
    known: dict[str, object] = {
        name: {key: spec.type for key, spec in table.columns.items()} for name, table in schema.tables.items()
    }
    try:
        qualified = qualify(tree, dialect=SQL_DIALECT, schema=known, quote_identifiers=True, identify=True)
    except OptimizeError as error:
        remedy = "use the columns that describe_table lists; alias every table"
        raise UnsafeQuery("sql_unknown_column", str(error).replace("\n", " ")[:200], remedy) from error
    except SqlglotError as error:
        raise UnsafeQuery("sql_unreadable", "names that cannot be resolved", "alias every table and column") from error
    if not isinstance(qualified, exp.Select):
        raise UnsafeQuery("sql_not_a_select", qualified.key.upper(), "write one SELECT")
    return qualified


def _read(tree: exp.Select, schema: Schema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tables and columns that are read. Raises `UnsafeQuery` for one that is not in the schema."""
    tables: set[str] = set()
    columns: set[str] = set()
    seen: set[int] = set()
    for scope in traverse_scope(tree):
        for node, source in scope.selected_sources.values():
            seen.add(id(node))
            if isinstance(source, exp.Table):
                if source.name not in schema.tables:
                    raise _unknown_table(source.name, schema)
                tables.add(source.name)
        for column in scope.columns:
            if isinstance(found := _source(scope, column.table), exp.Table):
                if column.name not in schema.tables[found.name].columns:
                    raise _unknown_column(f"{found.name}.{column.name}")
                columns.add(f"{found.name}.{column.name}")
            elif found is None:
                raise _unknown_column(column.sql(SQL_DIALECT))
    if any(id(table) not in seen for table in tree.find_all(exp.Table)):
        raise _bad_construct("a table outside FROM and JOIN", "name tables in FROM and JOIN")
    if not tables:
        raise UnsafeQuery("sql_unknown_table", "a query that reads no table", _tables_remedy(schema))
    return tuple(sorted(tables)), tuple(sorted(columns))


def _source(scope: Scope | None, name: str) -> exp.Table | Scope | None:
    while scope is not None:
        if name in scope.selected_sources:
            source = scope.selected_sources[name][1]
            return source if isinstance(source, exp.Table | Scope) else None
        scope = scope.parent
    return None


def _limit(tree: exp.Select, max_rows: int) -> None:
    limit = tree.args.get("limit")
    if limit is None or int(limit.expression.name) > max_rows:
        tree.set("limit", exp.Limit(expression=exp.Literal.number(max_rows + 1)))


def _output(tree: exp.Select, schema: Schema) -> tuple[OutputColumn, ...]:
    scope = traverse_scope(tree)[-1]
    return tuple(OutputColumn(item.alias_or_name, unit_of(item, scope, schema)) for item in tree.expressions)


def _filters(tree: exp.Select) -> tuple[str, ...]:
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


def _folded(identifier: object) -> str:
    """A name as Snowflake reads it: upper case unless quoted."""
    if not isinstance(identifier, exp.Identifier):
        return "" if identifier is None else "?"
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).upper()


def _unknown_table(name: str, schema: Schema) -> UnsafeQuery:
    return UnsafeQuery("sql_unknown_table", f"the table {name}", _tables_remedy(schema))


def _tables_remedy(schema: Schema) -> str:
    return f"use only the tables {', '.join(schema.tables)}"


def _unknown_column(name: str) -> UnsafeQuery:
    return UnsafeQuery("sql_unknown_column", f"the column {name}", "use the columns that describe_table lists")


def _too_deep() -> UnsafeQuery:
    return UnsafeQuery("sql_too_deep", f"nesting deeper than {MAX_NESTING}", "use CTEs instead of nested queries")
