"""The owner in AWS: its first login, and the record of what it does.

RDS makes the owner with a password that it keeps in Secrets Manager; once the owner has the role `rds_iam`, only IAM
logs it in. So the password is used once, to grant that.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from switchyard.runtime.database.login import DatabaseLogin

ReadSecret = Callable[[str], Awaitable[str]]
"""The text of a secret, by its ARN."""


async def let_owner_use_iam(
    url: str, login: DatabaseLogin, *, secret_arn: str, read_secret: ReadSecret, ca_file: Path | None
) -> bool:
    """Grant the owner `rds_iam` unless it logs in with IAM already; return whether that was needed.

    Raises asyncpg's error if neither login works, and `KeyError` for a secret without a password.
    """
    try:
        connection = await asyncpg.connect(**login.options(url))
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError):
        pass
    else:
        await connection.close()
        return False
    password = json.loads(await read_secret(secret_arn))["password"]
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    connection = await asyncpg.connect(url, password=password, ssl=context)
    try:
        await connection.execute("grant rds_iam to current_user")
    finally:
        await connection.close()
    return True


async def record_owner_statements(connection: asyncpg.Connection[asyncpg.Record]) -> bool:
    """Have pgaudit log every statement of the owner from its next login on, where the server has it (RDS does); return
    whether it has. The owner may end that: by a statement that is logged."""
    if await connection.fetchval("select current_setting('pgaudit.log', true)") is None:
        return False
    if await connection.fetchval("select exists (select from pg_available_extensions where name = 'pgaudit')"):
        await connection.execute("create extension if not exists pgaudit")
    await connection.execute("alter role current_user set pgaudit.log = 'all'")
    return True
