"""Connections of a command: databases and AWS."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.runtime.database.connections import Pool
    from switchyard.runtime.database.login import DatabaseLogin

Role = Literal["audit", "audit_retention", "operator", "reviewer", "reconciler", "vault_eraser"]
"""Whose address is used: that in the variable SWITCHYARD_<ROLE>_DB_URL."""


def select_database_login(target: Target) -> DatabaseLogin:
    """How to log in to a target's databases: with a password (the default) or with IAM, as SWITCHYARD_DB_AUTH says."""
    from switchyard.runtime.database.login import IamLogin, PasswordLogin, rds_token_source

    settings = target.settings
    if settings.db_auth == "password":
        return PasswordLogin()
    from aiobotocore.session import get_session  # half of a command's CPU

    return IamLogin(rds_token_source(get_session(), region=settings.aws_region), ca_file=settings.db_ca_file)


@asynccontextmanager
async def open_pool(target: Target, role: Role, schema: str | None = None) -> AsyncIterator[Pool]:
    """A small pool; `schema` is audit's or the case manager's without one.

    Raises `CommandFailed` if the database cannot be reached or refuses a statement.
    """
    import asyncpg

    from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER
    from switchyard.runtime.core.errors import Unavailable
    from switchyard.runtime.database.connections import connect_pool, translate_errors
    from switchyard.runtime.database.login import InvalidDatabaseUrl

    # The pool's own tracebacks about a server that is away would be printed before the error that says so.
    logging.getLogger("asyncpg").addHandler(logging.NullHandler())
    url: str = getattr(target.settings, f"{role}_db_url")
    schema = schema or (AUDIT if role.startswith(AUDIT) else CASE_MANAGER)
    try:
        pool = await connect_pool(url, schema=schema, size=2, login=select_database_login(target))
    except (InvalidDatabaseUrl, asyncpg.InterfaceError, ValueError) as error:
        remedy = f"correct SWITCHYARD_{role.upper()}_DB_URL: postgresql://ROLE@HOST:5432/DATABASE"
        raise CommandFailed(f"the database's address is invalid: {error}", remedy=remedy) from error
    except (Unavailable, asyncpg.PostgresError) as error:
        raise CommandFailed(
            f"the database of {schema} is unreachable ({type(error).__name__})",
            remedy="check that it is running, and the address and password in the variable",
        ) from error
    try:
        with translate_errors("the database"):
            try:
                yield pool
            except asyncpg.InsufficientPrivilegeError as error:
                remedy = "use the role's own address; `switchyard migrate` grants"
                raise CommandFailed(f"the database role lacks a right: {error}", remedy=remedy) from error
            except (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError) as error:
                what = f"the database did not answer in time ({type(error).__name__})"
                remedy = "try again; `select * from pg_stat_activity` as the owner shows what holds it up"
                raise CommandFailed(what, remedy=remedy) from error
            except asyncpg.RaiseError as error:
                raise CommandFailed(str(error), remedy=error.hint) from error
            except asyncpg.CheckViolationError as error:
                remedy = "a name is visible ASCII without blanks, at most 150 characters; a reason has at most 2000"
                raise CommandFailed(f"the database refuses a value ({error.constraint_name})", remedy=remedy) from error
            except asyncpg.IntegrityConstraintViolationError as error:
                raise CommandFailed(f"the database refuses the row ({error.constraint_name})") from error
    except Unavailable as error:
        if error.code != "database_unreachable":
            raise
        what = f"the connection to the database was lost ({type(error.__cause__).__name__})"
        raise CommandFailed(what, remedy="check that it is running, and try again") from error
    finally:
        await pool.close()


@asynccontextmanager
async def open_aws_client(target: Target, service: str) -> AsyncIterator[Any]:
    """An aiobotocore client. The AWS SDK finds what the target does not name (endpoint, credentials)."""
    from aiobotocore.session import get_session

    from switchyard.runtime.core.aws import create_aws_client

    settings = target.settings
    async with create_aws_client(
        get_session(),
        service,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key,
        aws_session_token=settings.aws_session_token,
    ) as client:
        yield client
