"""PostgreSQL: pools, named statements, and the one place that turns connection failures into `Unavailable`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeAlias

import asyncpg

from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.telemetry import client_span
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin
from switchyard.runtime.database.queries import Queries
from switchyard.runtime.database.session_scope import SET_SCOPE, SessionScope

Pool: TypeAlias = "asyncpg.Pool[Any]"
Session: TypeAlias = "asyncpg.Connection[Any]"

_OUT_OF_REACH = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg makes of a statement on a session that the server has just ended.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

# Connection, authorization, resources, operator intervention, the server's own time limits (for locks, too), read only
# after a failover, deadlock and serialization:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_THE_STATEMENTS_FAULT = ("08", "28", "53", "55P03", "57014", "57P", "25006", "25P03", "40")

_PREFETCH = 200
"""Rows in memory while streaming."""


async def connect_pool(
    url: str,
    *,
    schema: str,
    size: int = 4,
    statement_timeout_s: float = 20.0,
    login: DatabaseLogin | None = None,
    server_settings: Mapping[str, str] | None = None,
) -> Pool:
    """A small pool whose sessions see only `schema`. They log in by `login`, by default with the address's password.

    `size` is 4 by default: the connection budget of the database is shared by every process. `server_settings` are
    PostgreSQL's own, for each session. Raises `Unavailable` if
    the server cannot be reached, and `BadDatabaseAddress` if `url` does not fit `login`.
    """
    options = (login or PasswordLogin()).options(url)
    with translate_errors(f"the database of {schema}"):
        pool: Pool = await asyncpg.create_pool(
            **options,
            min_size=1,
            max_size=size,
            timeout=5,
            command_timeout=statement_timeout_s,
            server_settings={"search_path": schema, "application_name": f"switchyard-{schema}"}
            | dict(server_settings or {}),
        )
        return pool


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn every way of not reaching a database into `Unavailable`; statement errors pass as they are."""
    try:
        yield
    except _OUT_OF_REACH as error:
        raise Unavailable("database_unreachable", f"{what} is unreachable ({type(error).__name__})") from error
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable("database_busy", f"{what} is locked by another statement") from error
    except asyncpg.PostgresError as error:
        if str(error.sqlstate).startswith(_NOT_THE_STATEMENTS_FAULT):
            raise Unavailable("database_unreachable", f"{what} cannot serve ({type(error).__name__})") from error
        raise


class Database:
    """One owner's named statements over a pool, or over the connection of a transaction.

    `name` is what an error calls the database, for example "the work database". Every method raises `Unavailable` when
    the server cannot be reached; errors of a statement itself pass as they are. `timeout_s` is for a statement that
    needs longer than the pool allows.
    """

    def __init__(self, pool: Pool, name: str, queries: Queries | None = None, *, connection: Any = None) -> None:
        self._pool = pool
        self._name = name
        self._queries = Queries() if queries is None else queries
        self._target = pool if connection is None else connection

    async def rows(self, statement: str, *arguments: Any, timeout_s: float | None = None) -> list[Any]:
        """All rows of a statement."""
        with translate_errors(self._name), client_span("postgresql", statement):
            found: list[Any] = await self._target.fetch(self._queries[statement], *arguments, timeout=timeout_s)
            return found

    async def row(self, statement: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """The first row, or None."""
        with translate_errors(self._name), client_span("postgresql", statement):
            return await self._target.fetchrow(self._queries[statement], *arguments, timeout=timeout_s)

    async def value(self, statement: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """The first column of the first row, or None."""
        with translate_errors(self._name), client_span("postgresql", statement):
            return await self._target.fetchval(self._queries[statement], *arguments, timeout=timeout_s)

    async def execute(self, statement: str, *arguments: Any, timeout_s: float | None = None) -> int:
        """Run a statement; return how many rows it touched."""
        with translate_errors(self._name), client_span("postgresql", statement):
            done: str = await self._target.execute(self._queries[statement], *arguments, timeout=timeout_s)
            return int(count) if (count := done.rpartition(" ")[2]).isdecimal() else 0

    async def stream(
        self, statement: str, *arguments: Any, timeout_s: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """The rows of a statement one by one, in bounded memory. Only inside a transaction."""
        with translate_errors(self._name):
            target: Any = self._target
            cursor = target.cursor(self._queries[statement], *arguments, prefetch=_PREFETCH, timeout=timeout_s)
            async for row in cursor:
                yield row

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Self]:
        """The same statements over one connection, for session locks."""
        with translate_errors(self._name):
            async with self._pool.acquire() as connection:
                yield type(self)(self._pool, self._name, self._queries, connection=connection)

    @asynccontextmanager
    async def transaction(self, scope: SessionScope | None = None, **options: Any) -> AsyncIterator[Self]:
        """The same statements in one transaction, which sees the rows of `scope`; without one, none that have a scope.
        `options` are those of asyncpg's `Connection.transaction`."""
        with translate_errors(self._name):
            async with self._pool.acquire() as connection, connection.transaction(**options):
                if scope is not None:
                    await connection.execute(SET_SCOPE, scope.tenant, scope.user, scope.session)
                yield type(self)(self._pool, self._name, self._queries, connection=connection)

    def with_queries(self, queries: Queries) -> Self:
        """The same database, or the same transaction, with another owner's statements."""
        target = None if self._target is self._pool else self._target
        return type(self)(self._pool, self._name, queries, connection=target)
