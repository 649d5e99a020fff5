"""Connections of a command: databases and AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from switchyard.audit.records.roles import SCHEMA
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.database.login import (
    DatabaseLogin,
    IamLogin,
    InvalidDatabaseUrl,
    PasswordLogin,
    rds_token_source,
)


def select_database_login(target: Target) -> DatabaseLogin:
    """How to log in to a target's databases: with a password (the default) or with IAM, as SWITCHYARD_DB_AUTH says."""
    settings = target.settings
    if settings.db_auth == "password":
        return PasswordLogin()
    return IamLogin(rds_token_source(get_session(), region=settings.aws_region), ca_file=settings.db_ca_file)


@asynccontextmanager
async def open_pool(target: Target, url: str, schema: str) -> AsyncIterator[Pool]:
    """A small pool. Raises `CommandFailed` if the database cannot be reached or refuses a statement."""
    login = select_database_login(target)
    try:
        pool = await connect_pool(url, schema=schema, size=2, login=login)
    except InvalidDatabaseUrl as error:
        raise CommandFailed(f"the database's address is invalid: {error}") from error
    except (Unavailable, asyncpg.PostgresError) as error:
        raise CommandFailed(
            f"the database of {schema} is unreachable ({type(error).__name__})",
            remedy="check that it is running, and the address and password in the variable",
        ) from error
    try:
        with _describe_refusals():
            yield pool
    finally:
        await pool.close()


@contextmanager
def _describe_refusals() -> Iterator[None]:
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise CommandFailed(
            f"the database role lacks a right: {error}",
            remedy="use the role's own address; `switchyard migrate` grants",
        ) from error
    except asyncpg.RaiseError as error:
        raise CommandFailed(str(error), remedy=error.hint) from error
    except asyncpg.CheckViolationError as error:
        raise CommandFailed(
            f"the database refuses a value ({error.constraint_name})",
            remedy="a name is visible ASCII without blanks, at most 150 characters; a reason has at most 2000",
        ) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise CommandFailed(f"the database refuses the row ({error.constraint_name})") from error


@asynccontextmanager
async def open_operator_pool(target: Target) -> AsyncIterator[Pool]:
    """The case manager's database, for the role operator: a few functions and views."""
    async with open_pool(target, target.settings.operator_db_url, CASE_MANAGER) as pool:
        yield pool


@asynccontextmanager
async def open_reviewer_pool(target: Target, schema: str = CASE_MANAGER) -> AsyncIterator[Pool]:
    """The case manager's approvals, or the vault's keys, for the role reviewer."""
    async with open_pool(target, target.settings.reviewer_db_url, schema) as pool:
        yield pool


@asynccontextmanager
async def open_audit_pool(target: Target) -> AsyncIterator[Pool]:
    """The audit database, for the role audit_reader."""
    async with open_pool(target, target.settings.audit_db_url, SCHEMA) as pool:
        yield pool


@asynccontextmanager
async def open_aws_client(target: Target, service: str) -> AsyncIterator[Any]:
    """An aiobotocore client. The AWS SDK finds what the target does not name (endpoint, credentials)."""
    settings = target.settings
    config = AioConfig(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 3},
        # An emulator behind a host name has no DNS entry for each bucket.
        s3={"addressing_style": "path"} if settings.aws_endpoint_url else None,
    )
    async with get_session().create_client(
        service,
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key,
        aws_session_token=settings.aws_session_token,
        config=config,
    ) as client:
        yield client
