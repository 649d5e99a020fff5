"""PostgreSQL connections, and what it means when they fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import asyncpg

from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.login import DatabaseLogin, PasswordLogin

Pool: TypeAlias = "asyncpg.Pool[Any]"

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

# Connection, authorization, resources, operator intervention, the server's own time limits, read only after a failover,
# deadlock and serialization:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_THE_STATEMENTS_FAULT = ("08", "28", "53", "57014", "57P", "25006", "25P03", "40")


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
    except asyncpg.PostgresError as error:
        if str(error.sqlstate).startswith(_NOT_THE_STATEMENTS_FAULT):
            raise Unavailable("database_unreachable", f"{what} cannot serve ({type(error).__name__})") from error
        raise
