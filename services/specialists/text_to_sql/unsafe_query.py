"""The guard's one refusal: what is refused, and what to write instead."""

from __future__ import annotations

from switchyard.runtime.core.errors import PermanentTaskError


class UnsafeQuery(PermanentTaskError):
    """The query may not run. `what` names the rejected part, `remedy` what to write instead.

    `what` may repeat words of the query, so it is returned to the model and never goes into an event or a log.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(code, f"refused: {what}", "sql", remedy)
        self.what = what


def bad_construct(what: str, remedy: str) -> UnsafeQuery:
    """A part of SQL that is not permitted."""
    return UnsafeQuery("sql_construct_not_allowed", what, remedy)


def unknown_column(name: str) -> UnsafeQuery:
    """A column that the schema does not list, or that cannot be resolved."""
    return UnsafeQuery("sql_unknown_column", f"the column {name}", "use the columns that describe_table lists")


def too_costly(what: str, remedy: str) -> UnsafeQuery:
    """A query that would cost too much to check or to run."""
    return UnsafeQuery("sql_too_costly", what, remedy)
